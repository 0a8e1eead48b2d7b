"""No secret anywhere: every byte that is written, and every process's arguments and environment, are searched.

The one place of a secret is Modal's own: the store of the embedded cloud, and the environment of a container's first
process, which Modal fills.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import shlex
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from modal_proto import api_pb2
from support import PATIENCE, call, own_cloud, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault
    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes")
TOKEN = "hf_glmdeployTestTokenThatNobodyMaySee0"

USABLE = {
    "plain": "sk-glmdeploy-0123456789abcdefABCDEF",
    "double quotes": 'sk"glm"deploy"0123456789',
    "single quotes": "sk'glm'deploy'0123456789",
    "both quotes": "sk'glm\"deploy'0123456789",
    "backslash": "sk\\glm\\deploy\\n0123456789",
    "dollar": "sk-$HOME-${PATH}-$(id)-`id`-0123",
    "blanks inside": "sk glm deploy 0123456789",
    "markup": "sk<glm>&amp;deploy;0123456789",
    "percent": "sk%41glm%2fdeploy%0123456789",
    "braces": '{"sk": ["glm", 0123456789]}',
    "equals and hash": "sk=glm#deploy;0123=456789:a",
    "long": "sk-" + "glmdeploy0123456789" * 100,
}
"""Twelve keys that are awkward for shells, JSON, YAML, HTML, URLs, environments and parsers of arguments."""

UNUSABLE = {
    "empty": "",
    "blank": "   ",
    "leading dash": "-sk-glmdeploy-0123456789",
    "double dash": "--sk-glmdeploy-0123456789",
    "line break at the end": "sk-glmdeploy-0123456789\n",
    "line break inside": "sk-glmdeploy\n0123456789",
    "carriage return": "sk-glmdeploy-0123456789\r",
    "tab": "sk-glmdeploy\t0123456789",
    "not ASCII": "sk-glmdeploy-schlüssel-0123456789",
    "blank at the end": "sk-glmdeploy-0123456789 ",
    "NUL's neighbour": "sk-glmdeploy-\x010123456789",
    "emoji": "sk-glmdeploy-\N{KEY}-0123456789",
}


def spellings(secret: str) -> set[bytes]:
    """The ways in which programs write a text."""
    quoted = {repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    quoted |= {shlex.quote(secret), urllib.parse.quote(secret), urllib.parse.quote_plus(secret), html.escape(secret)}
    quoted |= {secret, secret.strip(), repr(secret.encode())[2:-1], base64.b64encode(secret.encode()).decode()}
    return {text.encode() for text in quoted if len(text) > 5}


def found_in(data: bytes, forms: set[bytes]) -> bool:
    return any(form in data for form in forms)


class Observer(threading.Thread):
    """Reads the arguments and the environment of every process of this machine, again and again."""

    def __init__(self, forms: set[bytes]) -> None:
        super().__init__(daemon=True)
        self.forms = forms
        self.leaks: set[str] = set()
        self.seen = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    words = (folder / "cmdline").read_bytes()
                    environ = (folder / "environ").read_bytes()
                    self.seen += 1
                    if found_in(words, self.forms):
                        self.leaks.add(f"the arguments of {words[:80]!r}")
                    # A container's first process has its secrets from Modal; a child shows its parent's memory until
                    # it has become another program.
                    if found_in(environ, self.forms) and not first_process(words):
                        # It may have become another program between the two.
                        words = (folder / "cmdline").read_bytes()
                        if not first_process(words):
                            self.leaks.add(f"the environment of {words[:200]!r}")
            time.sleep(0.1)

    def stop(self) -> None:
        self._end.set()
        self.join()


def first_process(words: bytes) -> bool:
    return b"bootstrap.py" in words or b"modal._container_entrypoint" in words


def files_with(home: Path, forms: set[bytes]) -> Iterator[Path]:
    for folder, _, names in os.walk(home):
        for path in (Path(folder) / name for name in names):
            with contextlib.suppress(OSError):
                if not path.name.startswith("state.sqlite3") and path.is_file() and found_in(path.read_bytes(), forms):
                    yield path


def keep(shell: Shell, name: str, key: str, value: str) -> None:
    request = api_pb2.SecretGetOrCreateRequest(
        deployment_name=name,
        environment_name="main",
        object_creation_type=api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS,
        env_dict={key: value},
    )
    call(shell.cloud, "SecretGetOrCreate", request)


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with own_cloud(tmp_path_factory.mktemp("secrets")) as one:
        one.run("local", "start")
        yield one


@pytest.mark.parametrize("form", some(USABLE, "both quotes"))
def test_usable_keys_protect_and_are_nowhere(shell: Shell, form: str, fault: Fault) -> None:
    key = USABLE[form]
    keep(shell, "glm51-api-key", "API_KEY", key)
    keep(shell, "huggingface-secret", "HF_TOKEN", TOKEN)
    forms = spellings(key) | spellings(TOKEN)
    observer = Observer(forms)
    observer.start()
    sets = ("--set", f"server.max_inputs={5 + list(USABLE).index(form)}")
    done = shell.run(*APPLY, "--json", *sets)
    url = json.loads(done.stdout)["url"]
    assert ask(url, None) == 401
    assert ask(url, key + "x") == 401
    assert ask(url, key) == 200
    logs = shell.modal("app", "logs", "glm51-fp8", "--tail", "2000")
    observer.stop()
    assert observer.seen > 30
    assert not observer.leaks
    assert not found_in((done.stdout + done.stderr + logs.stdout + logs.stderr).encode(), forms)
    assert not list(files_with(shell.home, forms))
    if form == "plain":
        fault("twelve awkward keys", "401 without, 401 with a wrong one, 200 with the key, and the key nowhere")


def ask(url: str, key: str | None) -> int:
    request = urllib.request.Request(f"{url}/v1/models")
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("form", some(UNUSABLE, "line break at the end"))
def test_unusable_keys_are_refused_and_nowhere(shell: Shell, form: str, fault: Fault) -> None:
    key = UNUSABLE[form]
    keep(shell, "glm51-api-key", "API_KEY", key)
    keep(shell, "huggingface-secret", "HF_TOKEN", TOKEN)
    forms = spellings(key) | spellings(TOKEN)
    observer = Observer(forms)
    observer.start()
    before = shell.deployed()
    done = shell.run(*APPLY, "--set", "app=unusable", "--set", "server.scaledown_window=301", code=1)
    observer.stop()
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "glm51-api-key" in error
    assert "API_KEY" in error
    assert shell.deployed() == before
    assert not observer.leaks
    assert not found_in((done.stdout + done.stderr).encode(), forms)
    assert not list(files_with(shell.home, forms))
    names = {"empty": "empty", "blank": "blank", "leading dash": "`-`-leading", "line break at the end": "line-broken"}
    names |= {"not ASCII": "non-ASCII"}
    if form in names:
        fault(f"{names[form]} API key in the secret", error.removeprefix("error: "))
