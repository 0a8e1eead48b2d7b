"""The steps of a change as people follow them: which runs, how far it is, what each came to. Pure: events in, rows out.

Every event of :mod:`glmdeploy.operate.events` is either the state of a step or a note below it. What others print
(:meth:`Steps.overhear`) only ever says how far the step is that runs.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import listed
from glmdeploy.operate import events, proof
from glmdeploy.report.plan_rows import said
from glmdeploy.report.told import DONE, DOUBTED, FAILED, RUNNING, Note, Output, Row, Told
from glmdeploy.report.view import clean
from glmdeploy.report.words import count_bytes, counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preview import Preview
    from glmdeploy.plan.price import Estimate

NAMES = {"preflight": "preflight", "download": "weights", "compile": "kernels", "rehearse": "rehearsal"}
"""Of the stages, as the plan calls what they make."""
_NOT_JUDGED = "the server finds what it loads; whether SGLang takes it is judged on Modal"
"""Of a rehearsal with a stand-in, which loads nothing."""


def steps_of(found: Preview, *, canary: bool = False, wait: bool = True) -> list[str]:
    """The names of the steps that a preview will be done in."""
    plan, need = found.plan, found.need
    download = need.download or found.verify_weights
    checks = found.judged or download or (found.changed and bool(plan.looked_at))
    stages = {"preflight": checks, "weights": download, "kernels": bool(need.compile), "rehearsal": found.judged}
    names = [name for name, runs in stages.items() if runs]
    if found.changed:
        names += ["canary"] * canary + ["deploy"] + ["start", "verify"] * wait
    return names


def seconds_of(estimate: Estimate) -> dict[str, float]:
    """What the long steps take by estimate, by their names."""
    known = {"weights": estimate.download, "kernels": estimate.compile, "start": estimate.cold_start}
    return {name: float(seconds) for name, seconds in known.items() if seconds}


class Steps:
    """What is known so far of the steps of one change, in their order."""

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        expected: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``names`` are the steps to come, and ``expected`` the seconds that some of them take by estimate."""
        self._coming = [*names]
        self._expected = dict(expected or {})
        self._clock = clock
        self._row: Row | None = None
        self._began = 0.0
        self._shapes = 0
        self._stage_text = ""
        self._canary = False
        self._version: int | None = None
        self._refusals = ""
        self.footer = ""
        """What holds until the change is over: who answers meanwhile."""

    @property
    def running(self) -> Row | None:
        """The step that runs, with the time that it has taken so far."""
        if self._row is None:
            return None
        took = self._clock() - self._began
        left = self._row.left
        if left is None and (whole := self._expected.get(self._row.name)) and whole > took:
            left = whole - took
        return replace(self._row, seconds=took, left=left)

    @property
    def coming(self) -> tuple[str, ...]:
        """The names of those that have not begun."""
        return tuple(self._coming)

    def hear(self, event: Event) -> list[Told]:
        """What an event ends, or adds."""
        match event:
            case events.StageStarted(name=name):
                return self._begin(NAMES[name])
            case events.StageEnded():
                return self._end(_made(event))
            case events.WeightsVerified(files=files):
                return [Note(text=f"{counted(files, 'file')} of the weights read and compared with their hashes")]
            case events.Judged(found=found) if found.expected:
                return self._end(found.arguments or _NOT_JUDGED)
            case events.Judged(found=found):
                words = [
                    found.arguments,
                    counted(found.secrets, "secret") if found.secrets else "",
                    f"room for {count_bytes(found.coming)}" if found.coming else "",
                ]
                doubts = [*map(clean, found.doubts)]
                text = "; ".join(filter(None, words)) or (doubts.pop(0) if doubts else "nothing to judge")
                told = self._end(text, DOUBTED if found.doubts else DONE)
                if found.placeholders:
                    names = listed(found.placeholders)
                    told.append(
                        Note(text=f"placeholders stand in for {names}, which cannot be imported without a driver")
                    )
                return [*told, *(Note(text=doubt, warning=True) for doubt in doubts)]
            case _:
                return self._of_rollout(event)

    def _of_rollout(self, event: Event) -> list[Told]:
        match event:
            case events.CanaryStarted(app=app):
                told = self._begin("canary", f"the same plan as {app}; production goes on as it is")
                self._canary = True
                return told
            case events.CanaryPassed(app=app):
                self._canary = False
                return self._end(f"it serves as planned, and {app} is stopped again")
            case events.Deploying():
                return self._begin("deploy")
            case events.Published(version=version):
                self._version = version
                return self._end(f"version {version}" if version else "it is live")
            case events.Resumed(version=version):
                self._version = version
                return [Note(text=f"version {version} is live, and was never heard to serve: it is followed now")]
            case events.Skipped(version=version):
                return self._end(f"Modal saw no change: nothing was deployed, and version {version} runs on")
            case events.Guarded(version=version, before=before, room=room):
                values = ", ".join(f"{name} {value}" for name, value in room.items())
                self.footer = f"version {before} keeps answering until version {version} has passed"
                return [Note(text=self.footer + (f" (meanwhile {values})" if values else ""), passing=True)]
            case events.Waiting():
                return self._begin("start", "waiting for a container")
            case proof.Starting(text=text):
                self._starting(clean(text))
                return []
            case proof.Healthy(doubt=doubt):
                told = self._end("runs what was planned, and answered the quick checks")
                if doubt is not None:
                    told = [_doubted(each, f"it answers, and is not proven: {clean(doubt)}") for each in told]
                return [*told, *self._begin("verify", "asking the public address")]
            case _:
                return self._at_the_end(event)

    def _at_the_end(self, event: Event) -> list[Told]:
        match event:
            case events.KeyRequired(required=required, proxy=proxy):
                self._refusals = refusals_text(required=required, proxy=proxy)
                return []
            case events.Answered(checks=checks, doubt=""):
                words = ", ".join(check.replace("_", " ") for check in checks if check != "key" or not self._refusals)
                return self._end("; ".join(filter(None, [self._refusals, words])))
            case events.Answered(doubt=doubt):
                return self._end(f"{self._refusals}; not verified from outside: {clean(doubt)}", DOUBTED)
            case events.NotAsked():
                text = "public address not asked: its proxy wants a token, and the profile names none"
                return self._end(f"{text} (secrets.proxy_token)", DOUBTED)
            case events.Leaving(before=before):
                self.footer = ""
                return self._begin("handover", f"containers of version {before} finish what they have")
            case events.OldGone(left=left):
                still = f"{counted(left, 'container')} from before still finish what they have"
                told = self._end(still if left else "no container from before is left")
                return told if left or any(isinstance(row, Row) and row.seconds >= 1 for row in told) else []
            case events.TakingBack(version=version, to=to, fault=fault):
                told = self.fail(fault)
                text = f"version {version} goes, version {to} comes again" if to else f"version {version} goes"
                return [*told, *self._begin("way back", text)]
            case events.Left(fault=fault):
                return [*self.fail(fault), Note(text=note_text(event) or "")]
            case events.TakenBack():
                self._row = None
                return [Note(text=taken_back_text(event))]
            case _:
                said = note_text(event)
                return [Note(text=said)] if said else []

    def overhear(self, line: str) -> bool:
        """What a line of others says of the step that runs; whether it said anything."""
        row = self._row
        if row is None:
            return False
        found = {"preflight": _of_images, "weights": _of_download, "kernels": self._of_compilation}.get(row.name)
        news = found(row, line) if found else None
        if news is None:
            return False
        self._row = news
        return True

    def fail(self, fault: BaseException | None, heard: Sequence[str] = ()) -> list[Told]:
        """The step that runs has failed; none is to come. ``heard`` is what others said last."""
        self._coming.clear()
        self.footer = ""
        row = self.running
        self._row, self._canary = None, False
        if row is None:
            return []
        text = _FAILED.get(row.name, "failed") if isinstance(fault, GlmdeployError) else "interrupted"
        told: list[Told] = [replace(row, state=FAILED, text=text, fraction=None, left=None)]
        advice = fault.advice if isinstance(fault, GlmdeployError) else None
        lines = framed(advice or "")[0] or ([*heard] if isinstance(fault, GlmdeployError) else [])
        return [*told, Output(lines=tuple(map(clean, lines)))] if lines else told

    def _begin(self, name: str, text: str = "") -> list[Told]:
        if self._canary:
            assert self._row is not None
            self._row = replace(self._row, text=": ".join(filter(None, [name, text])), fraction=None, left=None)
            return []
        told = self._end(self._row.text) if self._row is not None else []
        self._coming = self._coming[self._coming.index(name) + 1 :] if name in self._coming else self._coming
        self._row, self._began = Row(name=name, state=RUNNING, text=text), self._clock()
        self._shapes, self._stage_text = 0, ""
        return told

    def _end(self, text: str, state: str = DONE) -> list[Told]:
        if self._canary or (row := self.running) is None:
            return []
        self._row = None
        return [replace(row, state=state, text=text, fraction=None, left=None)]

    def _starting(self, text: str) -> None:
        """``loading weights 61 %, about 3 min left``; or ``imports took 9 s; now loading weights, 756 GB``."""
        if self._row is None:
            return
        if found := _PERCENT.fullmatch(text):
            left = _seconds(found["left"], found["unit"])
            row = replace(self._row, text=found["what"], fraction=int(found["percent"]) / 100, left=left)
        else:
            now = text.rpartition("; now ")[2] if "; now " in text else text.rpartition("; ")[2]
            row = replace(self._row, text=now, fraction=None, left=None)
        self._row = replace(row, text=f"start: {row.text}") if self._canary else row

    def _of_compilation(self, row: Row, line: str) -> Row | None:
        if _SHAPE.search(line):
            self._shapes += 1
            return replace(row, text=f"matrix shape {self._shapes}", fraction=None)
        if found := _KERNEL_BAR.search(line):
            nth = f"matrix shape {self._shapes}" if self._shapes else "kernels"
            return replace(row, text=nth, fraction=int(found["percent"]) / 100)
        if found := _ONE_OF.search(line):
            done, whole = int(found["done"]), int(found["whole"])
            return replace(row, text=f"{done:,} of {counted(whole, 'kernel')}", fraction=done / max(whole, 1))
        return None


def framed(advice: str) -> tuple[list[str], str]:
    """The lines of others in an advice, as :func:`glmdeploy.operate.endpoint.failed_start` marks them; and the rest."""
    lines = advice.splitlines()
    theirs = [line.removeprefix(_FRAME) for line in lines if line.startswith(_FRAME)]
    return theirs, "\n".join(line for line in lines if not line.startswith(_FRAME))


_FRAME = "  | "
_FAILED = {"start": "it does not serve", "verify": "it answers wrong", "canary": "it does not serve"}
_PERCENT = re.compile(r"(?P<what>.+) (?P<percent>\d+) %, about (?P<left>\d+) (?P<unit>min|s) left")
"""Of :mod:`glmdeploy.runtime.starting`."""
_DOWNLOAD = re.compile(r"^(?P<have>[\d.]+) of (?P<whole>[\d.]+) GiB, (?P<rate>\d+) MiB/s on average")
"""Of :mod:`glmdeploy.runtime.progress`."""
_SHAPE = re.compile(r"Try DeepGEMM JIT Compiling for")
_KERNEL_BAR = re.compile(r"DeepGEMM warmup: +(?P<percent>\d+)%")
"""SGLang 0.5.8 to 0.5.23, ``layers/deep_gemm_wrapper/compile_utils.py``: a bar for each shape of a matrix."""
_ONE_OF = re.compile(r"DeepGEMM JIT \((?P<done>\d+)/(?P<whole>\d+)\)")
"""The stand-in's."""
_BUILT = re.compile(r"^(?:#>|=> Step \d+:) *(?P<step>.+)|^Building image (?P<image>im-\S+)")
"""How Modal's builder names a step of an image (modal 1.6.4: the log is passed on as the server tells it)."""
STEP_CHARACTERS = 40


def _of_images(row: Row, line: str) -> Row | None:
    if found := _BUILT.search(line):
        step = clean(found["step"] or "")
        short = step if len(step) <= STEP_CHARACTERS else f"{step[: STEP_CHARACTERS - 1]}…"
        return replace(row, text=f"building an image: {short}" if step else "building an image")
    if line.startswith("container ") and line.endswith(" starts"):
        return replace(row, text="a container looks")
    return None


def _of_download(row: Row, line: str) -> Row | None:
    if not (found := _DOWNLOAD.search(line)):
        return None
    have, whole, rate = float(found["have"]) * 2**30, float(found["whole"]) * 2**30, float(found["rate"]) * 2**20
    return replace(
        row,
        text=f"{count_bytes(have)} of {count_bytes(whole)}, {count_bytes(rate)}/s",
        fraction=min(have / whole, 1) if whole else None,
        left=(whole - have) / rate if rate else None,
    )


def _seconds(number: str, unit: str) -> float:
    return float(number) * (60 if unit == "min" else 1)


def _made(event: events.StageEnded) -> str:
    if event.name == "download":
        return f"{counted(event.files, 'file')}, {count_bytes(event.size)}, every hash checked"
    what = counted(event.files, "kernel") if event.files else "kernel caches"
    return f"{what} for {' and '.join(event.gpus)}, {count_bytes(event.size)}"


def _doubted(told: Told, text: str) -> Told:
    return replace(told, state=DOUBTED, text=text) if isinstance(told, Row) else told


def refusals_text(*, required: bool, proxy: bool) -> str:
    """Who is refused, as it was tried."""
    if not proxy:
        return "401 without the key" if required else "public: everyone may use it, no key is required"
    return "401 without proxy token and key" if required else "401 without a proxy token; no key is required"


def taken_back_text(event: events.TakenBack) -> str:
    """What runs now, and whether anybody noticed."""
    version, of, silent = event.version, event.of, event.silent
    if of is None:
        return f"nothing runs: there was nothing before version {version}, and no container of it is started by itself"
    was = ""
    if silent is not None:
        was = f"version {of} never stopped answering; " if not silent else f"nobody answered for {duration(silent)}; "
    return f"{was}version {version} was taken back: version {event.runs} runs, which is version {of} again"


def note_text(event: Event) -> str | None:
    """What is told of an event beside the steps."""
    match event:
        case events.SecretCreated(name=name, proxy_token=proxy_token):
            value = "its workspace's proxy token" if proxy_token else "a random value"
            return f"created the secret {name} in the embedded cloud, with {value}"
        case events.Unguarded(why=why):
            return f"not guarded: {why}"
        case events.Rescaled(changes=changes, restored=restored):
            how = "as it was set before the deployment" if restored else "live: no container restarts"
            values = (
                f"{name} is {'without a bound' if value is None else said(name, value)}"
                for name, value in changes.items()
            )
            return f"{', '.join(values)} now, {how}"
        case events.Left(version=version, why=why, mend=mend):
            change = f"; to change that: {mend}" if mend else ""
            return f"version {version} is deployed and stays: {clean(why)}{change}"
        case _:
            return None
