"""``glmdeploy render``."""

from __future__ import annotations

from pathlib import Path

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  glmdeploy render mine.yaml -o app.py  # then `modal deploy app.py`
  glmdeploy render mine.yaml --set server.max_containers=1
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@common.profile_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def render(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], output: Path | None) -> None:
    """Write the profile's Modal app as a script for `modal deploy`. It stands alone."""
    from glmdeploy.app import script

    text = script.render(common.plan(profile, overlays, sets))
    if output is None:
        click.echo(text, nl=False)
    else:
        common.write(output, text)
