"""``glmdeploy apply``."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import __version__
from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from glmdeploy.operate.apply import Deployed, Needed
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.diff import Change
    from glmdeploy.plan.plan import Plan


@click.command()
@click.argument("profile")
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
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the endpoint answers.")
@click.option(
    "--strategy",
    type=click.Choice(["rolling", "recreate"]),
    default="rolling",
    show_default=True,
    help="rolling: old containers finish their requests; recreate: they are stopped at once.",
)
@click.option("--tag", default="", metavar="TEXT", help="A name for this deployment in Modal's history.")
@common.json_option
def apply(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], where: str, **options: Any) -> None:
    """Deploy a profile: show what changes, ask, prepare weights and kernels, deploy, and wait for an answer."""
    from glmdeploy import locks
    from glmdeploy.local.cloud import home
    from glmdeploy.operate import apply, target
    from glmdeploy.plan.diff import diff
    from glmdeploy.plan.plan import short_digest

    # When a connection breaks, the SDK's abandoned tasks would print tracebacks beside our own message.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    plan = common.plan(profile, overlays, sets)
    destination = target.connect(where, plan, options["environment"])
    with locks.exclusive(home() / "locks", f"{plan.app} on {where}"):
        now = apply.current(plan, destination)
        changes = _changes(now, plan, diff(now.data if now and now.data else {}, plan.data()))
        changed = now is None or now.digest != short_digest(plan) or now.version != __version__
        say = _speaker(as_json=options["as_json"])
        result: dict[str, Any] = {
            "app": plan.app,
            "target": where,
            "environment": destination.environment,
            "digest": plan.digest,
            "changed": changed or options["force"],
            "changes": _change_data(changes),
        }
        if not (changed or options["force"]):
            say(f"No changes: {plan.app} runs this plan ({short_digest(plan)[:12]}).")
            result["url"] = apply.endpoint(plan, destination)
        else:
            if not options["dry_run"]:
                for note in target.check_secrets(plan, destination):
                    say(note)
            need = apply.needed(plan, destination)
            _show(say, plan, destination, now, changes, need)
            result["stages"] = {"download": need.download, "compile": need.compile}
            if not options["dry_run"]:
                _confirm(yes=options["yes"], as_json=options["as_json"])
                result |= _deploy(plan, destination, need, options)
        if options["as_json"]:
            click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        elif "url" in result:
            _show_endpoint(plan, destination, result["url"])


def _speaker(*, as_json: bool) -> Any:
    def say(text: str) -> None:
        click.echo(text, err=as_json)

    return say


def _changes(now: Deployed | None, plan: Plan, changes: tuple[Change, ...]) -> tuple[Change, ...]:
    from glmdeploy.plan.diff import Change as Difference

    if now is None or now.version == __version__:
        return changes
    version = Difference(section="glmdeploy", name="version", old=now.version, new=__version__)
    return (version, *changes)


def _change_data(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
    from glmdeploy.report.values import change_data

    return [change_data(change) for change in changes]


def _show(
    say: Any, plan: Plan, target: Target, now: Deployed | None, changes: tuple[Change, ...], need: Needed
) -> None:
    from glmdeploy.report.values import changes_text

    if now and now.data is None:
        say(f"An app {plan.app} that glmdeploy did not deploy runs already; it will be replaced.")
    say(changes_text(changes) if changes else "The same plan is deployed again.")
    say(f"\nPlan: {'1 to update' if now else '1 to create'}: {plan.app} on {target}, {plan.gpu}.")
    stages = [name for name, run in (("download", need.download), ("compile", need.compile)) if run]
    say(f"Stages to run first: {', '.join(stages) or 'none, weights and kernels are there'}.")


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


def _deploy(plan: Plan, target: Target, need: Needed, options: dict[str, Any]) -> dict[str, Any]:
    from glmdeploy.operate import apply

    try:
        if need.download or need.compile:
            apply.run_stages(plan, target, need, lambda stage: _progress(f"Stage {stage} ..."))
        _progress("Deploying ...")
        apply.deploy(plan, target, strategy=options["strategy"], tag=options["tag"])
    except (GlmdeployError, KeyboardInterrupt):
        _progress("Nothing was deployed: what ran before still runs. Finished stages are kept.")
        raise
    url = apply.endpoint(plan, target)
    result: dict[str, Any] = {"url": url}
    if options["wait"]:
        _progress("Waiting for the endpoint's first answer ...")
        try:
            seconds = apply.wait_until_healthy(url, target, plan.server.seconds("startup_timeout") + apply.WAIT_MARGIN)
        except (GlmdeployError, KeyboardInterrupt):
            _progress(f"The app is deployed ({url}), but has not answered yet.")
            raise
        result["healthy_after"] = round(seconds, 1)
        _progress(f"Healthy after {seconds:.1f} s.")
    return result


def _show_endpoint(plan: Plan, target: Target, url: str) -> None:
    body = {"model": plan.model.served_name, "messages": [{"role": "user", "content": "Hello"}]}
    click.echo(f"\nEndpoint: {click.style(url, bold=True)}\n")
    header = ""
    if plan.api_key:
        key = plan.api_key.keys[0]
        header = f' -H "Authorization: Bearer ${key}"'
        value = f'"$({common.program()} local secret {plan.api_key.name} {key})"' if target.cloud else "..."
        click.echo(f"  export {key}={value}")
    click.echo(
        f"  curl {shlex.quote(url + '/v1/chat/completions')}{header}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
