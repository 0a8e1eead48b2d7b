"""Containers as forks: each as it would be had it been started afresh, and started afresh where it could not be."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest
from support import PATIENCE, alive, connect, own_cloud, wait_until

from glmdeploy.local.containers.forks import STARTUP, UnfitError, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from support import Shell

TOLD = {"modules": ["asyncio", "yarl"], "variables": ["HOME", "MODAL_LOGLEVEL"], "room": 1000, "refusal": ""}
OWN = {**STARTUP, "MODAL_IS_REMOTE": "1", "HOME": "/somewhere", "PATH": "/bin", "PYTHONPATH": ""}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"PYTHONHASHSEED": "0"}, "other values of PYTHONHASHSEED"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "other values of LANG, LC_ALL"),
        ({"LD_PRELOAD": "/lib/libjemalloc.so"}, "other values of LD_PRELOAD"),
        ({"MODAL_LOGLEVEL": "DEBUG"}, "other values of MODAL_LOGLEVEL"),
        ({"LONG": "x" * 1000}, "too long"),
        ({"NULL": "a\0b"}, "no variables can be like its own"),
    ],
)
def test_what_needs_a_fresh_process(changed: dict[str, str], why: str) -> None:
    check(TOLD, {**OWN, "HF_HOME": "/cache", "TZ": "Asia/Tokyo"})
    with pytest.raises(UnfitError, match=why):
        check(TOLD, {**OWN, **changed})


def test_a_variable_that_is_missing() -> None:
    with pytest.raises(UnfitError, match="no PYTHONUNBUFFERED"):
        check(TOLD, {name: value for name, value in OWN.items() if name != "PYTHONUNBUFFERED"})


@pytest.mark.parametrize("name", ["yarl.py", "yarl", "asyncio.cpython-311-x86_64-linux-gnu.so", "sitecustomize.py"])
def test_a_module_of_its_own_in_the_place_of_one_that_is_imported(tmp_path: Path, name: str) -> None:
    here = {**OWN, "PYTHONPATH": f"{tmp_path}{os.pathsep}/no/such/folder"}
    (tmp_path / "yarler.py").touch()
    check(TOLD, here)
    (tmp_path / name).touch()
    with pytest.raises(UnfitError, match=name.partition(".")[0]):
        check(TOLD, here)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """An embedded cloud whose zygote may be killed, with variables of the user that are nobody else's business."""
    with own_cloud(tmp_path_factory.mktemp("cloud"), SHELL_ONLY="of the user") as shell:
        shell.run("local", "start")
        yield shell


def log(own: Shell) -> str:
    return (own.home / "daemon.log").read_text(encoding="utf-8")


def picture(own: Shell, functions: ModuleType, name: str, **variables: str) -> dict[str, Any]:
    client = connect(own.cloud)
    app = modal.App(name)
    image = modal.Image.debian_slim().env({"TZ": "Asia/Tokyo", **variables})
    secret = modal.Secret.from_dict({"API_KEY": "sk-very-secret-0123"})
    app.function(image=image, secrets=[secret], serialized=False)(functions.picture)
    app.deploy(client=client)
    return modal.Function.from_name(name, "picture", client=client).remote()  # type: ignore[no-any-return]


def test_a_fork_is_as_a_fresh_process(own: Shell, load_app: Callable[[str], ModuleType]) -> None:
    functions = load_app("functions")
    fresh = picture(own, functions, "fresh", LC_TIME="C")
    assert "gets a fresh process: it has other values of LC_TIME" in log(own)
    one, other = picture(own, functions, "fork"), picture(own, functions, "another-fork")
    assert Path(fresh.pop("parent")).name == "glmdeploy.local.daemon"
    assert {Path(each.pop("parent")).name for each in (one, other)} == {"zygote.py"}
    assert one["variables"]["API_KEY"] == "sk-very-secret-0123"
    assert one["zone"] == ("JST", "JST")
    for each in (fresh, one, other):
        assert "SHELL_ONLY" not in each["variables"]
        shown = {name.encode() + b"=" + value.encode() for name, value in each["variables"].items()}
        assert shown <= each.pop("variables, as others see them") | {b"LC_TIME=C"}
    for key in ("random", "key"):
        assert len({each.pop(key) for each in (fresh, one, other)}) == 3
    for each in (one, other):
        assert own_words(each) == own_words(fresh)


def own_words(each: dict[str, Any]) -> str:
    """The picture without what is another in each container."""
    variables = dict(each["variables"])
    variables.pop("LC_TIME", None)
    text = repr({**each, "variables": sorted(variables.items())})
    for name in ("MODAL_OVERRIDE_HEADERS", "GLMDEPLOY_LOCAL_ROOT", "TMPDIR", "MODAL_TASK_ID", "MODAL_IMAGE_ID"):
        text = text.replace(variables[name], name)
    return text


def zygotes(own: Shell) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"GLMDEPLOY_LOCAL_ROOT={own.home}/containers/".encode() in (folder / "environ").read_bytes()
            if mine and b"zygote.py" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_without_its_zygote_a_container_goes_on_and_others_start(
    own: Shell, load_app: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    client, functions = connect(own.cloud), load_app("functions")
    app = modal.App("orphaned")
    app.function(min_containers=1, max_containers=1)(functions.act)
    app.function()(functions.double)
    app.deploy(client=client)
    act = modal.Function.from_name("orphaned", "act", client=client)
    before = act.remote("surroundings")["environ"]["MODAL_TASK_ID"]
    (zygote,) = zygotes(own)
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not alive(zygote))
    assert modal.Function.from_name("orphaned", "double", client=client).remote(4) == 8
    assert act.remote("surroundings")["environ"]["MODAL_TASK_ID"] == before
    assert len(zygotes(own)) == 1
    assert zygotes(own) != [zygote]
    began = tmp_path / "began"
    call = act.spawn("begin_and_sleep", str(began), PATIENCE)
    wait_until(began.exists)
    call.cancel(terminate_containers=True)
    wait_until(lambda: "whose exit code nobody knows" in log(own))
    assert act.remote("surroundings")["environ"]["MODAL_TASK_ID"] != before


def test_the_zygote_ends_with_its_embedded_cloud(own: Shell) -> None:
    (zygote,) = zygotes(own)
    os.kill(own.cloud.pid, signal.SIGKILL)
    wait_until(lambda: not alive(zygote))
