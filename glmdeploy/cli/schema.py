"""``glmdeploy schema``."""

from __future__ import annotations

import click

from glmdeploy.cli.commands import Documented

EPILOG = """\b
Examples:
  glmdeploy schema > profile.schema.json
  glmdeploy schema | head
"""


@click.command(cls=Documented, epilog=EPILOG)
def schema() -> None:
    """Show the JSON Schema of profiles, for editors. It is of draft 2020-12."""
    from glmdeploy.profile import schema

    click.echo(schema.generate(), nl=False)
