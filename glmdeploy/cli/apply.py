"""``glmdeploy apply``."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import app, common, following
from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.operate.preview import Preview
    from glmdeploy.plan.saved import Saved
    from glmdeploy.profile.text.document import Document


TAG_CHARACTERS = 29
"""As ``history.NOTE_CHARACTERS``, which is not imported for the help alone."""


def _tag(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and not re.fullmatch(rf"[a-zA-Z0-9._-]{{1,{TAG_CHARACTERS}}}", value):
        raise click.BadParameter(
            f"up to {TAG_CHARACTERS} letters, digits, dots, dashes and underscores are wanted", context, parameter
        )
    return value


@click.command(
    epilog="Examples: glmdeploy apply b200-eagle-bf16kv; glmdeploy apply prod.yaml -e prod --canary --yes; "
    "glmdeploy plan prod.yaml --out prod.plan, then glmdeploy apply prod.plan."
)
@click.argument("profile", metavar="PROFILE|PLANFILE")
@common.profile_options
@click.option(
    "--target",
    "where",
    type=click.Choice(["modal", "local"]),
    default="modal",
    show_default=True,
    help="Modal, or the embedded cloud on this machine.",
)
@click.option("-e", "--env", "environment", metavar="NAME", help="Modal Environment.")
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
@click.option(
    "--tag",
    default="",
    callback=_tag,
    metavar="TEXT",
    help=f"A name for this deployment in Modal's history: up to {TAG_CHARACTERS} letters, digits, dots, dashes and "
    "underscores.",
)
@common.json_option
def apply(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], where: str, **options: Any) -> None:
    """Deploy a profile: show what changes, ask, prepare weights and kernels, deploy, and see it serve.

    What runs goes on serving until the new version has proved itself; one that does not start is taken back. Changes of
    the autoscaler alone need no deployment. A file that `plan --out` wrote is done exactly as it stands, or refused.
    """
    # What reads the SDK's configuration comes after the connection, which sets it.
    from glmdeploy.local.cloud import home
    from glmdeploy.operate import target

    as_json, dry_run = options["as_json"], options["dry_run"]
    app.quiet()
    saved = _saved(profile, options, given=bool(overlays or sets))
    if saved:
        where, document, plan = saved.target, None, saved.plan
        destination = target.connect(where, plan, saved.environment, reading=dry_run)
    else:
        if options["make_secrets"] and where != target.LOCAL:
            raise UsageError(
                "--make-secrets is for the embedded cloud: nobody could use an endpoint with a made-up key",
                advice="create them with `modal secret create`, or add `--target local`",
            )
        document = common.document(profile, overlays, sets)
        plan = common.planned(document)
        destination = target.connect(where, plan, options["environment"], reading=dry_run)

    from glmdeploy.operate.apply import forget_failures
    from glmdeploy.operate.live import endpoint
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.preflight import ArgumentsRefused
    from glmdeploy.operate.preview import preview
    from glmdeploy.operate.revision import resolved
    from glmdeploy.operate.saved import saved_preview
    from glmdeploy.plan.price import estimate
    from glmdeploy.report.plan import preview_text
    from glmdeploy.report.plan_data import preview_data
    from glmdeploy.report.progress import endpoint_text

    if not saved:
        plan = resolved(plan, destination, tell=following.say, ask=not dry_run)
    with exclusive(home() / "locks", f"{plan.app} on {where}") if not dry_run else contextlib.nullcontext():
        found = (
            saved_preview(saved, destination)
            if saved
            else preview(
                plan,
                destination,
                force=options["force"],
                adopt=options["adopt"],
                make_secrets=options["make_secrets"],
                verify_weights=options["verify_weights"],
                judge=options["preflight"],
            )
        )
        result = preview_data(found, estimate(plan))
        acts = found.acts and not dry_run
        if acts:
            found.check_secrets()
        for line in [*preview_text(result, plan, common.width()), *_how(found, options)]:
            click.echo(line, err=as_json)
        if acts:
            app.confirm("Apply?", yes=options["yes"], as_json=as_json, refused="not applied")
            try:
                result |= _carry_out(found, options)
            except ArgumentsRefused as refused:
                written = places(document, plan.sglang, refused.options) if document else ()
                refused.advice = "\n".join([*written, *filter(None, [refused.advice])])
                raise
        elif not dry_run:
            forget_failures(plan, destination)
        if not found.changed:
            result["url"] = endpoint(plan, destination)
        if as_json:
            click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        elif "url" in result:
            click.echo(endpoint_text(plan, destination, result["url"], program=common.program()))


def _saved(profile: str, options: Mapping[str, Any], *, given: bool) -> Saved | None:
    """The plan in a file that ``plan --out`` wrote; None for a profile.

    :raises UsageError: for options that would make another plan of it.
    """
    from glmdeploy.plan.saved import OPTIONS, is_saved, load_saved

    path = Path(profile)
    if not is_saved(path):
        return None
    others = [f"--{name.replace('_', '-')}" for name in OPTIONS if options.get(name)]
    if given or options["environment"]:
        others += ["--overlay, --set and --env"]
    if others:
        raise UsageError(
            f"{path} is a saved plan, which is done as it stands: {', '.join(others)} cannot change it",
            advice="plan again with these options",
        )
    return load_saved(path)


def _how(found: Preview, options: Mapping[str, Any]) -> Iterator[str]:
    """What the way of deploying it means for those who are served, where that is not the usual one."""
    if not found.changed:
        return
    if options["strategy"] == "recreate" and found.now:
        yield "recreate: what runs is stopped at once, and nobody is answered for a whole cold start."
    if options["canary"]:
        yield (
            "canary: the plan is tried as a second app first: twice the GPUs meanwhile, and two cold starts instead of "
            "one."
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


def _carry_out(found: Preview, options: Mapping[str, Any]) -> dict[str, Any]:
    from glmdeploy.operate.apply import carry_out
    from glmdeploy.operate.rollout import Guard

    guard = Guard(
        wait=options["wait"],
        take_back=not options["no_rollback"],
        seconds=options["timeout"],
        strategy=options["strategy"],
    )
    return following.followed(carry_out(found, guard=guard, tag=options["tag"], canary=options["canary"]))
