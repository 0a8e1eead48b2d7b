"""Volumes in containers of the real daemon, with the real SDK on both sides."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import modal
import pytest

from glmdeploy.local.containers.bootstrap import unprotectable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture(scope="module")
def function(
    client: modal.Client, load_app: Callable[[str], ModuleType]
) -> Callable[[str], modal.Function[..., Any, Any]]:
    app = modal.App("volumes-app")
    load_app("volumes").register(app)
    app.deploy(client=client)
    return lambda name: modal.Function.from_name("volumes-app", name, client=client)


def test_a_part_of_a_volume_is_made_where_it_is_missing(
    function: Callable[[str], modal.Function[..., Any, Any]], client: modal.Client
) -> None:
    volume = modal.Volume.from_name("parts", client=client)
    assert function("part").remote("a.txt", "first") == ["a.txt"]
    with volume.batch_upload() as batch:
        batch.put_file(__file__, "/org/model/0123/b.txt")
        batch.put_file(__file__, "/org/model/another/c.txt")
    # What comes from elsewhere is seen, and what lies beside it is not.
    assert function("part").remote("a.txt", "second") == ["a.txt", "b.txt"]
    assert b"".join(volume.read_file("org/model/0123/a.txt")) == b"second"


def test_what_is_read_only_is_not_written(function: Callable[[str], modal.Function[..., Any, Any]]) -> None:
    if fault := protection():
        pytest.skip(f"this machine gives no process a view of its own: {fault}")
    assert "d.txt" in function("part").remote("d.txt", "kept")
    *refusals, found = function("reading").remote("e.txt")[:3]
    assert refusals == ["Read-only file system"] * 2
    assert "d.txt" in function("reading").remote("e.txt")
    # It is read-only for that container alone.
    assert "e.txt" in function("part").remote("e.txt", "written")
    assert found != "e.txt"


def protection() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return unprotectable([folder])


@pytest.mark.parametrize("version", [1, 2])
def test_the_volume_api_from_a_container(
    function: Callable[[str], modal.Function[..., Any, Any]], client: modal.Client, version: int
) -> None:
    name = f"from-a-container-{version}"
    modal.Volume.from_name(name, create_if_missing=True, version=version, client=client).hydrate()
    assert function("through_the_sdk").remote(name) == {
        "listed": [".glmdeploy/failures/d/1.json", ".glmdeploy/failures/d/2.json"],
        "read": "one",
        "large": 5_000_000,
        "all": [
            ".glmdeploy",
            ".glmdeploy/failures",
            ".glmdeploy/failures/d",
            ".glmdeploy/failures/d/2.json",
            "large",
        ],
        "left": ["large"],
        "missing": "NotFoundError",
    }
