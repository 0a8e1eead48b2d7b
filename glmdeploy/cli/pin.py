"""``glmdeploy pin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.own_file import OwnFile
    from glmdeploy.authoring.pin import Pin
    from glmdeploy.profile.text.document import Document

EPILOG = """\b
Examples:
  glmdeploy pin mine.yaml                    # write what they are today
  glmdeploy pin mine.yaml --check            # in CI: 1 where one has moved
  glmdeploy pin mine.yaml --image --dry-run  # show what would be written
  glmdeploy pin mine.yaml --revision main    # move on to what `main` is today

Exit codes: 0 done, 1 could not be done; with --check, 1 for what is not
pinned, or whose tag has moved.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@click.option("--model", is_flag=True, help="Only the model's commit.")
@click.option("--image", is_flag=True, help="Only the image's digest.")
@click.option("--revision", metavar="NAME", help="The branch or tag whose commit is meant; default: the profile's.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where something is not pinned, or has moved.")
@click.option("--dry-run", is_flag=True, help="Show the edit as a diff, and write nothing.")
@common.json_option
def pin(profile: str, model: bool, image: bool, revision: str | None, check: bool, dry_run: bool, as_json: bool) -> int:
    """Write the model's commit and the image's digest into a profile.

    They are what the hub and the registry tell today. The profile's own file is edited, with comments and layout kept;
    a value of a file that it extends is overridden. The registry is asked as everyone may ask it, the hub with your
    HF_TOKEN.
    """
    from glmdeploy.authoring import pin
    from glmdeploy.report import pins

    if profile == "-" and not check:
        raise UsageError("standard input cannot be edited: name a file, or use `--check`")
    if check and dry_run:
        raise UsageError("`--check` and `--dry-run` contradict each other: neither writes")
    if revision and image and not model:
        raise UsageError("`--revision` is the model's: leave out `--image`")
    document = common.document(profile)
    found = list(_pins(document, model=model or not image, image=image or not model, revision=revision))
    file: OwnFile | None = None
    if not check:
        file = pin.pinned(document, found)
        again = pins.kernels_again(document, file.document)
        if not dry_run:
            file.write()
    wrote = file is not None and not dry_run and file.text != file.saved
    if as_json:
        common.echo_json(pins.pins_data(found, file=document.files[0], wrote=wrote))
    else:
        common.echo(pins.pins_text(found))
        if file is not None and file.text != file.saved:
            if dry_run:
                common.echo(pins.edit_text(file))
            if again:
                common.note(again)
            common.note("nothing was written" if dry_run else f"wrote {document.files[0]}")
    return int(check and any(each.state is not pin.State.PINNED for each in found))


def _pins(document: Document, *, model: bool, image: bool, revision: str | None) -> Iterator[Pin]:
    from glmdeploy.authoring.pin import image_pin, model_pin
    from glmdeploy.operate.registry import image_digest
    from glmdeploy.operate.revision import commit

    if model:
        with busy("hub", "which commit the revision means", quiet=common.is_quiet()):
            found = model_pin(document, commit, revision)
        yield found
    if image:
        with busy("registry", "which digest the tag means", quiet=common.is_quiet()):
            found = image_pin(document, image_digest)
        yield found
