"""``glmdeploy history``."""

from __future__ import annotations

import click

from glmdeploy.cli import app, common, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy

SHOWN = 20
"""Versions, where not all are asked for."""

EPILOG = """\b
Examples:
  glmdeploy history glm51-fp8
  glmdeploy history profiles/b200-eagle-bf16kv.yaml --json
"""


@click.command(cls=Documented, epilog=EPILOG)
@app.app_argument
@target_options.target_options
@click.option("--all", "everything", is_flag=True, help=f"All versions, instead of the {SHOWN} newest.")
@common.json_option
def history(named: str, where: str, environment: str | None, everything: bool, as_json: bool) -> None:
    """Show the versions of an app, and what each changed.

    "verified" is a version of which a container has said that it is ready, with what was planned; the log tells that
    for 35 days.
    """
    found = app.target_app(named, where, environment, reading=True)

    from glmdeploy.operate.listing import not_deployed
    from glmdeploy.operate.versions import versions
    from glmdeploy.report.history import history_data, history_text

    with busy(found.app, "reads its versions", quiet=common.is_quiet()):
        past = versions(found.app, found.target, None if everything else SHOWN)
    if past is None:
        raise not_deployed(found.app, found.target)
    if as_json:
        common.echo_json(history_data(past))
        return
    for line in history_text(past, common.width()):
        common.echo(line)
