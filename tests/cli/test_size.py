"""``glmdeploy size``, as a user types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from reporting import call
from support import PATIENCE, STRANGE, Shell, exported

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.sizing import size

if TYPE_CHECKING:
    from pathlib import Path

    from snapshots import Shows

B200 = "b200-eagle-bf16kv"
NO_HUB = "http://127.0.0.1:9"
GIB = 2**30


def typed(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for what is read when a library is imported: who and where the hubs are."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy", "size", *arguments],
        capture_output=True,
        text=True,
        env={**clean, "HF_ENDPOINT": NO_HUB, "NO_COLOR": "1", **env},
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def data(*arguments: str | Path, code: int = 0) -> Any:
    found, out, _ = call("size", *map(str, arguments), "--json")
    assert found == code
    return json.loads(out)


class TestCommand:
    def test_text(self, shows: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        code, out, err = shows("size-60-columns", "size", B200, "--all")
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 60
        assert "\x1b[" not in out
        monkeypatch.setenv("FORCE_COLOR", "1")
        colored = call("size", B200, "--all")[1]
        assert colored != out
        assert click.unstyle(colored) == out

    def test_a_day(self, shows: Shows) -> None:
        assert shows("size-a-day", "size", B200, "--busy-hours", "9", "--cold-starts", "2")[0] == 0

    def test_json_has_units(self, shows: Shows) -> None:
        _, out, err = shows("size-json", "size", B200, "--json", "--busy-hours", "9", "--cold-starts", "2")
        assert err == ""
        unitless = {"count", "nodes", "replicas", "parameters", "mem_fraction_static", "tokens", "region_multiplier"}
        units = re.compile("_(bytes|tokens|dollars|seconds|hours|requests|containers)$|^seconds$")
        for name in _numbers(json.loads(out)):
            assert name in unitless or units.search(name), name

    def test_a_gpu_in_small_letters(self) -> None:
        assert data(B200, "--gpu", "b200:8") == data(B200, "--gpu", "B200:8")

    def test_another_gpu(self, shows: Shows) -> None:
        assert shows("size-does-not-fit", "size", B200, "--gpu", "H100:8")[0] == 1
        assert data(B200, "--gpu", "H100:8", code=1)["fits"] is False
        assert shows("size-other-gpus-than-rented", "size", B200, "--gpu", "B200:4")[0] == 1
        half = data(B200, "--gpu", "B200:4", "--set", "sglang.args.tp=4", code=1)
        assert half["memory"]["weights_bytes"] > 150 * GIB

    def test_another_price(self, shows: Shows) -> None:
        found = data(B200, "--price", "2.5")["cost"]
        assert (found["container_hour_dollars"], found["price_source"]) == (20, "--price")
        assert shows("size-price", "size", B200, "--price", "2.5")[0] == 0
        assert shows("size-two-prices", "size", B200, "--price", "2.5", "--modal-prices")[0] == 2
        for wrong in ("nan", "inf", "-1"):
            assert shows(f"size-price-{wrong}", "size", B200, "--price", wrong)[0] == 2

    def test_what_a_rule_refuses_is_sized_and_said(self, shows: Shows) -> None:
        code, _, err = shows("size-refused", "size", B200, "--set", "sglang.args.kv-cache-dtype=fp8_e4m3")
        assert (code, "GLM001" in err) == (0, True)

    def test_a_broken_profile(self, shows: Shows) -> None:
        assert shows("size-broken", "size", B200, "--set", "server.port=x", "--json")[0] == 1

    def test_a_given_configuration(self, tmp_path: Path, shows: Shows) -> None:
        config = tmp_path / "config.json"
        config.write_text("{")
        assert shows("size-config-no-json", "size", B200, "--model-config", config)[0] == 1
        config.write_text('{"architectures": ["MambaForCausalLM"]}')
        assert shows("size-config-unknown", "size", B200, "--model-config", config)[0] == 1
        subject = check(load(B200)).facts
        assert subject is not None
        config.write_text(json.dumps({**size.dimensions(subject).model.config, "num_hidden_layers": 39}))
        found = data(B200, "--model-config", config)
        assert found["kv_cache"]["token_bytes"] == 40 * 1284
        assert found["model"]["dimensions_from"] == str(config)

    def test_no_network(self, tmp_path: Path) -> None:
        done = typed(B200, "--set", "model.repo=acme/unseen", code=1, HF_HOME=str(tmp_path))
        assert done.stderr.startswith("error: the Hugging Face Hub could not be asked for config.json of acme/unseen")

    def test_no_credentials(self, tmp_path: Path) -> None:
        done = typed(B200, "--modal-prices", code=1, HOME=str(tmp_path), MODAL_CONFIG_PATH=str(tmp_path / "modal.toml"))
        assert "there are no Modal credentials" in done.stderr
        assert done.stderr.rstrip().endswith("or leave out --modal-prices")


def _numbers(value: object, name: str = "") -> list[str]:
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in _numbers(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in _numbers(inner, name)]
    return [name] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.fixture(scope="module")
def modal(cloud: Shell) -> Shell:
    """The embedded cloud where the SDK looks for Modal."""
    cloud.run("local", "start")
    return Shell(cloud.home, exported(cloud.run("local", "env").stdout))


class TestEmbeddedCloud:
    """The real SDK's billing rates, and a model that the embedded hub made up."""

    def test_prices_of_the_workspace(self, modal: Shell) -> None:
        costs = modal.json("size", B200, "--modal-prices")["cost"]
        assert (costs["container_hour_dollars"], costs["price_source"]) == (
            8,
            "the embedded cloud's rates for rehearsals",
        )
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", costs["price_date"])

    def test_the_stock_command_says_what_they_are(self, modal: Shell) -> None:
        text = " ".join(modal.modal("billing", "rates").stdout.split())
        assert text == "glmdeploy's embedded cloud bills nothing. For rehearsals, any GPU costs $1.00000 an hour."

    def test_a_model_of_the_hub(self, cloud: Shell, tmp_path: Path) -> None:
        cloud.run("local", "start")
        hub = cloud.json("local", "status")["hub_url"]
        shell = Shell(cloud.home, {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)})
        sets = ("--set", "model.repo=acme/GLM-4.5-mini")
        found = shell.json("size", "h100-glm45-air-fp8", *sets)
        assert found["model"]["dimensions_from"] == "config.json of acme/GLM-4.5-mini"
        assert found["model"]["checkpoint_bytes_from"] == "model.safetensors.index.json"
        # Three layers and a draft layer; keys and values of one head of 16 on each of four GPUs, in BF16.
        assert found["kv_cache"]["token_bytes"] == 4 * 2 * 16 * 2
        offline = Shell(cloud.home, {"HF_ENDPOINT": NO_HUB, "HF_HOME": str(tmp_path)})
        assert offline.json("size", "h100-glm45-air-fp8", *sets) == found
