"""Ask the real SGLang of a release how it parses, and what it resolves, a command line; on a machine without a GPU.

The answers come from the code of the published wheel, in an environment of its own
(:mod:`glmdeploy.sglang.real.environment`) by :mod:`glmdeploy.sglang.real.oracle_probe`. What is simulated is the
machine (the GPU's name, capability and memory) and the checkpoint: a folder with its ``config.json`` and nothing else.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.runtime.preflight_image import write_nvidia_smi
from glmdeploy.sglang import catalog
from glmdeploy.sglang.real import environment
from glmdeploy.sglang.real.environment import ProbeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from glmdeploy.gpus import Simulation

PROBE = Path(__file__).with_name("oracle_probe.py")

RESOLUTION_PLACEHOLDERS = ("tvm_ffi",)
"""What only the modules behind resolution import, beside :data:`environment.PLACEHOLDERS`."""

CUDA = "13.0"
"""The CUDA version that the simulated PyTorch was built for: that of the published ``-cu130`` images."""


@dataclass(frozen=True, kw_only=True)
class ParseResult:
    """What argparse did with an argv: exit code (0, or 2 for wrong usage), values by field, and its words on stderr."""

    code: int
    values: Mapping[str, Any]
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What SGLang would run with.

    ``parsed`` are the values as argparse left them, ``values`` as SGLang resolved them, by field of ``ServerArgs``;
    ``log`` has every different message of SGLang's on the way (``WARNING: Setting KV cache dtype to ...``). Where it
    refuses, ``code`` is not 0, ``error`` tells the exception, and ``stderr`` the usage message or the traceback.
    """

    code: int
    error: str | None
    parsed: Mapping[str, Any]
    values: Mapping[str, Any]
    log: tuple[str, ...]
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A command line, and the machine and the checkpoint that it is for.

    ``argv`` has the words after the program's name. Without ``gpu``, a type that ``gpus.TYPES`` can simulate, the
    machine has none, and only argparse is asked. ``config`` is the checkpoint's ``config.json``: the model's path in
    ``argv`` need not exist then. Of ``env``, the server's environment, SGLang's own variables count
    (``SGLANG_ENABLE_SPEC_V2``). ``probe`` is the program that answers, and ``more`` what it is told beside ``argv``.
    """

    argv: Sequence[str]
    gpu: str | None = None
    count: int = 0
    config: Mapping[str, Any] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    probe: Path = PROBE
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def machine(self) -> dict[str, Any] | None:
        """The simulated machine as a probe is told of it."""
        return simulated(self.gpu, self.count) if self.gpu else None

    @property
    def own_env(self) -> dict[str, str]:
        """SGLang's own variables."""
        return {name: value for name, value in self.env.items() if name.startswith("SGLANG_")}


class Answers:
    """How a release of SGLang parses and resolves a command line. Who answers is left to the classes below this one."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._options = catalog.load(version).options

    def ask(self, question: Question) -> dict[str, Any]:
        """What the question's probe answers."""
        raise NotImplementedError

    def parse(self, argvs: Sequence[Sequence[str]]) -> list[ParseResult]:
        """What the release's ``python3 -m sglang.launch_server`` makes of each argv, without the program's name."""
        return [self._parsed(self.ask(Question(argv=argv))) for argv in argvs]

    def resolve(
        self,
        argv: Sequence[str],
        *,
        gpu: str,
        count: int = 8,
        config: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
    ) -> Resolved:
        """What the release would run with on ``count`` GPUs of the type ``gpu``. See :class:`Question`."""
        answer = self.ask(Question(argv=argv, gpu=gpu, count=count, config=config, env=env or {}))
        return Resolved(
            code=answer["code"],
            error=answer["error"],
            parsed=self.by_field(answer["values"]),
            values=answer["resolved"],
            log=tuple(answer["log"]),
            stderr=answer["stderr"],
        )

    def _parsed(self, answer: Mapping[str, Any]) -> ParseResult:
        return ParseResult(code=answer["code"], values=self.by_field(answer["values"]), stderr=answer["stderr"])

    def by_field(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Until 0.5.13 argparse says ``tensor_parallel_size`` for what is ``tp_size`` in ``ServerArgs``."""
        fields = {option.dest for option in self._options}
        by_flag = {flag: option.dest for option in self._options for flag in option.flags}
        return {
            name if name in fields else by_flag.get(f"--{name.replace('_', '-')}", name): value
            for name, value in values.items()
        }


class Oracle(Answers):
    """The real SGLang of one release. A context manager: its processes end with it.

    A process is started for parsing, and another for each machine, environment and probe in turn: 10 seconds each, an
    answer then takes milliseconds (parsing) or a quarter of a second (resolution).

    :raises ProbeError: from every method, when the release's code cannot be run.
    """

    def __init__(
        self, version: str, *, cache: Path | None = None, where: environment.Environment | None = None
    ) -> None:
        """``where`` is an environment that exists; without it, that of ``cache`` is taken, and built if need be."""
        super().__init__(version)
        self._where = where or environment.build(version, cache or environment.default_cache())
        self._stack = ExitStack()
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="glmdeploy-oracle-")))
        self._sessions: dict[str, tuple[object, Session]] = {}
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and remove what they wrote."""
        self._stack.close()

    def ask(self, question: Question) -> dict[str, Any]:
        """What the question's probe answers, with the paths of this machine replaced by those of the question."""
        words, hidden = list(question.argv), {}
        if question.config is not None:
            asked = "/model"
            if "--model-path" in words:
                place = words.index("--model-path") + 1
                asked = words[place]
            else:
                words += ["--model-path", asked]
                place = len(words) - 1
            # SGLang looks at the path's last part too.
            folder = self._scratch / "models" / PurePosixPath(asked).name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.json").write_text(json.dumps(question.config), encoding="utf-8")
            words[place] = str(folder)
            hidden = {str(folder): asked}
        session = self._session(question)
        return session.ask({"argv": words, **question.more}, hidden | {str(session.home): "~"})

    def _session(self, question: Question) -> Session:
        # SGLang reads variables while its modules are imported, so they belong to the process; its own alone matter.
        key = (question.machine, question.own_env, question.probe)
        kind = "resolve" if question.gpu else "parse"
        if kind in self._sessions:
            before, session = self._sessions[kind]
            if before == key:
                return session
            # Half a gigabyte each: only the last one stays.
            session.end()
        home = self._scratch / f"home-{next(self._numbers)}"
        home.mkdir()
        session = _start(self._where, home, question)
        self._stack.callback(session.end)
        self._sessions[kind] = (key, session)
        return session


def placeholders() -> str:
    """The packages that need a GPU, as a probe is told of them."""
    return ",".join((*environment.PLACEHOLDERS, *RESOLUTION_PLACEHOLDERS))


def _start(where: environment.Environment, home: Path, question: Question) -> Session:
    """A process that can answer the question, with the empty folder ``home`` to itself.

    :raises ProbeError: if the interpreter cannot be started.
    """
    variables = {**question.own_env, **environment.variables(where.source, home)}
    command = [str(where.interpreter), str(question.probe), placeholders()]
    if question.machine:
        command.append(json.dumps(question.machine))
        write_nvidia_smi(home, question.machine)
        variables["PATH"] = f"{home}:{variables['PATH']}"
    return Session(command, variables, home)


class Session:
    """One process of a probe, a line for a line."""

    def __init__(self, command: list[str], variables: Mapping[str, str], home: Path) -> None:
        self.home = home
        self._errors = home / "stderr"
        try:
            with self._errors.open("w") as errors:
                self._process = subprocess.Popen(
                    command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        except OSError as error:
            raise ProbeError(f"cannot run {command[0]}", advice=str(error)) from error

    def end(self) -> None:
        """Kill the process; it has nothing to lose."""
        self._process.kill()
        self._process.communicate()

    def ask(self, request: object, hidden: Mapping[str, str]) -> dict[str, Any]:
        """The answer, with each text in ``hidden`` replaced by the one that stands there for it."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last_words = "\n".join(self._errors.read_text(errors="replace").splitlines()[-15:])
            raise ProbeError("SGLang's code ended before it answered", advice=last_words)
        for text, shown in hidden.items():
            line = line.replace(text, shown)
        answer: dict[str, Any] = json.loads(line)
        return answer


def simulated(gpu: str, count: int) -> dict[str, Any]:
    """So many GPUs of a type, as a probe is told of them.

    :raises ProbeError: for a type that cannot be simulated.
    """
    return asdict(_simulation(gpu)) | {"count": count, "cuda": CUDA}


def _simulation(name: str) -> Simulation:
    found = gpus.TYPES[name].simulation
    if found is None:
        raise ProbeError(f"{name} cannot be simulated: not all is known that CUDA tells of it")
    return found
