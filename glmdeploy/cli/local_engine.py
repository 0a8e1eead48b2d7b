"""``glmdeploy local engine``: the real SGLang on this machine's CPU, behind the embedded cloud."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common
from glmdeploy.cli.commands import DocumentedGroup
from glmdeploy.cli.live import busy
from glmdeploy.report.words import count_bytes

if TYPE_CHECKING:
    from glmdeploy.cli.live import Busy
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
    with busy("engine", quiet=common.is_quiet()) as waiting:
        install_engine(cache, lambda progress: tell(waiting, progress))
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


_STEPS = {"download": "downloading", "unpack": "unpacking", "check": "checking"}


def tell(waiting: Busy, progress: Progress) -> None:
    """How far a step of an installation is."""
    words = _STEPS[progress.step]
    if progress.whole:
        words += f" {count_bytes(progress.done)} of {count_bytes(progress.whole)}"
    waiting.tell(words, done=progress.done, whole=progress.whole)
