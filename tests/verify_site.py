"""An endpoint for ``verify``: the stand-in as a process, whose faults a test turns on and off, and its checks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from standin_process import ARGUMENTS, KEY, Engine, start

from glmdeploy.local import tiny_model
from glmdeploy.runtime import verify_endpoint
from glmdeploy.runtime.verify_door import look_around, wake
from glmdeploy.runtime.verify_http import Door
from glmdeploy.runtime.verify_site import CheckResult, Site, run_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

CONTEXT = ("--context-length", "40000")
SPECULATES = (
    *("--speculative-algorithm", "EAGLE", "--speculative-num-steps", "3"),
    *("--speculative-eagle-topk", "1", "--speculative-num-draft-tokens", "4"),
)
SUBJECT: Mapping[str, Any] = {
    "served_name": "glm-5.1",
    "key": True,
    "proxy": False,
    "options": ["enable_metrics", "reasoning_parser", "tool_call_parser", "speculative_algorithm"],
    "expected": {"tp_size": 8},
    "tolerate": [],
    "start_seconds": 60,
    "concurrency": [2],
    "requests": 2,
}


@dataclass
class Rehearsal:
    """A stand-in that serves."""

    engine: Engine
    file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.engine.port}"

    def subject(self, **changed: Any) -> dict[str, Any]:
        return {**SUBJECT, "url": self.url, **changed}

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """The fault, as long as the block lasts."""
        self.file.write_text(f"{name}\n")
        try:
            yield
        finally:
            self.file.unlink()

    def check(self, check: Callable[[Site], Any], *, key: str | None = KEY, **changed: Any) -> CheckResult:
        """What one check comes to, of an endpoint that was looked at."""
        site = Site(Door(self.url, key), self.subject(**changed))
        look_around(site)
        return run_check("one", check, site, wake=wake)

    def verify(self, key: str | None = KEY, **changed: Any) -> dict[str, Any]:
        """All of them."""
        return verify_endpoint.verified(self.subject(**changed), key)


@contextmanager
def rehearsal(folder: Path, repo: str, *arguments: str) -> Iterator[Rehearsal]:
    """A stand-in that serves the tiny model of a repository, with its faults in a file."""
    model, container, file = folder / repo.rpartition("/")[2], folder / "container", folder / "faults"
    tiny_model.write(model, repo)
    package = container / "glmdeploy" / "runtime"
    package.mkdir(parents=True)
    for each in (package, package.parent):
        (each / "__init__.py").write_text('__version__ = "deployed"\n')
    words = [*ARGUMENTS, *arguments]
    engine = start(model, container, folder / "log", *words, GLMDEPLOY_STANDIN_FAULTS_FILE=str(file))
    try:
        engine.statuses_until_healthy()
        yield Rehearsal(engine, file)
    finally:
        engine.process.kill()
        engine.process.wait()
