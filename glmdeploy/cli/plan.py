"""``glmdeploy plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common, complete, following, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Finding

CHANGES = 2
"""The exit code of ``--detailed-exitcode`` where there is something to do."""
_DETAILED = "--detailed-exitcode"


class Planning(Documented):
    """Where the exit code tells whether there are changes, wrong usage is an error as any other: 1."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> click.Context:
        detailed = _DETAILED in args
        try:
            return super().make_context(info_name, args, *rest, **more)
        except click.UsageError as error:
            if detailed:
                error.exit_code = 1  # type: ignore[misc]
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GlmdeployError as error:
            if ctx.params.get("detailed_exitcode"):
                error.exit_code = 1
            raise


EPILOG = """\b
Examples:
  glmdeploy plan b200-eagle-bf16kv
  glmdeploy plan prod.yaml -e prod --out prod.plan
  glmdeploy apply prod.plan
  glmdeploy plan mine.yaml --detailed-exitcode  # nightly: 2 is drift

Exit codes: 0 planned, 1 an error; with --detailed-exitcode, 0 no changes,
1 an error (also wrong usage), 2 changes.
"""


@click.command(
    cls=Planning,
    epilog=EPILOG,
)
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...", shell_complete=complete.profiles)
@common.profile_options
@target_options.target_options
@common.all_option("Every value, also those that do not change, and each warning.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Save the plan for `apply FILE`."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for no changes, 1 for an error, 2 for changes.")
@click.option("--force", is_flag=True, help="Plan a deployment even where nothing changes.")
@click.option("--adopt", is_flag=True, help="Plan to replace an app of this name that glmdeploy did not deploy.")
@click.option("--verify-weights", is_flag=True, help="Plan to read and compare all weights in the volume.")
@click.option("--make-secrets", is_flag=True, help="Plan to make missing secrets up, in the embedded cloud.")
@click.option("--markdown", "as_markdown", is_flag=True, help="As Markdown, for a comment on a pull request.")
@click.option("--parallel", type=click.IntRange(1, 64), metavar="N", help="Of several profiles so many at a time (4).")
@common.json_option
@click.pass_context
def plan(context: click.Context, /, profiles: tuple[str, ...], where: str, **options: Any) -> int:
    """Show what `apply` would do, and what it would cost. Drift first, then value by value. Changes nothing.

    What runs is compared, and not what was sent last. Live changes need no new containers; everything else does.
    """
    if common.are_many(profiles):
        from glmdeploy.cli import many

        return many.many(context, profiles, plan)
    from glmdeploy.operate import target
    from glmdeploy.plan.make import plan_of

    [profile] = profiles
    if str(options["out"]) == "-":
        raise UsageError("a plan is saved in a file, and not on standard output", advice="`--json` prints what it says")
    as_json, as_markdown = options["as_json"], options["as_markdown"]
    if as_json and as_markdown:
        raise UsageError("`--json` and `--markdown` contradict each other")
    if options["make_secrets"] and where != target.LOCAL:
        raise UsageError("`--make-secrets` is for the embedded cloud", advice="add `--target local`, or leave it out")
    common.quiet()
    wanted, findings = plan_of(common.document(profile, options["overlays"], options["sets"]))
    destination = target.connect(where, wanted, options["environment"], reading=True)
    following.kept(wanted.app, "plan")

    from glmdeploy.operate.preview import preview
    from glmdeploy.operate.revision import resolved
    from glmdeploy.operate.saved import saved
    from glmdeploy.plan.price import estimate
    from glmdeploy.plan.saved import OPTIONS, save
    from glmdeploy.report.plan import preview_text
    from glmdeploy.report.plan_data import preview_data
    from glmdeploy.report.plan_markdown import preview_markdown

    with busy(wanted.app, "looks at what runs", quiet=common.is_quiet()) as waiting:
        wanted = resolved(wanted, destination, tell=waiting.note, ask=False)
        found = preview(wanted, destination, **{name: options[name] for name in OPTIONS})
    data = preview_data(found, estimate(wanted))
    if as_json:
        common.echo_json(data)
    elif as_markdown:
        common.echo(preview_markdown(data, wanted))
    else:
        for line in preview_text(data, wanted, common.width(), everything=options["everything"]):
            common.echo(line)
        _warnings(findings, everything=options["everything"])
    if options["out"]:
        if wanted.model.commit is None:
            raise GlmdeployError(
                "the plan is not saved: the commit of its model is not known, and `apply` could not do exactly it",
                advice="write the commit's hash as `model.revision`, or set HF_TOKEN to one that may read it",
            )
        save(options["out"], saved(found, data))
        common.note(f"wrote {options['out']}: `{common.program()} apply {options['out']}` does exactly this")
    return CHANGES if options["detailed_exitcode"] and found.acts else 0


def _warnings(findings: Sequence[Finding], *, everything: bool) -> None:
    """How many there are; each with ``--all``, on standard error as with every command."""
    from glmdeploy.findings import Severity
    from glmdeploy.report.text import finding_line
    from glmdeploy.report.words import counted
    from glmdeploy.report.wrap import wrapped

    standing = [each for each in findings if each.severity is Severity.WARNING and not each.waived]
    if everything:
        for each in standing:
            click.echo(finding_line(each), err=True)
    elif standing:
        text = f"{counted(len(standing), 'warning')}. `--all` shows them and every value, `glmdeploy size` the memory."
        common.echo(wrapped(text, common.width()))
    else:
        common.echo(wrapped("`--all` shows every value, `glmdeploy size` the memory.", common.width()))
