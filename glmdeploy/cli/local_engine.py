"""``glmdeploy local engine``: the real SGLang on this machine's CPU, behind the embedded cloud."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.cli.commands import DocumentedGroup

if TYPE_CHECKING:
    from glmdeploy.sglang.real.install import Progress


EPILOG = """\b
Examples:
  glmdeploy local engine install                           # once
  glmdeploy apply local-cpu --target local --make-secrets  # it answers
"""
INSTALL = """\b
Examples:
  glmdeploy local engine install
  glmdeploy local engine install && glmdeploy local engine status
"""
STATUS = """\b
Examples:
  glmdeploy local engine status
  glmdeploy local engine status --json

Exit codes: 0 it is installed, 1 it is not.
"""
REMOVE = """\b
Examples:
  glmdeploy local engine remove
  glmdeploy local engine remove && glmdeploy local engine install  # afresh
"""


@click.group(cls=DocumentedGroup, epilog=EPILOG)
def engine() -> None:
    """Manage the real engine: SGLang on this machine's CPU.

    Where it is installed, it answers in the embedded cloud to profiles with `device: cpu` and its release, as
    `local-cpu` is. A stand-in answers to all others, and says so.
    """


@engine.command(epilog=INSTALL)
def install() -> None:
    """Install it: 0.4 GB to download, 1.8 GB on disk. Where it is installed already, nothing is done."""
    from glmdeploy.sglang.real.environment import engine_cache, engine_folder
    from glmdeploy.sglang.real.install import install_engine

    cache = engine_cache()
    with Bars() as bars:
        install_engine(cache, bars.tell)
    click.echo(f"installed: {_name()}, in {engine_folder(cache)}")


@engine.command(epilog=STATUS)
@common.json_option
def status(as_json: bool) -> int:
    """Show whether it is installed."""
    from glmdeploy.sglang.real.environment import ENGINE_VERSION, engine_cache, engine_folder, existing_engine

    cache = engine_cache()
    found = existing_engine(cache) is not None
    if as_json:
        data = {"installed": found, "sglang": ENGINE_VERSION, "folder": str(engine_folder(cache))}
        click.echo(json.dumps(data, indent=2))
    elif found:
        click.echo(f"installed: {_name()}, in {engine_folder(cache)}")
    else:
        click.echo(f"not installed: {_name()} (`glmdeploy local engine install`)")
    return 0 if found else 1


@engine.command(epilog=REMOVE)
def remove() -> None:
    """Remove it; nothing else is lost."""
    from glmdeploy.sglang.real.environment import engine_cache
    from glmdeploy.sglang.real.install import remove_engine

    cache = engine_cache()
    click.echo(f"Removed from {cache}." if remove_engine(cache) else f"There is none in {cache}.")


def _name() -> str:
    from glmdeploy.sglang.real.environment import ENGINE_VERSION

    return f"SGLang {ENGINE_VERSION} for this machine's CPU"


class Bars:
    """A bar for each step, one after another, on standard error; where that is no terminal, a line for each."""

    def __init__(self) -> None:
        self._step = ""
        self._bar: Any = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def tell(self, progress: Progress) -> None:
        if progress.step != self._step:
            self._open.close()
            label = {"download": "Downloading", "unpack": "Unpacking", "check": "Checking"}[progress.step]
            size = f" {progress.whole / 1e9:.1f} GB" if progress.whole else ""
            bar = click.progressbar(length=progress.whole or 1, label=f"{label}{size}", file=sys.stderr)
            self._step, self._bar = progress.step, self._open.enter_context(bar)
        self._bar.update(progress.done - self._bar.pos)
