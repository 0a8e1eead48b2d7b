"""``glmdeploy import``."""

from __future__ import annotations

import json
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError
from glmdeploy.profile.text.characters import MAX_BYTES

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.imported import Imported


_OPENED = (Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders of what a process was given open."""
_PIPE = "a pipe"


EPILOG = """\b
Examples:
  glmdeploy import launch.sh -o mine.yaml           # a shell script
  glmdeploy import compose.yaml --gpu H100:8        # on another GPU
  glmdeploy command mine.yaml | glmdeploy import -  # and back

Exit codes: 0 a whole profile, 1 the file is refused, or something essential
is missing.
"""


@click.command("import", cls=Documented, epilog=EPILOG)
@click.argument("file", default="-", metavar="[FILE]", shell_complete=complete.files)
@click.option("--app", metavar="NAME", help="Name of the Modal app; default: after the model.")
@click.option("--name", metavar="NAME", help="Name of the profile; default: after the model and the GPU.")
@click.option(
    "--gpu",
    metavar="GPU",
    shell_complete=complete.gpus,
    help="GPU type and count of one node, such as B200:8; default: as the launch says.",
)
@click.option(
    "--sglang-version",
    metavar="VERSION",
    shell_complete=complete.releases,
    help="SGLang release; default: the one that the launch names, else the newest that takes all of its options.",
)
@click.option("--repo", metavar="ORG/NAME", help="The model on the Hugging Face Hub, where the launch names a folder.")
@click.option("--public", is_flag=True, help="An endpoint that is open to anyone, if the launch has no --api-key.")
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the profile to this file.")
@common.json_option
def import_(
    file: str,
    app: str | None,
    name: str | None,
    gpu: str | None,
    sglang_version: str | None,
    repo: str | None,
    public: bool,
    force: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Turn a launch of SGLang that exists already into a profile.

    FILE, or standard input, is a shell text, a file for SGLang's --config, or one that holds a launch: Docker Compose,
    Kubernetes, SkyPilot, a Dockerfile, a Modal script, a Makefile, a systemd unit, Markdown and others;
    docs/from-a-script.md lists them. What cannot be read is refused by its name. Nothing is executed, and no secret's
    value is copied. The profile goes to standard output, what could not be placed to standard error.
    """
    from glmdeploy.authoring.launch.imported import import_script
    from glmdeploy.authoring.launch.script import ImportOptions, decode
    from glmdeploy.authoring.schema_line import keep_schema

    # A device such as /dev/stdout is no file that is lost.
    if output is not None and (not output.exists() or output.is_file()):
        common.free(str(output), force=force)
    script = decode(_read(file), "<stdin>" if file == "-" else file)
    gpu = common.gpu(gpu) if gpu else None
    wanted = ImportOptions(app=app, name=name, gpu=gpu, sglang_version=sglang_version, repo=repo, public=public)
    place = str(output) if output else "<profile>"
    imported = import_script(script, wanted, file=place, output=output)
    if output is not None and imported.text is not None and imported.data is not None:
        common.write(output, imported.text)
        if kept := keep_schema(output, imported.data["sglang"]["version"]):
            common.note(f"wrote {kept}, by which editors judge it")
    _show(imported, as_json=as_json, written=str(output) if output else None)
    return int(not imported.complete)


def _read(file: str) -> bytes:
    """The bytes of a file, a pipe of the shell's or standard input: no more than what is certainly too many."""
    most = MAX_BYTES + 1
    try:
        if file in ("-", "/dev/stdin"):
            return sys.stdin.buffer.read(most)
        path = Path(file)
        if (kind := _unfit(path)) is not None:
            advice = "Pass what is written into it: glmdeploy import - < PIPE" if kind == _PIPE else None
            raise GlmdeployError(f"cannot read {file}: it is {kind}, not a file", advice=advice)
        with path.open("rb") as stream:
            return stream.read(most)
    except (OSError, ValueError) as error:
        launch = " " in file and isinstance(error, FileNotFoundError)
        raise GlmdeployError(
            f"cannot read {file}: {getattr(error, 'strerror', None) or error}",
            advice="a command goes to standard input: `echo COMMAND | glmdeploy import -`" if launch else None,
        ) from None


def _unfit(path: Path) -> str | None:
    """What a path is that is no file; None for a file, and for a pipe that a shell has opened: ``<(...)``."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISFIFO(mode):
        # To open one by its name waits for somebody who writes, maybe for ever.
        return None if path.parent in _OPENED else _PIPE
    return "a directory" if stat.S_ISDIR(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def _show(imported: Imported, *, as_json: bool, written: str | None) -> None:
    from glmdeploy.findings import Severity
    from glmdeploy.report.run import imported_data
    from glmdeploy.report.text import finding_text

    if as_json:
        click.echo(json.dumps(imported_data(imported), indent=2, ensure_ascii=False))
        return
    # What the rules find in the profile is what `validate` shows.
    told = [each for each in imported.findings if each.id == "import" or each.severity is Severity.ERROR]
    for finding in told:
        if finding.severity is Severity.ERROR or not common.is_quiet():
            click.echo(finding_text(finding, common.width(err=True)), err=True)
    common.note_warnings((each for each in imported.findings if each not in told), written)
    if imported.text is not None and written is None:
        click.echo(imported.text, nl=False)
    elif imported.complete and written is not None:
        common.note(f"next: {common.program()} apply {shlex.quote(written)} --target local --yes --make-secrets")
