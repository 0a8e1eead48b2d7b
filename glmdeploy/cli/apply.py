"""``glmdeploy apply``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import app, common, complete, following, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import DeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.cli.live import Busy
    from glmdeploy.findings import Finding
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan
    from glmdeploy.plan.saved import Saved
    from glmdeploy.profile.text.document import Document


EPILOG = """\b
Examples:
  glmdeploy apply mine.yaml --target local  # rehearse it on this machine
  glmdeploy apply mine.yaml                 # shows what changes, and asks
  glmdeploy apply prod.plan                 # what `glmdeploy plan --out` saved
  glmdeploy apply profiles/ --yes           # each of a folder
"""


@click.command(
    cls=Documented,
    epilog=EPILOG,
)
@click.argument(
    "profiles", nargs=-1, required=True, metavar="PROFILE|PLAN...", shell_complete=complete.profiles_or_plans
)
@common.profile_options
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Deploy even when nothing changes.")
@click.option("--adopt", is_flag=True, help="Replace an app of this name that glmdeploy did not deploy.")
@click.option(
    "--strategy",
    type=click.Choice(["rolling", "recreate"]),
    default="rolling",
    show_default=True,
    help="rolling: old containers serve until a new one does; recreate: they are stopped at once, an outage of a "
    "whole cold start.",
)
@click.option(
    "--canary",
    is_flag=True,
    help="Try the plan as a second app first, which is stopped again: twice the GPUs meanwhile, and two cold starts.",
)
@following.guard_options
@click.option(
    "--tag",
    default="",
    show_default=False,
    callback=following.tag,
    metavar="TEXT",
    help="A name for this deployment in Modal's history: up to 29 letters, digits, dots, dashes and underscores.",
)
@click.option(
    "--make-secrets", is_flag=True, help="Make missing secrets up, with random values; for the embedded cloud alone."
)
@click.option(
    "--verify-weights",
    is_flag=True,
    help="Read all weights in the volume, compare them with the hub's hashes, and fetch anew what differs.",
)
@click.option(
    "--preflight/--no-preflight",
    default=True,
    show_default=True,
    help="Ask the image's own SGLang, on a CPU, whether it takes the arguments. Secrets and room are looked at anyway.",
)
@click.option("--parallel", type=click.IntRange(1, 64), metavar="N", help="Of several profiles so many at a time (4).")
@common.verbose_option
@common.json_option
@click.pass_context
def apply(context: click.Context, /, profiles: tuple[str, ...], where: str, **options: Any) -> int:
    """Deploy a profile, once you agree, and see that it serves.

    Weights and kernels are prepared first. What ran before serves until a container of the new version has proved
    itself; what does not is taken back. A saved plan is done exactly, or refused because the world moved. Several
    profiles, or a folder, are applied side by side.
    """
    if common.are_many(profiles):
        from glmdeploy.cli import many

        return many.many(context, profiles, _planning())
    # What reads the SDK's configuration comes after the connection, which sets it.
    from glmdeploy.local.cloud import home
    from glmdeploy.operate import target

    [profile] = profiles
    as_json, dry_run = options["as_json"], options["dry_run"]
    if options["make_secrets"] and where != target.LOCAL:
        raise UsageError(
            "`--make-secrets` is for the embedded cloud: nobody could use an endpoint with a made-up key",
            advice="create them with `modal secret create`, or add `--target local`",
        )
    common.quiet()
    kept = _saved(context, profile)
    document = None if kept else common.document(profile, options["overlays"], options["sets"])
    plan, findings = (kept.plan, ()) if kept else _planned(document)
    if kept:
        where, options["environment"] = kept.target, kept.environment
    with busy(plan.app, f"asks {'the embedded cloud' if where == target.LOCAL else 'Modal'}", quiet=common.is_quiet()):
        destination = target.connect(where, plan, options["environment"], reading=dry_run)
    following.kept(plan.app, "apply")

    from glmdeploy.operate.apply import carry_out, finish, forget_failures
    from glmdeploy.operate.live import endpoint
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.preflight import ArgumentsRefused
    from glmdeploy.plan.price import estimate
    from glmdeploy.report.causes import likely
    from glmdeploy.report.plan import preview_text
    from glmdeploy.report.plan_data import preview_data
    from glmdeploy.report.progress import endpoint_text, headline
    from glmdeploy.report.steps import seconds_of, steps_of
    from glmdeploy.report.wrap import wrapped

    guard = following.guard(options)
    with contextlib.nullcontext() if dry_run else exclusive(home() / "locks", f"{plan.app} on {where}"):
        with busy(plan.app, "looks at what runs", quiet=common.is_quiet()) as waiting:
            found = _preview(kept, plan, destination, options, waiting)
        plan = found.plan
        estimated = estimate(plan)
        result = preview_data(found, estimated)
        told = {"as_json": as_json, "expected": {} if destination.cloud else seconds_of(estimated)}
        acts = found.acts and not dry_run
        if acts:
            found.check_secrets()
        if not (common.is_quiet() and (as_json or options["yes"])):
            for line in [*preview_text(result, plan, common.width()), *_how(found, options)]:
                click.echo(line, err=as_json)
        if acts:
            _check_room(found, options["strategy"])
            app.confirm("Apply?", yes=options["yes"], as_json=as_json, refused="not applied")
            try:
                steps = carry_out(found, guard=guard, tag=options["tag"], canary=options["canary"])
                names = steps_of(found, canary=options["canary"], wait=guard.wait)
                result |= following.followed(steps, changing=found.changed, stages=True, names=names, **told)
            except ArgumentsRefused as refused:
                written = places(document, plan.sglang, refused.options) if document else []
                refused.advice = "\n".join([*written, *filter(None, [refused.advice])])
                raise
            except DeployError as fault:
                causes = likely(f"{fault.message}\n{fault.advice}", findings, None if kept else profile)
                fault.advice = "\n".join([*causes, *filter(None, [fault.advice])]) or None
                raise
        if not found.changed and not dry_run:
            forget_failures(plan, destination)
            if guard.wait and found.now:
                result |= following.followed(finish(plan, destination, guard), changing=False, **told)
        if found.now and not found.changed and "url" not in result:
            result["url"] = endpoint(plan, destination)
        if as_json:
            click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        elif "url" in result and common.is_quiet():
            click.echo(result["url"])
        elif "url" in result:
            click.echo(f"\n{wrapped(headline(plan, result), common.width())}".rstrip())
            hourly = estimated.hourly
            click.echo(
                endpoint_text(
                    plan, destination, result["url"], program=common.program(), hourly=hourly, width=common.width()
                )
            )
    return 0


def _planned(document: Document | None) -> tuple[Plan, tuple[Finding, ...]]:
    """The plan of a profile and what the rules found, of which the number is told. :raises ProfileError:"""
    from glmdeploy.plan.make import plan_of

    assert document is not None
    plan, findings = plan_of(document)
    common.note_warnings(findings, document.files[0])
    return plan, tuple(findings)


def _planning() -> click.Command:
    """The command that shows what this one would do."""
    from glmdeploy.cli.plan import plan

    return plan


def _how(found: Preview, options: dict[str, Any]) -> Iterator[str]:
    """What the way of deploying it means for those who are served."""
    if found.changed and options["strategy"] == "recreate" and found.now:
        yield "recreate: what runs is stopped at once, and nobody is answered for a whole cold start."
    if found.changed and options["canary"]:
        yield (
            "canary: the plan is tried as a second app first: twice the GPUs meanwhile, and two cold starts instead of "
            "one."
        )


def _check_room(found: Preview, strategy: str) -> None:
    """:raises DeployError: where a new container cannot come up beside those that serve, whatever is waited for."""
    if not (found.changed and found.shortage and found.shortage.certain):
        return
    if found.running and strategy == "rolling":
        raise DeployError(
            f"there is no room for a new version beside the one that serves: {found.shortage.text}",
            advice="raise the limit; or, with nobody served for a whole cold start, `--strategy recreate`",
        )
    if not found.running:
        raise DeployError(f"there is no room for it: {found.shortage.text}", advice="raise the limit")


def _saved(context: click.Context, named: str) -> Saved | None:
    """The plan of a file that holds one; None for a profile.

    :raises UsageError: for options that a saved plan was made with already.
    """
    from glmdeploy.plan.saved import load_saved, may_be_saved

    path = Path(named)
    if named == "-" or not may_be_saved(path):
        return None
    kept = load_saved(path)
    made = ("overlays", "sets", "where", "environment", "force", "adopt", "make_secrets", "verify_weights")
    given = [name for name in made if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        words = {"overlays": "overlay", "sets": "set", "where": "target", "environment": "env"}
        options = ", ".join(f"--{words.get(name, name).replace('_', '-')}" for name in given)
        raise UsageError(
            f"{named} is a saved plan: {options} stands in it already", advice=f"leave {options} out, or plan again"
        )
    return kept


def _preview(kept: Saved | None, plan: Plan, destination: Target, options: dict[str, Any], waiting: Busy) -> Preview:
    from glmdeploy.operate.preview import preview
    from glmdeploy.operate.revision import resolved
    from glmdeploy.operate.saved import saved_preview

    if kept:
        return saved_preview(kept, destination)
    return preview(
        resolved(plan, destination, tell=waiting.note, ask=not options["dry_run"]),
        destination,
        force=options["force"],
        adopt=options["adopt"],
        make_secrets=options["make_secrets"],
        verify_weights=options["verify_weights"],
        judge=options["preflight"],
    )


def places(document: Document, release: str, options: Sequence[str]) -> Iterator[str]:
    """Where the profile sets the options."""
    from glmdeploy.sglang import catalog
    from glmdeploy.sglang.catalog import AmbiguousOption, UnknownOption

    known = catalog.load(release)

    def same(one: str, other: str) -> bool:
        try:
            return one == other or known.find(one) == known.find(other)
        except (AmbiguousOption, UnknownOption):
            return False

    for name in document.data.get("sglang", {}).get("args", {}):
        if any(same(name, option) for option in options):
            place = document.locate(("sglang", "args", name), key=True)
            yield f"  {place.file}:{place.line}:{place.column}: sglang.args.{name}"
