"""``glmdeploy size``, as a user types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import STRANGE, Shell, exported

from glmdeploy.errors import GlmdeployError
from glmdeploy.profile.text.load import load
from glmdeploy.report.size import WIDEST, size_data, size_text
from glmdeploy.resolve import resolve
from glmdeploy.resources import profiles_dir
from glmdeploy.sizing import size
from glmdeploy.sizing.cost import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.rules.subject import Subject

B200 = "b200-eagle-bf16kv"
NO_HUB = "http://127.0.0.1:9"
PROFILES = sorted(path.stem for path in profiles_dir().glob("*.yaml") if path.stem != "local-cpu")
GIB = 2**30


def run(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Without a network, unless ``env`` names a hub."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy", "size", *arguments],
        capture_output=True,
        text=True,
        env={**clean, "HF_ENDPOINT": NO_HUB, "NO_COLOR": "1", **env},
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def subject(profile: str = B200, *sets: str) -> Subject:
    found = resolve(load(profile, sets=sets)).subject
    assert found is not None
    return found


def sized(profile: str = B200, *sets: str, **options: Any) -> size.Size:
    judged = subject(profile, *sets)
    return size.size(judged, size.facts(judged), **options)


def data(*sets: str, **options: Any) -> dict[str, Any]:
    return size_data(sized(B200, *sets, **options))


class TestNumbers:
    def test_the_measured_pool(self) -> None:
        found = data()
        cache, memory = found["kv_cache"], found["memory"]
        # Measured on a GPU with 0.5.11: 1,284 bytes a token and layer; 78 layers, and a draft layer's pool of its own.
        assert cache["token_bytes"] == 79 * 1284
        assert (memory["kv_pool_bytes"] - memory["kv_pool_of_draft_bytes"]) / GIB == pytest.approx(6.12, abs=0.01)
        assert memory["kv_pool_of_draft_bytes"] / GIB == pytest.approx(0.08, abs=0.005)
        assert (cache["pool_tokens"], cache["max_total_tokens"]) == (65536, 65536)
        assert cache["possible"]["bfloat16"]["tokens"] == cache["uncapped_tokens"] > 600_000
        assert cache["possible"]["fp8_e4m3"]["tokens"] > cache["uncapped_tokens"]

    def test_requests_share_the_pool(self) -> None:
        capped = data()["requests"]
        assert (capped["whole_context_requests"], capped["running_request_tokens"]) == (0, 65536 // 48)
        assert capped["max_inputs_request_tokens"] == 65536 // 20
        free = data("sglang.args.max-total-tokens=null", "sglang.args.context-length=100000")["requests"]
        assert free["whole_context_requests"] == data()["kv_cache"]["uncapped_tokens"] // 100_000

    def test_without_speculation_there_is_no_draft(self) -> None:
        assert size_data(sized("b200-nospec-bf16kv"))["memory"]["kv_pool_of_draft_bytes"] == 0

    def test_data_parallel_attention(self) -> None:
        found = data("sglang.args.dp=8", "sglang.args.enable-dp-attention=true")["requests"]
        assert (found["replicas"], found["running_requests"]) == (8, 6)
        assert found["running_request_tokens"] == 65536 // 6

    def test_parts_are_the_whole(self) -> None:
        memory = data()["memory"]
        parts = ("weights", "kv_pool", "activations_and_graphs", "free")
        assert sum(memory[f"{part}_bytes"] for part in parts) == memory["total_bytes"]
        assert memory["static_bytes"] + memory["left_by_static_bytes"] == memory["total_bytes"]

    def test_dollars(self) -> None:
        found = data(traffic=Traffic(busy_hours=9))["cost"]
        hour = found["container_hour_dollars"]
        assert hour == pytest.approx(8 * found["gpu_hour_dollars"])
        assert (found["min_containers_hour_dollars"], found["max_containers_hour_dollars"]) == (
            0,
            pytest.approx(3 * hour),
        )
        # 15 minutes of `scaledown_window` after nine hours, and a cold start before them.
        hours = 9.25 + data()["cold_start"]["seconds"] / 3600
        assert found["day"]["container_hours"] == pytest.approx(hours, abs=1e-3)
        assert found["day"]["least_dollars"] == pytest.approx(hours * hour, rel=1e-3)
        assert found["cold_start_dollars"] == pytest.approx((hours - 9.25) * hour, rel=1e-3)

    @pytest.mark.parametrize("profile", PROFILES)
    def test_shipped_profiles_fit(self, profile: str) -> None:
        found = sized(profile)
        assert found.fits
        assert found.free > 0
        assert found.cold_start < found.startup_timeout


class TestUnknown:
    def test_a_decision_of_sglang(self) -> None:
        judged = subject(B200, "model.repo=acme/other", "sglang.args.mem-fraction-static=null")
        known = size.facts(subject())
        with pytest.raises(GlmdeployError, match="`mem-fraction-static` is not known: SGLang decides") as failure:
            size.size(judged, replace(known, model=replace(known.model, architecture="OtherForCausalLM")))
        assert "--set sglang.args.mem-fraction-static=0.5" in str(failure.value.advice)

    def test_an_option(self) -> None:
        with pytest.raises(GlmdeployError, match="with this `cpu-offload-gb` is not known here") as failure:
            sized(B200, "sglang.args.cpu-offload-gb=10")
        assert "--set sglang.args.cpu-offload-gb=null" in str(failure.value.advice)

    def test_a_gpu(self) -> None:
        with pytest.raises(GlmdeployError, match="how much memory A10 leaves to SGLang is not known"):
            sized(B200, "gpu=A10:4")

    def test_a_price(self) -> None:
        with pytest.raises(GlmdeployError, match="the price of B200 is not known here"):
            sized(prices={})

    def test_a_name_that_does_not_tell_the_architecture(self) -> None:
        known = size.facts(subject())
        judged = subject(B200, "model.repo=acme/my-tune", "sglang.args.kv-cache-dtype=null")
        assert judged.value("kv_cache_dtype") is None
        # The checkpoint's own configuration does, and with it what SGLang decides.
        assert size.size(judged, known).memory.kv_dtype == "fp8_e4m3"

    @given(
        config=st.dictionaries(
            st.sampled_from(sorted(size.facts(subject()).model.config)),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())
            ),
        )
    )
    def test_any_configuration(self, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.mktemp("any") / "config.json"
        path.write_text(json.dumps({**size.facts(subject()).model.config, **config}))
        judged = subject()
        try:
            found = size.size(judged, size.facts(judged, path))
        except GlmdeployError:
            return
        json.dumps(size_data(found), allow_nan=False)
        assert size_text(found, 80)


class TestText:
    @pytest.mark.parametrize("width", [60, 80, 100, 250])
    @pytest.mark.parametrize("profile", PROFILES)
    def test_keeps_to_the_terminal(self, profile: str, width: int) -> None:
        text = plain(size_text(sized(profile, traffic=Traffic(busy_hours=9)), width))
        assert max(map(len, text.splitlines())) <= min(width, WIDEST)

    def test_bars_follow_each_other(self) -> None:
        text = plain(size_text(sized("b200-longcontext-bf16kv"), 100))
        lines = part(text, "Memory", "KV cache").splitlines()
        bars = [match.span() for line in lines if (match := re.search("[█-▏]+", line))]
        assert len(bars) == 5
        for (_, end), (start, _) in pairwise(bars):
            assert start in (end - 1, end)

    def test_a_terminal_too_narrow_for_bars(self) -> None:
        text = plain(size_text(sized(), 20))
        assert "█" not in part(text, "Memory", "KV cache")
        assert "  weights              90" in text

    def test_what_does_not_fit(self) -> None:
        text = plain(size_text(sized(B200, "gpu=H100:8"), 100))
        assert "It does not fit: the weights take 90.3 GiB of each GPU, 22.4 GiB more than" in text
        assert "KV pool of 0 tokens" not in text

    def test_a_cap_above_what_fits(self) -> None:
        text = plain(size_text(sized(B200, "sglang.args.max-total-tokens=5000000"), 100))
        assert "`max-total-tokens` caps nothing: 5,000,000 tokens do not fit." in text


def plain(text: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", text)


def part(text: str, first: str, last: str) -> str:
    return text[text.index(f"\n{first}") : text.index(f"\n{last}")]


class TestCommand:
    def test_text(self) -> None:
        done = run(B200, COLUMNS="60")
        assert done.stderr == ""
        assert done.stdout.startswith("b200-eagle-bf16kv: zai-org/GLM-5.1-FP8 on B200:8, SGLang")
        assert max(map(len, done.stdout.splitlines())) <= 60
        assert plain(run(B200, COLUMNS="60", NO_COLOR="", FORCE_COLOR="1").stdout) == done.stdout
        assert "\x1b[" not in done.stdout

    def test_json_has_units(self) -> None:
        done = run(B200, "--json", "--busy-hours", "9", "--cold-starts", "2")
        assert done.stderr == ""
        found = json.loads(done.stdout)
        assert found["fits"] is True
        unitless = {"count", "replicas", "parameters", "mem_fraction_static", "tokens"}
        units = re.compile("_(bytes|tokens|dollars|seconds|hours|requests|containers)$|^seconds$")
        for name in _numbers(found):
            assert name in unitless or units.search(name), name

    def test_another_gpu(self) -> None:
        assert "\nIt does not fit: " in run(B200, "--gpu", "H100:8", code=1).stdout
        assert json.loads(run(B200, "--gpu", "H100:8", "--json", code=1).stdout)["fits"] is False
        assert "GLM020: `tp` 8 uses 8 GPUs, but `gpu: B200:4` rents 4" in run(B200, "--gpu", "B200:4", code=1).stderr
        half = json.loads(run(B200, "--gpu", "B200:4", "--set", "sglang.args.tp=4", "--json", code=1).stdout)
        assert half["memory"]["weights_bytes"] > 150 * GIB

    def test_another_price(self) -> None:
        found = json.loads(run(B200, "--price", "2.5", "--json").stdout)["cost"]
        assert (found["container_hour_dollars"], found["price_source"]) == (20, "--price")
        assert "exclude each other" in run(B200, "--price", "2.5", "--modal-prices", code=2).stderr
        for wrong in ("nan", "inf", "-1"):
            assert "Usage" in run(B200, "--price", wrong, code=2).stderr

    def test_what_a_rule_refuses_is_sized_and_said(self) -> None:
        done = run(B200, "--set", "sglang.args.kv-cache-dtype=fp8_e4m3")
        assert "It fits" in done.stdout
        assert "`glmdeploy validate` refuses this profile, GLM001: " in done.stderr

    def test_a_broken_profile(self) -> None:
        done = run(B200, "--set", "server.port=x", "--json", code=1)
        assert json.loads(done.stdout)["error"]["findings"][0]["path"] == "server.port"

    def test_a_given_configuration(self, tmp_path: Path) -> None:
        config = tmp_path / "config.json"
        config.write_text("{")
        done = run(B200, "--model-config", str(config), code=1)
        assert done.stderr.startswith(f"error: {config} is no JSON: ")
        config.write_text('{"architectures": ["MambaForCausalLM"]}')
        done = run(B200, "--model-config", str(config), code=1)
        assert done.stderr.startswith(f"error: {config} is not one that sizing understands: ")
        config.write_text(json.dumps({**size.facts(subject()).model.config, "num_hidden_layers": 39}))
        found = json.loads(run(B200, "--model-config", str(config), "--json").stdout)
        assert found["kv_cache"]["token_bytes"] == 40 * 1284
        assert found["model"]["dimensions_from"] == str(config)

    def test_no_network(self, tmp_path: Path) -> None:
        done = run(B200, "--set", "model.repo=acme/unseen", code=1, HF_HOME=str(tmp_path))
        assert done.stderr.startswith("error: the Hugging Face Hub could not be asked for config.json of acme/unseen")

    def test_no_credentials(self, tmp_path: Path) -> None:
        done = run(B200, "--modal-prices", code=1, HOME=str(tmp_path), MODAL_CONFIG_PATH=str(tmp_path / "modal.toml"))
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
