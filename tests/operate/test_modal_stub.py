"""What glmdeploy uses of Modal's SDK is public, but for one module: a release that changes the rest fails there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from modal.config import config

import glmdeploy

PACKAGE = Path(glmdeploy.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
PRIVATE = {"local/containers/bootstrap.py", "operate/control_plane.py"}
"""The modules that may use what is private, each with a test of its own of what it uses."""


def private_uses(source: str) -> list[str]:
    """Imports and attributes of the SDK that are not public, and any use of its stub, whose RPCs are private too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name.startswith("modal.") and "._" in alias.name]
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "modal":
                names = [f"{module}.{alias.name}" for alias in names]
                found += [name for name in names if "._" in name]
            case ast.Attribute(attr="stub" | "_stub"):
                found.append(ast.unparse(node))
            case ast.Attribute(value=value, attr=name) if name.startswith("_") and "modal" in ast.unparse(value):
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import modal._runtime.asgi", ["modal._runtime.asgi"]),
        ("from modal._utils import blob_utils", ["modal._utils.blob_utils"]),
        ("from modal import _Client", ["modal._Client"]),
        ("client.stub.AppList(request)", ["client.stub"]),
        ("modal.App._from_id", ["modal.App._from_id"]),
        ("import modal, modal.config; modal.App.lookup('x'); self._client", []),
    ],
)
def test_private_uses_are_found(source: str, found: list[str]) -> None:
    assert private_uses(source) == found


def test_only_what_is_public_is_used() -> None:
    assert {module for module, source in SOURCES.items() if private_uses(source)} == PRIVATE


def test_the_protocol_is_known_in_the_embedded_cloud_and_where_the_sdk_offers_nothing() -> None:
    known = {module for module, source in SOURCES.items() if "modal_proto" in source and module[:6] != "local/"}
    asking = {module for module, source in SOURCES.items() if "control_plane import rpc" in source}
    empty = {"operate/capacity.py"}  # its question has no fields: protobuf's own message
    assert known == asking - empty


@pytest.mark.parametrize("key", ["token_id", "oauth_refresh_token", "environment", "server_url"])
def test_a_setting_exists(key: str) -> None:
    """Of the SDK's configuration, which is importable and not documented: an unknown key raises."""
    config.get(key)


def test_an_unknown_setting_raises() -> None:
    with pytest.raises(KeyError):
        config.get("no_such_setting")
