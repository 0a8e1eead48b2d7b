"""Runs what comes before a deployment, in an app of its own that ends with it: preflight, download, compilation."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.app import build
from glmdeploy.errors import DeployError, GlmdeployError
from glmdeploy.local.engine import STANDIN
from glmdeploy.operate.asking import attended, within
from glmdeploy.operate.preflight import check_secrets, judged_preflight, judged_rehearsal, machines
from glmdeploy.operate.transcript import current, overheard
from glmdeploy.runtime.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

LINES = 10
"""How many further lines of a stage's failure are shown."""
END_SECONDS = 30.0
"""What the end of the app gets: the SDK waits for the last lines of the logs, 10 s by default (``logs_timeout``)."""
GONE_SECONDS = 15.0
"""The same after a failure, when the target may be what has failed."""
INTERRUPT_SECONDS = 5.0
"""The same after Ctrl-C: enough to tell the target, and not to wait for logs."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """The app of the stages while it runs."""

    plan: Plan
    target: Target
    stages: build.Stages

    def resolve_revision(self) -> dict[str, Any]:
        """``commit``: what a container heard of the plan's revision; or ``fault``: why it did not.

        :raises DeployError: also for a secret that cannot be used.
        """
        assert self.stages.resolve_revision is not None
        found = self._run("resolve_revision", self.stages.resolve_revision)
        check_secrets(found["unusable"], self.plan, self.target)
        return found

    def preflight(self, *, judge: bool, room: bool) -> Preflight:
        """What a container of the server's image says of secrets, arguments (``judge``) and ``room`` for the weights.

        :raises DeployError: also for what would end the server.
        """
        assert self.stages.preflight is not None
        found = self._run("preflight", self.stages.preflight, judge=judge, room=room)
        return judged_preflight(found, self.plan, self.target)

    def rehearse(self) -> Preflight:
        """What it says of weights, kernels and resolution, once the stages have run.

        :raises DeployError: also for what would end the server.
        """
        assert self.stages.rehearse is not None
        found = self._run("rehearse", self.stages.rehearse, machines=machines(self.plan))
        engine = self.target.engine(self.plan)
        return judged_rehearsal(found, self.plan, stand_in=engine is not None and engine.name == STANDIN)

    def verify(self, subject: Mapping[str, Any]) -> dict[str, Any]:
        """What the checks of a deployed endpoint came to, made by a container that has the plan's secrets.

        :raises DeployError:
        """
        assert self.stages.verify is not None
        return self._run("verify", self.stages.verify, subject=subject)

    def bench(self, subject: Mapping[str, Any]) -> dict[str, Any]:
        """What SGLang's own benchmark says of a deployed endpoint.

        :raises DeployError:
        """
        assert self.stages.bench is not None
        return self._run("bench", self.stages.bench, subject=subject)

    def download(self, *, verify: bool) -> dict[str, Any]:
        """The mark of the weights. ``verify`` has every file read and compared, also where the mark is complete.

        :raises DeployError:
        """
        assert self.stages.download is not None
        return self._run("download", self.stages.download, **({"verify": True} if verify else {}))

    def compile(self, gpus: Iterable[str]) -> dict[str, int]:
        """Compile the kernels for each of the GPUs, one after the other; returns their sizes by their paths.

        :raises DeployError:
        """
        sizes: dict[str, int] = {}
        for gpu in gpus:
            sizes |= self._run("compile", self.stages.compile[gpu], gpu=gpu).get("files") or {}
        return sizes

    def _run(self, name: str, stage: build.Stage, **arguments: Any) -> dict[str, Any]:
        async def call() -> dict[str, Any]:
            try:
                return await stage.remote.aio(**arguments)
            except _OF_THE_STAGE as error:
                raise _failed(name, error) from None
            except modal.exception.Error:
                raise
            except Exception as error:  # whatever it raised in its container comes back as it was
                self.target.check_alive()
                raise _failed(name, error) from None

        return attended(self.target, f"finish the stage {name}", call)


_OF_THE_STAGE = (
    modal.exception.ExecutionError,
    modal.exception.FunctionTimeoutError,
    modal.exception.InternalFailure,
    modal.exception.RemoteError,
)
"""What the SDK raises for a container that ended, or took too long, instead of what it raised itself."""


def _failed(name: str, error: Exception) -> DeployError:
    """What it says; but of SGLang's tools, whose last lines stand in the transcript, the first line alone."""
    first, *more = [line.rstrip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    lines = [] if isinstance(error, EngineError) else more[:LINES]
    kept = current().path
    place = [f"all of its output: {kept}"] if kept else []
    return DeployError(f"the stage {name} failed: {first.strip()}", advice="\n".join([*lines, *place]) or None)


@contextlib.contextmanager
def running(plan: Plan, target: Target, **wanted: bool) -> Iterator[Running]:
    """The app with the stages that are ``wanted``, by the names of :func:`glmdeploy.app.build.stages`, for as long as
    the block lasts. Its logs go into the transcript.

    :raises DeployError:
    """
    with tempfile.TemporaryDirectory() as folder, overheard():
        stages = build.stages(plan, Path(folder), **wanted)
        manager: AbstractAsyncContextManager[modal.App] = stages.app.run(environment_name=target.environment)
        attended(target, "start the app of the stages", manager.__aenter__)
        try:
            yield Running(plan=plan, target=target, stages=stages)
        except BaseException as error:
            ending = (type(error), error, error.__traceback__)
            seconds = GONE_SECONDS if isinstance(error, Exception) else INTERRUPT_SECONDS
            with contextlib.suppress(GlmdeployError):  # what has failed is told, and not that it failed again
                within(target, "end the app of the stages", lambda: manager.__aexit__(*ending), seconds=seconds)
            raise
        within(target, "end the app of the stages", lambda: manager.__aexit__(None, None, None), seconds=END_SECONDS)
