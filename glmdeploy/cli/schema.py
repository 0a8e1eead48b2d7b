"""``glmdeploy schema``."""

from __future__ import annotations

import click

from glmdeploy.cli import common
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import UsageError

EPILOG = """\b
Examples:
  glmdeploy schema mine.yaml --write  # for the editor: its release
  glmdeploy schema --release 0.5.23 > profile.schema.json
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@click.option("--release", metavar="VERSION", help="Show the schema of this SGLang release.")
@click.option(
    "--write",
    is_flag=True,
    help="Write the schema of each PROFILE's release beside it, and the line at its top that names it for editors; "
    "without a PROFILE, renew the schemas of a checkout.",
)
def schema(profiles: tuple[str, ...], release: str | None, write: bool) -> int:
    """Show the JSON Schema of profiles, for editors.

    Of all SGLang releases, of one, or of the one that a PROFILE is on. With --write editors judge the PROFILE by it: a
    copy of the schema goes into the folder .glmdeploy of its repository, to be committed, and a comment at the top of
    the PROFILE names the copy.
    """
    from glmdeploy.authoring import schema_line
    from glmdeploy.profile import release_schema, schema
    from glmdeploy.resources import checkout

    if release and (profiles or write):
        raise UsageError("`--release` shows a schema by itself: leave out the profiles and `--write`")
    if write and profiles:
        for profile in profiles:
            if profile == "-":
                raise UsageError("standard input cannot be edited: name a file")
            changed = schema_line.name_schema(common.document(profile))
            for file in changed:
                common.note(f"wrote {file}")
            if not changed:
                common.note(f"{profile} names its release's schema, and that is there: nothing to write")
    elif write:
        if checkout() is None:
            raise UsageError("`--write` needs a profile: without one it renews the schemas of a checkout of glmdeploy")
        for path, text in release_schema.files():
            common.write(path, text)
    elif len(profiles) > 1:
        raise UsageError("one schema is shown at a time: name one profile")
    elif profiles:
        click.echo(release_schema.generate(schema_line.release_of(common.document(profiles[0]))), nl=False)
    elif release:
        click.echo(release_schema.generate(schema_line.known(release)), nl=False)
    else:
        click.echo(schema.generate(), nl=False)
    return 0
