"""Several profiles with one command: each in a process of its own, so that the failure of one is no other's.

The SDK keeps its connection, its output and its interrupts for the whole process: a process is what keeps apps apart.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import app, common
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUFFIXES = (".yaml", ".yml")
PARALLEL = 4
"""How many are worked on at a time where nobody says."""
CHANGES = 2
"""Exit code of ``plan --detailed-exitcode`` where something is to be done."""
_HOW = ("yes", "as_json", "dry_run", "parallel", "out", "detailed_exitcode", "quiet", "verbose")
"""Options that the command itself heeds, and does not pass on as they are."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a process came to: its exit code, what it wrote, and its seconds."""

    profile: str
    code: int
    out: str
    err: str
    seconds: float


def expanded(named: Sequence[str]) -> list[str]:
    """The profiles that are named: of a folder all its YAML files but those that begin with ``_`` or a dot.

    :raises UsageError: for a folder without any, and a profile that is named twice.
    """
    found: list[str] = []
    for name in named:
        if name == "-" or not Path(name).is_dir():
            found.append(name)
            continue
        inside = sorted(path for path in Path(name).iterdir() if path.suffix in SUFFIXES and path.name[0] not in "._")
        if not inside:
            raise UsageError(f"{name} has no profile: no file that ends in {' or '.join(SUFFIXES)}")
        found += map(str, inside)
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        raise UsageError(f"{', '.join(twice)} is named more than once")
    from glmdeploy.plan.saved import may_be_saved

    if len(found) > 1 and (plans := [name for name in found if may_be_saved(Path(name))]):
        raise UsageError(f"{', '.join(plans)} is a saved plan: it is applied alone")
    if len(found) > 1 and "-" in found:
        raise UsageError("standard input can only be the one profile")
    return found


def many(context: click.Context, named: Sequence[str], planning: click.Command) -> int:
    """Do the command of ``context`` for each profile; returns its exit code. ``planning`` is the command ``plan``.

    ``plan`` shows what would be done. ``apply`` shows it first, asks once, and does what no error forbids.

    :raises UsageError: also for two profiles of one app.
    """
    profiles, options = expanded(named), context.params
    if options.get("out"):
        raise UsageError("a saved plan is one profile's: name one with `--out`")
    _check_apps(profiles, options)
    as_json, passed = bool(options["as_json"]), list(_passed(context))
    crew = _Crew(int(options.get("parallel") or PARALLEL))
    planned = crew.run(
        profiles,
        ["plan", *_of_plan(passed, context.command, planning), "--detailed-exitcode", *(["--json"] if as_json else [])],
    )
    if not as_json and not (common.is_quiet() and options.get("yes")):
        for one in planned:
            click.echo(f"{click.style(one.profile, bold=True)}\n{(one.out or one.err).strip()}\n")
    failed = [one for one in planned if one.code not in (0, CHANGES)]
    changing = [one.profile for one in planned if one.code == CHANGES]
    if context.command is planning or options.get("dry_run"):
        return _told(planned, as_json=as_json, detailed=bool(options.get("detailed_exitcode")))
    common.note(f"{len(changing)} to apply, {len(planned) - len(changing) - len(failed)} without changes")
    if failed:
        common.note(f"{len(failed)} that cannot be planned: {_names(failed)}")
    if changing:
        app.confirm("Apply?", yes=bool(options["yes"]), as_json=as_json, refused="nothing was applied")
    done = crew.run(
        changing,
        ["apply", *passed, "--yes", *_manner(), *(["--json"] if as_json else [])],
        tell=lambda profile, line: click.echo(f"{Path(profile).stem} | {line}", err=True),
    )
    ended = {one.profile: one for one in [*planned, *done]}
    unchanged = [one for one in planned if one.code == 0]
    return _told([*(ended[one] for one in profiles)], as_json=as_json, without=len(unchanged), applied=True)


def _manner() -> list[str]:
    """How much each process says."""
    return ["--quiet"] * common.is_quiet() + ["--verbose"] * common.verbose()


def _told(
    ended: Sequence[Ended], *, as_json: bool, detailed: bool = False, without: int = 0, applied: bool = False
) -> int:
    """Print the summary; returns the exit code."""
    good = (0,) if applied else (0, CHANGES)
    failed = [one for one in ended if one.code not in good]
    if as_json:
        click.echo(json.dumps({"ok": not failed, "profiles": [_data(one, good) for one in ended]}, indent=2))
    elif applied:
        for one in ended:
            said = "failed" if one in failed else "done"
            click.echo(f"{said:8} {one.profile}  {one.seconds:.0f} s")
        click.echo(f"{len(ended) - len(failed)} of {len(ended)} are as planned ({without} needed nothing)")
        for one in failed:
            click.echo(f"\n{one.profile}:\n{_last(one)}", err=True)
    if failed:
        return 1
    return CHANGES if detailed and any(one.code == CHANGES for one in ended) else 0


def _data(one: Ended, good: Sequence[int]) -> dict[str, Any]:
    try:
        result = json.loads(one.out)
    except ValueError:
        result = None
    return {"profile": one.profile, "ok": one.code in good, "seconds": round(one.seconds, 1), "result": result}


def _last(one: Ended) -> str:
    """The error that a process ended with: from its own word for it on."""
    text = one.err.strip() or one.out.strip()
    start = text.rfind("\nerror: ")
    return text[start + 1 :] if start >= 0 else "\n".join(text.splitlines()[-5:])


def _names(some: Sequence[Ended]) -> str:
    return ", ".join(one.profile for one in some)


def _check_apps(profiles: Sequence[str], options: dict[str, Any]) -> None:
    """:raises UsageError: where two profiles are of one app: the second would replace the first."""
    apps: dict[tuple[str, Any], str] = {}
    for profile in profiles:
        try:
            data = common.document(profile, options.get("overlays", ()), options.get("sets", ())).data
        except GlmdeployError:
            continue  # its own process says so
        own = (str(data.get("app")), data.get("environment"))
        if own in apps:
            raise UsageError(
                f"{apps[own]} and {profile} are both of the app {own[0]}",
                advice="give one of them another `app`, or apply them one after the other",
            )
        apps[own] = profile


def _passed(context: click.Context) -> Iterator[str]:
    """The options as they were given, for the processes."""
    for parameter in context.command.params:
        name = str(parameter.name)
        if not isinstance(parameter, click.Option) or name in _HOW:
            continue
        if context.get_parameter_source(name) is click.core.ParameterSource.DEFAULT:
            continue
        value = context.params.get(name, True)  # how much is said, is no parameter of the command's
        if parameter.is_flag:
            yield (parameter.opts if value else parameter.secondary_opts)[0]
        elif parameter.count:
            yield from [parameter.opts[-1]] * value
        else:
            for each in value if parameter.multiple else [value]:
                yield from (parameter.opts[0], str(each))


def _of_plan(passed: Sequence[str], command: click.Command, planning: click.Command) -> list[str]:
    """Of a command's options those that ``plan`` takes too."""
    taken = {word for option in planning.params if isinstance(option, click.Option) for word in _words(option)}
    known = {word: option for option in command.params if isinstance(option, click.Option) for word in _words(option)}
    kept: list[str] = []
    words = iter(passed)
    for word in words:
        option = known[word]
        whole = [word] if option.is_flag or option.count else [word, next(words)]
        kept += whole if word in taken else []
    return kept


def _words(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


class _Crew:
    """Processes side by side, as many as there may be; an interrupt is theirs first."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(
        self, profiles: Sequence[str], words: Sequence[str], *, tell: Callable[[str, str], None] | None = None
    ) -> list[Ended]:
        """One process for each profile, in their order; ``tell`` hears each line of standard error as it comes."""
        with ThreadPoolExecutor(max_workers=max(self._parallel, 1)) as pool:
            futures = [pool.submit(self._one, profile, words, tell) for profile in profiles]
            while True:
                try:
                    return [future.result() for future in futures]
                except KeyboardInterrupt:
                    if self._stopped:
                        self._signal(signal.SIGTERM)
                        raise
                    self._stopped = True
                    for future in futures:
                        future.cancel()
                    self._signal(signal.SIGINT)
                    click.echo("Interrupted: waiting until each has left the better version running ...", err=True)
                    for process in list(self._running):
                        process.wait()
                    raise

    def _one(self, profile: str, words: Sequence[str], tell: Callable[[str, str], None] | None) -> Ended:
        command, *options = words
        began = time.monotonic()
        # A session of its own: the terminal's Ctrl-C reaches it through us alone, and once.
        process = subprocess.Popen(
            [sys.executable, "-m", "glmdeploy", command, profile, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with self._lock:
            self._running.add(process)
        out: list[str] = []
        reader = threading.Thread(target=lambda: out.append(process.stdout.read() if process.stdout else ""))
        reader.start()
        err = []
        for line in process.stderr or ():
            err.append(line)
            if tell:
                tell(profile, line.rstrip("\n"))
        code = process.wait()
        reader.join()
        with self._lock:
            self._running.discard(process)
        return Ended(profile=profile, code=code, out="".join(out), err="".join(err), seconds=time.monotonic() - began)

    def _signal(self, number: int) -> None:
        with self._lock:
            for process in self._running:
                process.send_signal(number)
