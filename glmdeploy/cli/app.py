"""What the commands on a deployed app share: how the app is named, and where it runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common, complete, following
from glmdeploy.errors import GlmdeployError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.operate.target import Target

LIVE = "live:"
"""Before a name that means the deployed app, whatever profiles there are."""


@dataclass(frozen=True, kw_only=True)
class AppTarget:
    """A deployed app, as the command line names it. ``profile`` is the one that was read for it, None for a name."""

    app: str
    target: Target
    profile: str | None = None


def app_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """APP_OR_PROFILE, passed on as ``named``."""
    argument = click.argument("named", metavar="APP_OR_PROFILE", shell_complete=complete.apps)
    return argument(function)


def api_key_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--api-key-env``, passed on as ``api_key_env``: the name of a variable that is set."""
    option = click.option(
        "--api-key-env",
        metavar="NAME",
        callback=_set,
        help="Environment variable with the endpoint's API key: the engine is then asked how many requests run and "
        "wait. None is started for that; but of a Server, whose requests Modal does not count, each look is one. The "
        "embedded cloud's own keys are known.",
    )
    return option(function)


def _set(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not os.environ.get(name):
        raise click.BadParameter(f"the environment variable {name} is not set")
    return name


def target_app(named: str, where: str, environment: str | None, *, reading: bool) -> AppTarget:
    """Connect to where the named app runs; with ``reading``, without starting anything.

    ``named`` is a profile, as a path or by its bare name, whose ``app`` is meant; or the name of a deployed app. A bare
    name that is both means the profile, which is said; ``live:NAME`` is always the app.

    :raises GlmdeployError:
    """
    from glmdeploy.operate import target

    common.quiet()
    app, planned, profile = _read(named)
    destination = target.connect(where, None, environment, planned=planned, reading=reading)
    following.kept(app, str(click.get_current_context().info_name))
    if profile is not None and app != named and not _is_path(named):
        from glmdeploy.operate.history import find_app

        if find_app(named, destination) is not None:
            common.note(
                f"{named} is a profile and the name of a deployed app: the profile is meant, whose app is {app}; "
                f"the other one is {LIVE}{named}"
            )
    return AppTarget(app=app, target=destination, profile=profile)


def awake(found: AppTarget) -> AppTarget:
    """The same, to be changed: an embedded cloud that only its state was read of is started.

    :raises LocalCloudError: when it does not start.
    """
    from glmdeploy.operate import target

    if not found.target.asleep:
        return found
    return replace(found, target=target.connect(target.LOCAL, None, None))


def _is_path(named: str) -> bool:
    return named == "-" or "/" in named or "\\" in named or named.endswith((".yaml", ".yml"))


def _read(named: str) -> tuple[str, str | None, str | None]:
    """The app, and of a profile its Environment and name. A profile need not be valid: who would stop its app then?

    :raises ProfileError: for a file that cannot be read, or says no app.
    """
    if named.startswith(LIVE):
        return named.removeprefix(LIVE), None, None
    from glmdeploy.profile.text import load

    if not _is_path(named):
        try:
            load.named(named)
        except ProfileError:
            return named, None, None
    data = common.document(named).data
    app, environment = data.get("app"), data.get("environment")
    if not isinstance(app, str) or not app:
        raise GlmdeployError(f"the profile {named} does not say what its app is called (`app`)")
    return app, environment if isinstance(environment, str) else None, named


def confirm(question: str, *, yes: bool, as_json: bool, refused: str) -> None:
    """Ask, unless the answer was given with ``yes``.

    :raises GlmdeployError: saying that it was ``refused``; and where nobody can be asked.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise GlmdeployError(
            "nobody can be asked: there is no terminal", advice="run again with `--yes` (`-y`) to go ahead"
        )
    if not click.confirm(question, default=False):
        raise GlmdeployError(refused)


def plan_data(app: str, number: int | None, target: Target) -> Mapping[str, Any]:
    """The data of the plan of the version that runs, or of another one by its number.

    :raises GlmdeployError: if the app is not deployed there, or its plan is not known.
    """
    # After the connection, which sets the SDK's configuration.
    from glmdeploy.operate.deployed import deployed

    found = deployed(app, target, number)
    if found is None:
        raise GlmdeployError(f"no app {app} is deployed on {target}")
    if found.data is None:
        raise GlmdeployError(f"glmdeploy did not deploy version {found.version.number} of {app}: its plan is not known")
    return found.data
