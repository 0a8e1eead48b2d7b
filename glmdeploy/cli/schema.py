"""``glmdeploy schema``."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Show the JSON Schema of profiles (draft 2020-12), for editors."""
    from glmdeploy.profile import schema

    click.echo(schema.generate(), nl=False)
