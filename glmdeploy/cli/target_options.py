"""Where a command acts, as options; and what a shell completes: profiles, deployed apps, sides of a comparison.

A completion that cannot be had in time is none: whoever presses the key is told nothing.
"""

from __future__ import annotations

import contextlib
import functools
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COMPLETION_SECONDS = 3.0
"""What a shell waits for names at most."""


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--target`` and ``--env``, passed on as ``where`` and ``environment``."""

    @click.option(
        "--target",
        "where",
        type=click.Choice(["modal", "local"]),
        default="modal",
        show_default=True,
        envvar="GLMDEPLOY_TARGET",
        help="Modal, or the embedded cloud on this machine; GLMDEPLOY_TARGET changes the default.",
    )
    @click.option("-e", "--env", "environment", metavar="NAME", help="Modal Environment.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def complete_profile(_: click.Context, __: click.Parameter, incomplete: str) -> list[Any]:
    """Bare names of profiles, and paths."""
    from click.shell_completion import CompletionItem

    paths = [CompletionItem(incomplete, type="file")] if "/" in incomplete or "." in incomplete else []
    return [*_items(_profiles(), incomplete), *paths] or [CompletionItem(incomplete, type="file")]


def complete_app_or_profile(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Names of deployed apps, and what :func:`complete_profile` has."""
    apps = _apps(context)
    return [*_items(apps, incomplete), *complete_profile(context, parameter, incomplete)]


def complete_side(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """What ``diff`` compares: ``live:APP``, ``live:APP@VERSION``, ``git:``, and profiles."""
    if incomplete.startswith("live:"):
        app, at, _ = incomplete.partition("@")
        if at:
            return _items((f"{app}@{version}" for version in _versions(context, app.removeprefix("live:"))), incomplete)
        return _items((f"live:{each}" for each in _apps(context)), incomplete)
    return [*_items(("live:", "git:"), incomplete), *complete_profile(context, parameter, incomplete)]


def _items(names: Iterable[str], incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _profiles() -> list[str]:
    from glmdeploy.resources import profiles_dir

    found = {path.stem for folder in (Path("profiles"), profiles_dir()) for path in folder.glob("*.yaml")}
    return sorted(found)


def _apps(context: click.Context) -> list[str]:
    def look() -> list[str]:
        target = _target(context)
        from glmdeploy.operate.listing import names

        return sorted(names(target))

    return soon(look)


def _versions(context: click.Context, app: str) -> list[str]:
    def look() -> list[str]:
        target = _target(context)
        from glmdeploy.operate.history import numbers

        return numbers(app, target)

    return soon(look)


def _target(context: click.Context) -> Any:
    from glmdeploy.operate.target import connect

    options = context.params
    return connect(options.get("where") or "modal", None, options.get("environment"), reading=True)


def soon(look: Callable[[], list[str]]) -> list[str]:
    """What it finds within :data:`COMPLETION_SECONDS`; nothing where it fails. Nothing is printed: a shell reads it."""
    found: list[str] = []

    def run() -> None:
        with contextlib.suppress(BaseException):
            found.extend(look())

    common.quiet()
    thread = threading.Thread(target=run, daemon=True)
    with contextlib.redirect_stderr(io.StringIO()):
        thread.start()
        thread.join(COMPLETION_SECONDS)
    return [*found]
