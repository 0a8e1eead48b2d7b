"""Both kinds of server on the embedded cloud: applied, and changed one into the other; volumes and GPUs of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.runtime.public import ask_public

if TYPE_CHECKING:
    from support import Shell

WEB = ("apply", "local-cpu", "--target", "local", "--yes", "--make-secrets")
SERVER = (*WEB, "--set", "server.kind=server", "--set", "server.max_inputs=null")
MORE = (
    *("--set", "secrets.further=[{name: bucket, keys: [BUCKET_ID]}]"),
    *("--set", "volumes.further=[{name: adapters, mount: /adapters, sub_path: en}]"),
)


@pytest.fixture(scope="module")
def served(cloud: Shell) -> dict[str, Any]:
    """A web function of the app, before it becomes a Server."""
    result: dict[str, Any] = cloud.json(*WEB, "--json")
    return result


@pytest.mark.thorough
def test_another_kind_is_an_outage_and_says_how_to_spare_it(cloud: Shell, served: dict[str, Any]) -> None:
    assert served["changed"]
    shown = cloud.run(*SERVER, "--dry-run").stdout
    assert "web_server → server" in shown
    assert "Outage" in shown
    assert "--set app=glm-local-cpu-2" in shown
    data = cloud.json(*SERVER, "--dry-run", "--json")
    assert [outage["field"] for outage in data["outages"]] == ["server.kind"]


@pytest.mark.thorough
def test_a_second_app_serves_beside_it(cloud: Shell, served: dict[str, Any]) -> None:
    result = cloud.json(*SERVER, *MORE, "--set", "app=glm-local-cpu-2", "--json")
    assert result["url"] != served["url"]
    assert result["stages"] == {"download": False, "compile": False}, "the weights are shared"
    for url in (served["url"], result["url"]):
        assert ask_public(f"{url}/health", 60).status == 200
        assert ask_public(f"{url}/v1/models", 60).status == 401


@pytest.mark.thorough
def test_in_its_place_the_other_is_gone(cloud: Shell, served: dict[str, Any]) -> None:
    result = cloud.json(*SERVER, "--json")
    assert [outage["field"] for outage in result["outages"]] == ["server.kind"]
    assert ask_public(f"{result['url']}/health", 60).status == 200
    assert cloud.json(*SERVER, "--json")["changed"] is False


@pytest.mark.thorough
def test_a_volume_keeps_its_version(cloud: Shell, served: dict[str, Any]) -> None:
    failed = cloud.run(*WEB, "--set", "volumes.weights.version=2", "--dry-run", code=1)
    assert "glm-local-weights is there, and not of version 2" in failed.stderr
    assert "new name" in failed.stderr
    assert served["app"] in cloud.run(*WEB, "--set", "volumes.weights.version=1", "--dry-run").stdout


@pytest.mark.thorough
def test_kernels_for_each_gpu_of_a_list(cloud: Shell) -> None:
    apply = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--make-secrets", "--json")
    first = cloud.json(*apply, "--no-wait")
    assert first["stages"]["compile"]
    both = cloud.run(*apply, "--no-wait", "--set", "gpu=[B200:8, B300:8]")
    assert both.stderr.count("kernels for ") == 1, "those of the B200 are there"
    third = cloud.json(*apply, "--no-wait", "--set", "gpu=[B300:8, B200:8]")
    assert not third["stages"]["compile"]
