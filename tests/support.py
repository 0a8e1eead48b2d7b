"""What the end-to-end tests share: glmdeploy as a user types it, with an embedded cloud in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import modal
import pytest
from aiohttp import web
from forked_command import Commands
from grpclib.client import Channel
from hypothesis import settings
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub

import glmdeploy
from glmdeploy.local import cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.message import Message

    from glmdeploy.local.cloud import Cloud

STRANGE = ("COLUMNS", "MODAL_", "GLMDEPLOY_", "HF_")
"""Prefixes of variables of the developer's own set-up that no test may see."""

PATIENCE = 600
"""Seconds after which what a test waits for is taken to hang: minutes, so that a slow machine fails no test."""


def _clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}


COMMANDS = Commands(Path(glmdeploy.__file__).parents[1], _clean())


@dataclass(frozen=True)
class Shell:
    """Runs commands with one GLMDEPLOY_HOME."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        own = {"GLMDEPLOY_HOME": str(self.home), "HOME": str(self.home.parent), "NO_COLOR": "1"}
        return {**_clean(), **own, **self.extra}

    @property
    def cloud(self) -> Cloud:
        """The embedded cloud, which must run."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GLMDEPLOY_HOME", str(self.home))
            running = cloud.status()
        assert running is not None
        return running

    def stop(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GLMDEPLOY_HOME", str(self.home))
            cloud.stop()

    def deployed(self) -> list[str]:
        """The names of the deployed apps."""
        apps = call(self.cloud, "AppList", api_pb2.AppListRequest()).apps
        return [app.description for app in apps if app.state == api_pb2.APP_STATE_DEPLOYED]

    def deployments(self, app: str) -> int:
        """How often the app was deployed."""
        found = call(self.cloud, "AppGetByDeploymentName", api_pb2.AppGetByDeploymentNameRequest(name=app))
        request = api_pb2.AppDeploymentHistoryRequest(app_id=found.app_id)
        return len(call(self.cloud, "AppDeploymentHistory", request).app_deployment_histories)

    def containers(self, app: str) -> set[str]:
        """The ids of the app's containers that run."""
        tasks = call(self.cloud, "TaskList", api_pb2.TaskListRequest()).tasks
        return {task.task_id for task in tasks if task.app_description == app}

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs during the block, and is ended with it at the latest."""
        command = [sys.executable, "-m", "glmdeploy", *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env=self.env, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str, code: int = 0, container_failed: bool = False) -> subprocess.CompletedProcess[str]:
        done = COMMANDS.run(arguments, self.env, PATIENCE) or self._run_afresh(*arguments)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        if not container_failed:  # its log may have a traceback, our own output never
            assert "Traceback" not in done.stdout + done.stderr
        return done

    def _run_afresh(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.started(*arguments) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def modal(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The stock ``modal`` command against the embedded cloud."""
        exports = self.run("local", "env").stdout
        command = [sys.executable, "-m", "modal", *arguments]
        env = {**self.env, **exported(exports)}
        return subprocess.run(command, env=env, text=True, capture_output=True, check=False, timeout=PATIENCE)


def exported(lines: str) -> dict[str, str]:
    """What ``export NAME=value`` lines of plain values set."""
    return dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines.splitlines())


def some(kinds: Iterable[str], *every_run: str) -> list[Any]:
    """All of them, to parametrize with; those that are no ``every_run`` are tried with ``--all`` alone."""
    return [pytest.param(one, marks=() if one in every_run else pytest.mark.thorough) for one in kinds]


def one_in(count: int, cases: Iterable[Any]) -> list[Any]:
    """All of them, to parametrize with; all but every ``count``-th are tried with ``--all`` alone.

    One that is a tuple has the values of several parameters.
    """
    values = [one if isinstance(one, tuple) else (one,) for one in cases]
    return [pytest.param(*one, marks=pytest.mark.thorough if at % count else ()) for at, one in enumerate(values)]


def examples(count: int) -> int:
    """So many of them with ``--all``, for a property's ``max_examples``; a sixth in every run."""
    everything: int = settings.get_profile("all").max_examples
    return count if settings().max_examples == everything else max(1, count // 6)


@contextmanager
def own_cloud(folder: Path, **extra: str) -> Iterator[Shell]:
    """A shell whose embedded cloud is stopped afterwards."""
    shell = Shell(folder / "glmdeploy", extra)
    try:
        yield shell
    finally:
        shell.stop()


@contextmanager
def copied_cloud(template: Path, folder: Path, **extra: str) -> Iterator[Shell]:
    """As :func:`own_cloud`, with all that the home ``template`` has but its ports."""
    shutil.copytree(template, folder / "glmdeploy", symlinks=True, ignore=shutil.ignore_patterns("settings.json"))
    with own_cloud(folder, **extra) as shell:
        yield shell


def alive(pid: int) -> bool:
    """One that has ended but was not waited for yet does not count."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def wait_until(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < PATIENCE
        time.sleep(min(0.03 + waited / 20, 0.3))


def connect(running: Cloud) -> modal.Client:
    """Modal's own client for an embedded cloud, without touching the variables of this process for longer."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environ(running).items():
            patch.setenv(name, value)
        return modal.Client.from_credentials(running.token_id, running.token_secret)


def call(running: Cloud, rpc: str, request: Message, headers: dict[str, str] | None = None) -> Any:
    """One RPC with the right token, or with headers of a container, without Modal's client."""

    async def send() -> Any:
        address = urlsplit(running.server_url)
        async with Channel(address.hostname, address.port) as channel:
            method = getattr(ModalClientStub(channel), rpc)
            token = {"x-modal-token-id": running.token_id, "x-modal-token-secret": running.token_secret}
            return await method(request, metadata=headers or token)

    return asyncio.run(send())


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """The application on a free port of this machine, in a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()

    async def start() -> tuple[web.AppRunner, str]:
        # Handlers that never answer end with their client, or with the server.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    runner, url = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
