"""``glmdeploy apply``."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.operate.preview import Preview
    from glmdeploy.profile.text.document import Document


@click.command()
@click.argument("profile")
@common.profile_options
@click.option(
    "--target",
    "where",
    type=click.Choice(["modal", "local"]),
    default="modal",
    show_default=True,
    envvar="GLMDEPLOY_TARGET",
    help="Modal, or the embedded cloud on this machine.",
)
@click.option("-e", "--env", "environment", metavar="NAME", help="Modal Environment.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Deploy even when nothing changes.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the endpoint answers.")
@click.option(
    "--strategy",
    type=click.Choice(["rolling", "recreate"]),
    default="rolling",
    show_default=True,
    help="rolling: old containers finish their requests; recreate: they are stopped at once.",
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
@click.option("--tag", default="", metavar="TEXT", help="A name for this deployment in Modal's history.")
@common.json_option
def apply(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], where: str, **options: Any) -> None:
    """Deploy a profile: show what changes, ask, prepare weights and kernels, deploy, and wait for an answer."""
    # What reads the SDK's configuration comes after the connection, which sets it.
    from glmdeploy.local.cloud import home
    from glmdeploy.operate import target

    as_json, dry_run = options["as_json"], options["dry_run"]
    make_secrets, verify = options["make_secrets"], options["verify_weights"]
    if make_secrets and where != target.LOCAL:
        raise UsageError(
            "--make-secrets is for the embedded cloud: nobody could use an endpoint with a made-up key",
            advice="create them with `modal secret create`, or add `--target local`",
        )
    # When a connection breaks, the SDK's abandoned tasks would print tracebacks beside our own message.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    document = common.document(profile, overlays, sets)
    plan = common.planned(document)
    destination = target.connect(where, plan, options["environment"])

    from glmdeploy.operate.apply import forget_failures
    from glmdeploy.operate.live import endpoint
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.operate.preflight import ArgumentsRefused
    from glmdeploy.operate.preview import preview
    from glmdeploy.operate.revision import resolved
    from glmdeploy.plan.price import estimate
    from glmdeploy.report.plan import preview_text
    from glmdeploy.report.plan_data import preview_data
    from glmdeploy.report.progress import endpoint_text

    plan = resolved(plan, destination, tell=_progress)
    with exclusive(home() / "locks", f"{plan.app} on {where}"):
        found = preview(
            plan,
            destination,
            force=options["force"],
            make_secrets=make_secrets,
            verify_weights=verify,
            judge=options["preflight"],
        )
        result = preview_data(found, estimate(plan))
        acts = found.acts and not dry_run
        if acts:
            found.check_secrets()
        for line in preview_text(result, plan, common.width()):
            click.echo(line, err=as_json)
        if acts:
            _confirm(yes=options["yes"], as_json=as_json)
            try:
                result |= _carry_out(found, strategy=options["strategy"], tag=options["tag"], wait=options["wait"])
            except ArgumentsRefused as refused:
                written = places(document, plan.sglang, refused.options)
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


def _confirm(*, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise GlmdeployError(
            "nobody can be asked: there is no terminal", advice="run again with --yes (-y) to go ahead"
        )
    if not click.confirm("Apply?", default=False):
        raise GlmdeployError("not applied")


def _progress(text: str) -> None:
    """On standard error, where the containers' logs go too: standard output has the plan and the result."""
    click.echo(text, err=True)


def _carry_out(found: Preview, *, strategy: str, tag: str, wait: bool) -> dict[str, Any]:
    from glmdeploy.operate.apply import carry_out
    from glmdeploy.operate.events import Judged, KeyRequired, Located, Published, WeightsVerified
    from glmdeploy.operate.proof import Healthy
    from glmdeploy.report.progress import event_text, preflight_data

    result: dict[str, Any] = {}
    published = False
    try:
        for event in carry_out(found, strategy=strategy, tag=tag, wait=wait):
            if text := event_text(event):
                _progress(text)
            match event:
                case Published():
                    published = True
                case Judged(found=found_in_order):
                    result.setdefault("preflight", []).append(preflight_data(found_in_order))
                case Located(url=url):
                    result["url"] = url
                case Healthy(seconds=seconds, task=task):
                    result |= {"healthy_after": round(seconds, 1), "proven": task is not None}
                case KeyRequired(required=required, proxy=proxy):
                    result["key_required"] = required
                    if proxy:
                        result["proxy_token_required"] = True
                case WeightsVerified(files=files):
                    result["weights"] = {"verified": files}
    except (GlmdeployError, KeyboardInterrupt):
        if "healthy_after" in result:
            _progress(f"The app is deployed ({result['url']}) and answers.")
        elif "url" in result:
            _progress(f"The app is deployed ({result['url']}), but has not answered yet.")
        elif published:
            _progress("The app is deployed; its address is not known.")
        else:
            _progress("Nothing was deployed: what ran before still runs. Finished stages are kept.")
        raise
    return result
