"""``glmdeploy diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common, complete, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.sides import Folder, Side
    from glmdeploy.operate.target import Target

EPILOG = """\b
Examples:
  glmdeploy diff mine.yaml other.yaml             # two profiles
  glmdeploy diff live:glm51-fp8 mine.yaml         # what runs, and a profile
  glmdeploy diff live:glm51-fp8@7 live:glm51-fp8  # two versions of an app
  glmdeploy diff git:main:mine.yaml mine.yaml     # committed, and now
  glmdeploy diff git:v1.2:profiles profiles       # folders

Exit codes: 0 the same, 1 different, 2 trouble.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("old", shell_complete=complete.sides)
@click.argument("new", shell_complete=complete.sides)
@common.profile_options
@target_options.target_options
@common.all_option("Show every change, also those of the compilation that repeat those of the server.")
@common.json_option
def diff(
    old: str,
    new: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    where: str,
    environment: str | None,
    everything: bool,
    as_json: bool,
) -> int:
    """Show what changes from OLD to NEW. Warnings that come and go are told too.

    Each is a profile; live:APP or live:APP@VERSION, what runs or ran under that name; git:REVISION:PATH, a profile as a
    revision of this Git repository has it, with what it extends; or both are folders, whose profiles are matched by
    file name. Overlays and --set are laid over profiles, not over what runs.
    """
    from glmdeploy.authoring.sides import Side

    try:
        reached = _Reached(where, environment)
        before, after = (_side(text, overlays, sets, reached) for text in (old, new))
        if isinstance(before, Side) and isinstance(after, Side):
            return _two(before, after, as_json=as_json, everything=everything)
        if isinstance(before, Side) or isinstance(after, Side):
            raise UsageError("a folder is compared with a folder, and a profile with a profile")
        return _folders(before, after, as_json=as_json, everything=everything)
    except GlmdeployError as error:
        error.exit_code = 2
        raise


class _Reached:
    """The target, connected when a side needs it."""

    def __init__(self, where: str, environment: str | None) -> None:
        self._where, self._environment = where, environment
        self._target: Target | None = None

    def target(self) -> Target:
        if self._target is None:
            from glmdeploy.operate.target import connect

            self._target = connect(self._where, None, self._environment, reading=True)
        return self._target


def _side(text: str, overlays: tuple[str, ...], sets: tuple[str, ...], reached: _Reached) -> Side | Folder:
    from glmdeploy.authoring import sides

    named = sides.live(text)
    if named is None:
        return sides.side(text, overlays, sets)
    app, number = named
    from glmdeploy.cli.app import plan_data

    return sides.Side(name=text, data=plan_data(app, number, reached.target()))


def _two(before: Side, after: Side, *, as_json: bool, everything: bool) -> int:
    from glmdeploy.report import sides

    found = sides.between(before, after)
    if as_json:
        common.echo_json(sides.difference_data(found))
    else:
        common.echo(sides.difference_text(found, common.width(), everything=everything))
    return int(not found.same)


def _folders(before: Folder, after: Folder, *, as_json: bool, everything: bool) -> int:
    from glmdeploy.report import sides

    pairs = sides.pairs(before, after)
    if as_json:
        common.echo_json(sides.pairs_data(pairs))
    else:
        common.echo(sides.pairs_text(pairs, common.width(), everything=everything))
    return _code(sides.pairs_data(pairs))


def _code(data: Mapping[str, Any]) -> int:
    return 2 if any("error" in each for each in data["profiles"]) else int(not data["same"])
