"""Which digest a tag means: asked of a registry over HTTP, with a token for everyone, and no other."""

from __future__ import annotations

import socket

import pytest
from registry import TOKEN, digest, manifest, registry

from glmdeploy.errors import DeployError
from glmdeploy.operate.registry import image_digest
from glmdeploy.sglang.image import parse

NAME = "lmsysorg/sglang"
FIRST = digest(manifest("first"))


@pytest.mark.parametrize("options", [{}, {"open": True}, {"says": False}, {"heads": False}], ids=str)
def test_the_digest_is_that_of_the_index(options: dict[str, bool]) -> None:
    with registry(**options) as one:
        assert image_digest(parse(f"{one.host}/{NAME}:v0.5.11-cu130")) == FIRST
        tokens = [path for _, path, _ in one.asked if path.startswith("/token")]
        assert tokens == (
            [] if one.open else ["/token?service=registry.test&scope=repository%3Almsysorg%2Fsglang%3Apull"]
        )
        assert {authorization for *_, authorization in one.asked} <= {"", f"Bearer {TOKEN}"}


def test_a_tag_that_has_a_digest_is_asked_for_by_its_name() -> None:
    with registry() as one:
        assert image_digest(parse(f"{one.host}/{NAME}:v0.5.11-cu130@sha256:{'0' * 64}")) == FIRST


@pytest.mark.parametrize(
    ("options", "image", "words"),
    [
        ({}, f"{NAME}:nope", "has no image"),
        ({"private": True}, f"{NAME}:v0.5.11-cu130", "does not show"),
        ({"status": 403}, f"{NAME}:v0.5.11-cu130", "does not show"),
        ({"status": 429}, f"{NAME}:v0.5.11-cu130", "takes no more requests"),
        ({"status": 500}, f"{NAME}:v0.5.11-cu130", "answered with status 500"),
        ({}, "Not/A/Name", "is no image"),
        ({}, f"{NAME}:a b", "is no image"),
    ],
)
def test_a_refusal_is_told(options: dict[str, bool], image: str, words: str) -> None:
    with registry(**options) as one, pytest.raises(DeployError, match=words):
        image_digest(parse(f"{one.host}/{image}"))


def test_nobody_answers() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(DeployError, match=r"did not tell the digest of .*: Connection refused"):
            image_digest(parse(f"127.0.0.1:{reserved.getsockname()[1]}/{NAME}:v1"))


@pytest.mark.parametrize(
    ("image", "registry_", "repository", "tag"),
    [
        ("lmsysorg/sglang:v0.5.11", "docker.io", "lmsysorg/sglang", "v0.5.11"),
        ("ubuntu", "docker.io", "library/ubuntu", None),
        ("docker.io/lmsysorg/sglang:x", "docker.io", "lmsysorg/sglang", "x"),
        ("ghcr.io/acme/sglang:x", "ghcr.io", "acme/sglang", "x"),
        ("nvcr.io/nvidia/sglang:25.10-py3", "nvcr.io", "nvidia/sglang", "25.10-py3"),
        ("localhost:5000/sglang", "localhost:5000", "sglang", None),
        ("reg.example:5000/a/b/sglang:1", "reg.example:5000", "a/b/sglang", "1"),
    ],
)
def test_the_parts_of_a_reference(image: str, registry_: str, repository: str, tag: str | None) -> None:
    for suffix, pin in (("", None), (f"@{FIRST}", FIRST)):
        found = parse(image + suffix)
        assert (found.registry, found.repository, found.tag, found.digest) == (registry_, repository, tag, pin)
        assert str(found) == image + suffix
        assert found.askable
