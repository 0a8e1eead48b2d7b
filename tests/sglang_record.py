"""What the real SGLang answered, release by release, so that a run of the tests need not have it.

``sglang/real/recorded/<version>.json`` has the answers by probe and by a digest of the question. They hold for one
wheel and for one text of each probe: with another wheel, or when a probe's program has changed, they count for nothing.
A question that has no answer fails its test. ``pytest tests/sglang/real --record`` asks the real SGLang what has not
been recorded; ``--ask-sglang`` asks it everything, and fails where it answers otherwise than is recorded; both
together record everything anew, and forget what is not asked any more.

Left out of the answers is what is said to people only: of standard error all but the last line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.errors import GlmdeployError
from glmdeploy.sglang import catalog, catalog_build
from glmdeploy.sglang.real import catalog_probe, environment, oracle
from glmdeploy.sglang.real.oracle import Answers, Oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from glmdeploy.sglang.real.oracle import Question

FOLDER = Path(__file__).parent / "sglang" / "real" / "recorded"

PROBES = (oracle.PROBE, Path(str(catalog_probe.__file__)))
"""The programs that every question to a release's code goes through."""

EMPTY: dict[str, Any] = {"code": 0, "error": None, "values": {}, "resolved": {}, "log": [], "stderr": ""}
"""What is not written down."""

TABLES = ("values", "resolved")
"""Parts of an answer with hundreds of entries: written down is how they differ from what is usual."""


class Record:
    """The recorded answers of one release."""

    def __init__(self, version: str, *, ask: bool, write: bool) -> None:
        self.version = version
        self.path = FOLDER / f"{version}.json"
        self.wheel_sha256 = catalog.load(version).wheel_sha256
        self._ask, self._write = ask, write
        known = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        if known.get("wheel_sha256") != self.wheel_sha256:
            known = {}
        self._usual: dict[str, Any] = {name: known.get(f"usual {name}", {}) for name in TABLES}
        self._programs: dict[str, str] = known.get("programs", {})
        self._recorded: dict[str, dict[str, Any]] = {probe: known.get(probe, {}) for probe in self._programs}
        self._heard: dict[str, dict[str, Any]] = {}

    def answer(self, probe: str, program: str, question: object, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer of the probe, whose digest is ``program``: the recorded one, or what ``ask`` returns."""
        key = digest(json.dumps(question, sort_keys=True))
        heard = self._heard.setdefault(probe, {})
        if key in heard:
            return EMPTY | heard[key]
        known = self._recorded.get(probe, {}) if self._programs.get(probe) == program else {}
        if key in known and not self._ask:
            return EMPTY | self._whole(known[key])
        if not (self._ask or self._write):
            pytest.fail(
                f"what the real SGLang {self.version} answers to this is not recorded; "
                f"`pytest tests/sglang/real --record` asks it: {probe} {str(question)[:2000]}"
            )
        try:
            found = essence(ask())
        except GlmdeployError as error:
            pytest.fail(f"the real SGLang {self.version} cannot be asked here: {error} {error.advice}")
        if not self._write and (key not in known or not same(found, self._whole(known[key]))):
            pytest.fail(f"SGLang {self.version} answers otherwise than is recorded, to {probe} {question}: {found}")
        self._programs[probe] = program
        self._recorded[probe] = known
        heard[key] = found
        return EMPTY | found

    def save(self) -> None:
        """Write what was asked for real into the file; where everything was, nothing else is left in it."""
        if not (self._write and any(self._heard.values())):
            return
        tables: dict[str, dict[str, Any]] = {}
        for probe in sorted(self._programs):
            known = {} if self._ask else self._recorded[probe]
            whole = {key: self._whole(answer) for key, answer in known.items()} | self._heard.get(probe, {})
            tables[probe] = dict(sorted(whole.items()))
        everything = [answer for answers in tables.values() for answer in answers.values()]
        # From all answers each time: so the file does not tell in which order they came.
        self._usual = {name: usual([answer[name] for answer in everything if name in answer]) for name in TABLES}
        content = {
            "wheel_sha256": self.wheel_sha256,
            "programs": dict(sorted(self._programs.items())),
            **{f"usual {name}": table for name, table in self._usual.items()},
            **{probe: {key: self._compact(answers[key]) for key in answers} for probe, answers in tables.items()},
        }
        FOLDER.mkdir(exist_ok=True)
        self.path.write_text(catalog_build.dump(content), encoding="utf-8")

    def _compact(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer as it is written: of its tables the entries that are unusual, and the names of those that lack."""
        compact = dict(answer)
        for name in TABLES:
            if name in answer:
                known, table = self._usual[name], answer[name]
                compact[name] = {
                    key: table[key] for key in sorted(table) if key not in known or not same(table[key], known[key])
                }
                if absent := sorted(known.keys() - table):
                    compact[f"no {name}"] = absent
        return compact

    def _whole(self, compact: dict[str, Any]) -> dict[str, Any]:
        answer = {name: value for name, value in compact.items() if name[:3] != "no "}
        for name in TABLES:
            if name in answer:
                table = self._usual[name] | answer[name]
                answer[name] = {key: value for key, value in table.items() if key not in compact.get(f"no {name}", ())}
        return answer


class Recorder:
    """The records of all releases, and the real SGLang of one at a time, if it is to be asked."""

    def __init__(self, *, ask: bool, write: bool, cache: Path | None) -> None:
        self.asks = ask
        self._write = write
        self.cache = cache or environment.default_cache()
        self._records: dict[str, Record] = {}
        self._real: Oracle | None = None

    def record(self, version: str) -> Record:
        if version not in self._records:
            self._records[version] = Record(version, ask=self.asks, write=self._write)
        return self._records[version]

    def oracle(self, version: str) -> Answers:
        return RecordedOracle(version, self)

    def real(self, version: str) -> Oracle:
        """The release itself. The processes of the one before end.

        :raises GlmdeployError: if it cannot be had, or the wheel is another than the catalog was made from.
        """
        if self._real is None or self._real.version != version:
            self._end()
            self.source(version)
            self._real = Oracle(version, cache=self.cache)
        return self._real

    def source(self, version: str) -> Path:
        """The sources of the release.

        :raises GlmdeployError: see :meth:`real`.
        """
        place = environment.build(version, self.cache)
        wheel = environment.download(version, self.cache, place.interpreter)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != self.record(version).wheel_sha256:
            raise GlmdeployError(f"{wheel} is not the wheel that the catalog was made from")
        return place.source

    def close(self) -> None:
        self._end()
        for record in self._records.values():
            record.save()

    def _end(self) -> None:
        if self._real:
            self._real.close()
            self._real = None


class RecordedOracle(Answers):
    """A release as the record knows it."""

    def __init__(self, version: str, recorder: Recorder) -> None:
        super().__init__(version)
        self._recorder = recorder

    def ask(self, question: Question) -> dict[str, Any]:
        asked = {
            "argv": list(question.argv),
            "machine": question.machine,
            "config": question.config,
            "env": question.own_env,
            **question.more,
        }
        program = programs((*PROBES, question.probe), oracle.placeholders())
        return self._recorder.record(self.version).answer(
            question.probe.stem, program, asked, lambda: self._recorder.real(self.version).ask(question)
        )


def essence(answer: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an answer, as JSON has it. Some choices of SGLang's are a set, whose order is never the same."""
    said = {"stderr": in_order("".join(answer["stderr"].strip().splitlines()[-1:]))} if "stderr" in answer else {}
    kept = answer | said
    found: dict[str, Any] = json.loads(json.dumps(kept))
    return {name: value for name, value in found.items() if name not in EMPTY or value != EMPTY[name]}


def in_order(message: str) -> str:
    """What argparse says, its choices in the order of the alphabet."""
    return re.sub(
        r"(?<=\(choose from )[^()]*(?=\))", lambda choices: ", ".join(sorted(choices[0].split(", "))), message
    )


def usual(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The value that each name has most often."""
    values: dict[str, Counter[str]] = {}
    for table in tables:
        for name, value in table.items():
            values.setdefault(name, Counter())[json.dumps(value)] += 1
    return {
        name: json.loads(max(counted, key=lambda text: (counted[text], text)))
        for name, counted in sorted(values.items())
    }


def programs(files: Sequence[Path], *more: str) -> str:
    """A digest of what the files say."""
    return digest("\0".join([*(file.read_text("utf-8") for file in dict.fromkeys(files)), *more]))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def same(one: object, other: object) -> bool:
    """Whether both are the same JSON, which tells 1 from true and from 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
