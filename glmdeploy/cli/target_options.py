"""Where a command acts, as options."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


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
