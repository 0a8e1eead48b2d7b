"""``glmdeploy destroy``."""

from __future__ import annotations

import contextlib

import click

from glmdeploy.cli import app, common, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy

EPILOG = """\b
Examples:
  glmdeploy destroy glm51-fp8
  glmdeploy destroy profiles/b200-eagle-bf16kv.yaml --volumes --dry-run
  glmdeploy destroy glm51-fp8 --target local --yes
"""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--volumes", is_flag=True, help="Remove its volumes too, but those that another deployed app uses.")
@click.option("--missing-ok", is_flag=True, help="It is no error that no such app is, or was, deployed.")
@app.api_key_option
@common.verbose_option
@common.json_option
def destroy(
    named: str,
    where: str,
    environment: str | None,
    yes: bool,
    dry_run: bool,
    volumes: bool,
    missing_ok: bool,
    api_key_env: str | None,
    as_json: bool,
) -> None:
    """Stop an app for good.

    Its containers end with their requests, its endpoint and its history are gone.

    Volumes with weights and kernels are kept, so that the next `apply` is quick; secrets are always kept. What an
    interrupted `destroy` has left, the next one does.
    """
    found = app.target_app(named, where, environment, reading=True)

    from glmdeploy.local.cloud import home
    from glmdeploy.operate.destroy import AppGone, VolumeRemoved, destruction, tear_down
    from glmdeploy.operate.listing import not_deployed
    from glmdeploy.operate.lock import exclusive
    from glmdeploy.report.destroy import destruction_data, destruction_text, step_text
    from glmdeploy.report.wrap import wrapped

    alone = contextlib.nullcontext() if dry_run else exclusive(home() / "locks", f"{found.app} on {where}")
    with alone:
        with busy(found.app, "what runs, and what it uses", quiet=common.is_quiet()):
            what = destruction(found.app, found.target, remove=volumes, api_key_env=api_key_env)
            if what.acts and not dry_run and found.target.asleep:
                found = app.awake(found)
                what = destruction(found.app, found.target, remove=volumes, api_key_env=api_key_env)
        if what.status.deployed is None and what.gone is None and found.profile is None and not missing_ok:
            raise not_deployed(found.app, found.target)
        result = destruction_data(what)
        for line in () if common.is_quiet() and (as_json or yes) else destruction_text(what, common.width()):
            click.echo(line, err=as_json)
        if what.acts and not dry_run:
            app.confirm("Destroy?", yes=yes, as_json=as_json, refused="nothing was destroyed")
            result["removed_volumes"] = []
            with busy(found.app, "it ends with its requests", quiet=common.is_quiet()) as waiting:
                for step in tear_down(what):
                    if (text := step_text(step)) and not common.is_quiet():
                        waiting.say(wrapped(text, common.width(err=as_json)), err=as_json)
                    match step:
                        case AppGone(seconds=seconds):
                            result["stopped_after"] = round(seconds, 1)
                            waiting.tell("its volumes go")
                        case VolumeRemoved(volume=volume):
                            result["removed_volumes"].append(volume.name)
    if as_json:
        common.echo_json(result)
