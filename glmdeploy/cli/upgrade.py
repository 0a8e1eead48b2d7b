"""``glmdeploy upgrade``."""

from __future__ import annotations

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import UsageError

EPILOG = """\b
Examples:
  glmdeploy upgrade mine.yaml --to 0.5.23          # what changes
  glmdeploy upgrade mine.yaml --to 0.5.23 --write  # and write it

Exit codes: 0 possible, 1 something cannot be translated.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="VERSION",
    shell_complete=complete.releases,
    help="The SGLang release to pin.",
)
@click.option("--image", metavar="IMAGE", help="The image with that release; left out: suggested from the old tag.")
@click.option("--write", is_flag=True, help="Edit the profile's file, with comments and layout kept.")
@common.all_option("Show all defaults that change, and remarks; findings in full.")
@common.json_option
def upgrade(profile: str, target: str, image: str | None, write: bool, everything: bool, as_json: bool) -> int:
    """Pin a profile to another SGLang release. Shows what changes; --write writes it."""
    from glmdeploy.authoring import upgrade
    from glmdeploy.report import values

    if write and profile == "-":
        raise UsageError("standard input cannot be edited: name a file")
    document = common.document(profile)
    result = upgrade.upgraded(document, target, image)
    found = result.translation
    if result.target == result.source and not (found.changes or found.impossible or image or as_json):
        common.note(f"{document.files[0]} is on SGLang {target} already: nothing to do")
        return 0
    impossible = bool(result.translation.impossible)
    written = write and not impossible
    kept = upgrade.write(document, result) if written else None
    if as_json:
        common.echo_json(values.upgrade_data(result, written=written))
    else:
        common.echo(values.upgrade_text(result, common.width(), everything=everything))
        common.note(_outcome(document.files[0], asked=write, impossible=impossible))
        if kept:
            common.note(f"Wrote {kept}, by which editors judge it.")
    return int(impossible)


def _outcome(file: str, *, asked: bool, impossible: bool) -> str:
    if impossible:
        return "Nothing was written: decide what cannot be translated first."
    return f"Wrote {file}." if asked else "Nothing was written: --write edits the profile."
