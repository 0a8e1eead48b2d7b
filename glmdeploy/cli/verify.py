"""``glmdeploy verify``."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from glmdeploy.cli import app, common, complete, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import DeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.operate.verification import Verification, Wanted
    from glmdeploy.plan.plan import Plan

URL = re.compile(r"https?://", re.IGNORECASE)
COLUMNS = 100
"""Of a file or a pipe, which have no end, and of a wide terminal."""
DEFAULT_CONCURRENCY = "1,8,32"
MOST_CLIENTS = 1024
MOST_REQUESTS = 100_000

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


def _levels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """``1,8,32``: each level of concurrency, once."""
    try:
        found = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("numbers with commas between them are wanted: 1,8,32", context, parameter) from None
    if not all(1 <= level <= MOST_CLIENTS for level in found):
        raise click.BadParameter(f"each must be from 1 to {MOST_CLIENTS:,}", context, parameter)
    return tuple(dict.fromkeys(found))


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("a number is wanted", context, parameter)
    return value


EPILOG = """\b
Examples:
  glmdeploy verify mine.yaml
  glmdeploy verify mine.yaml --json > good.json    # to compare with
  glmdeploy verify mine.yaml --baseline good.json  # later
  glmdeploy verify https://example--glm.modal.run --quick

Exit codes: 0 all passed, 1 something failed.
"""


@click.command(
    cls=Documented,
    epilog=EPILOG,
)
@click.argument("subject", metavar="PROFILE|APP|URL", shell_complete=complete.apps)
@common.profile_options
@target_options.target_options
@click.option("--api-key-env", "key_env", metavar="NAME", help="The variable that holds the API key.")
@click.option(
    "--proxy-token-env",
    "proxy_env",
    nargs=2,
    metavar="ID SECRET",
    help="For a URL: the variables that hold the id and the secret of a proxy token.",
)
@click.option(
    "--from",
    "asked_from",
    type=click.Choice(["here", "container"]),
    help="Who asks: this machine, which needs the key; or a small CPU container that has the profile's secrets. "
    "Default: this machine where the key is at hand.",
)
@click.option("--quick", is_flag=True, help="Only health, key, model, chat and stream; no load, and no canary.")
@click.option(
    "--concurrency",
    callback=_levels,
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    metavar="N,N,...",
    help="Requests at a time, level by level.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, MOST_REQUESTS),
    metavar="N",
    help="Requests of each level; default: three for each one at a time.",
)
@click.option("--no-load", is_flag=True, help="Measure no levels of load.")
@click.option(
    "--bench",
    type=click.Choice(["glmdeploy", "sglang"]),
    default="glmdeploy",
    show_default=True,
    help="Who makes the load: glmdeploy, or `sglang.bench_serving` in a container of the server's image.",
)
@click.option(
    "--canary",
    "canary_file",
    type=EXISTING,
    help="Questions with their answers, JSONL; default: the twenty that ship with glmdeploy.",
)
@click.option("--no-canary", is_flag=True, help="Ask none.")
@click.option("--baseline", type=EXISTING, help="What a former `--json` printed: a figure that is worse fails.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1000),
    callback=_finite,
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="By how much a figure may be worse than the baseline's.",
)
@click.option(
    "--timeout",
    "start_seconds",
    type=click.FloatRange(0, 86_400),
    callback=_finite,
    metavar="SECONDS",
    help="How long the endpoint may take to wake up; default: the profile's `startup_timeout` and two minutes, "
    "15 minutes for a URL.",
)
@common.verbose_option
@common.json_option
def verify(subject: str, **options: Any) -> int:
    """Check what a deployed endpoint does, and how fast. Changes nothing.

    It is held to a profile; an app, by its name, to the plan that it was deployed from; a bare URL to what it says.

    Health, key, served model, chat, streams, reasoning, tool calls, dropped streams, effective values, metrics,
    speculation, twenty questions of fact, and a load of several levels.
    """
    wanted = _wanted(options)
    source = click.get_current_context().get_parameter_source("tolerance")
    if source is click.core.ParameterSource.COMMANDLINE and not options["baseline"]:
        raise UsageError("`--tolerance` is of a comparison: it needs `--baseline`")
    before = None
    if options["baseline"]:
        from glmdeploy.operate.baseline import read_baseline

        before = read_baseline(options["baseline"])
    common.quiet()
    with busy("verify", "looks it up", quiet=common.is_quiet()) as waiting:
        made = _by_url if URL.match(subject) else _by_name
        found = made(subject, wanted, options, lambda name: waiting.tell(name.replace("_", " ")))
    return _show(found, before, options)


def _wanted(options: dict[str, Any]) -> Wanted:
    """What is asked, which must not contradict itself."""
    from glmdeploy.operate.canary import SHIPPED, read_canary
    from glmdeploy.operate.verification import Wanted

    quick, file = options["quick"], options["canary_file"]
    if file and options["no_canary"]:
        raise UsageError("`--canary` and `--no-canary` contradict each other")
    if options["bench"] == "sglang" and (options["no_load"] or quick):
        raise UsageError(f"`--bench sglang` and {'`--quick`' if quick else '`--no-load`'} contradict each other")
    # Read before anything is asked: a mistake in it costs nothing then.
    asks = file or not (quick or options["no_canary"])
    return Wanted(
        quick=quick,
        canary=read_canary(file or SHIPPED) if asks else None,
        concurrency=() if quick or options["no_load"] else options["concurrency"],
        requests=options["requests"],
        bench=options["bench"] == "sglang",
        start_seconds=options["start_seconds"],
    )


def _by_url(url: str, wanted: Wanted, options: dict[str, Any], see: Callable[[str], None]) -> Verification:
    from glmdeploy.operate.verify import verify_url

    for given, name in (("overlays", "--overlay"), ("sets", "--set"), ("environment", "--env")):
        if options[given]:
            raise UsageError(f"{name} is for a profile, and {url} is a URL")
    if options["asked_from"] == "container" or wanted.bench:
        name = "--bench sglang" if wanted.bench else "--from container"
        raise UsageError(f"{name} needs a profile: a container asks with its secrets")
    _check_url(url)
    host, known = urlsplit(url).hostname, url.rstrip("/")
    see(f"asks {host}, which may have to wake up: --timeout says how long that may take")
    return verify_url(known, key_env=options["key_env"], proxy_env=options["proxy_env"], wanted=wanted, see=see)


def _check_url(url: str) -> None:
    """:raises UsageError: for an address without a host, or with a password in it, which would be shown."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError("the URL has no host", advice="https://example--glm.modal.run, as `apply` printed it")
    if parts.username or parts.password:
        raise UsageError(
            "a URL with a name or a password in it would be shown", advice="the key comes from `--api-key-env NAME`"
        )


def _by_name(named: str, wanted: Wanted, options: dict[str, Any], see: Callable[[str], None]) -> Verification:
    if options["proxy_env"]:
        raise UsageError("`--proxy-token-env` is for a URL: a profile names its proxy token as `secrets.proxy_token`")
    found = app.target_app(named, options["where"], options["environment"], reading=False)
    plan = _plan(found, options)

    # What reads the SDK's configuration comes after the connection, which sets it.
    from glmdeploy.operate.verify import verify

    asked_from = options["asked_from"]
    return verify(plan, found.target, key_env=options["key_env"], where=asked_from, wanted=wanted, see=see)


def _plan(found: app.AppTarget, options: dict[str, Any]) -> Plan:
    """The profile's plan, or the deployed app's.

    :raises DeployError: where the app is not deployed, or its plan not kept.
    """
    if found.profile is not None:
        from glmdeploy.plan.make import plan_of

        # Its warnings are for who deploys it.
        return plan_of(common.document(found.profile, options["overlays"], options["sets"]))[0]
    for given, name in (("overlays", "--overlay"), ("sets", "--set")):
        if options[given]:
            raise UsageError(f"{name} is for a profile, and {found.app} is a deployed app")
    from glmdeploy.operate.deployed import deployed

    now = deployed(found.app, found.target)
    if now is None:
        raise DeployError(
            f"no app {found.app} is deployed in {found.target}, and there is no such profile",
            advice=f"{found.target.glmdeploy('list')} shows what is",
        )
    if now.plan is None:
        raise DeployError(
            f"the plan of {found.app} is not kept: what it should do is not known",
            advice="name its profile, or its URL",
        )
    return now.plan


def _show(found: Verification, before: dict[str, float] | None, options: dict[str, Any]) -> int:
    from glmdeploy.operate.baseline import compare
    from glmdeploy.report.verification import verification_data, verification_text

    comparison = None if before is None else compare(before, found, options["tolerance"])
    if options["as_json"]:
        common.echo_json(verification_data(found, comparison))
    else:
        common.echo(verification_text(found, min(common.width(), COLUMNS), comparison))
    return int(not found.ok or bool(comparison and comparison.worse))
