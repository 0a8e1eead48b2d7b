"""What ``glmdeploy size`` finds: its numbers, and what it refuses to guess."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.errors import GlmdeployError
from glmdeploy.profile.text.load import load
from glmdeploy.report.size import size_text
from glmdeploy.report.size_data import size_data
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sizing import size
from glmdeploy.sizing.cost import Traffic

if TYPE_CHECKING:
    from glmdeploy.rules.facts import Facts

B200 = "b200-eagle-bf16kv"
PROFILES = sorted(path.stem for path in profiles_dir().glob("*.yaml") if not path.stem.startswith("local-cpu"))
GIB = 2**30


def subject(profile: str = B200, *sets: str) -> Facts:
    found = check(load(profile, sets=sets)).facts
    assert found is not None
    return found


def sized(profile: str = B200, *sets: str, **options: Any) -> size.Size:
    judged = subject(profile, *sets)
    return size.size(judged, size.dimensions(judged), **options)


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

    def test_what_the_memory_would_hold_in_any_type_of_the_cache(self) -> None:
        sets = ("gpu=L4", "sglang.args.device=cuda")
        found = sized("local-cpu-embedding", *sets)
        free = sized("local-cpu-embedding", *sets, "sglang.args.max-total-tokens=null")
        assert found.memory.kv_dtype == "float32"
        assert found.memory.pool.tokens < found.uncapped == free.memory.pool.tokens

    def test_a_region_has_its_price(self) -> None:
        plain, chosen = sized().spending, sized(B200, "server.region=us-west").spending
        assert chosen.container == pytest.approx(1.75 * plain.container)
        assert chosen.cold_start == pytest.approx(1.75 * plain.cold_start)

    def test_kernels_are_compiled_at_a_start_as_the_rules_see_it(self) -> None:
        sets = ("compile=null", "sglang.env.SGLANG_JIT_DEEPGEMM_PRECOMPILE=0")
        assert sized(B200, *sets).cold_start == sized().cold_start < sized(B200, "compile=null").cold_start

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
        known = size.dimensions(subject())
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

    def test_weights_that_are_more_than_the_gpu(self) -> None:
        """What share of a T4 SGLang takes is not known, and need not be."""
        alone = ("sglang.args.tp=1", "sglang.args.mem-fraction-static=null", "sglang.args.speculative-algorithm=null")
        with pytest.raises(GlmdeployError, match=r"the weights take about 131\.4 GiB of each T4"):
            sized("h100-glm45-air-fp8", "model.repo=meta-llama/Llama-3.1-70B-Instruct", "gpu=T4", *alone)

    def test_a_price(self) -> None:
        with pytest.raises(GlmdeployError, match="the price of B200 is not known here"):
            sized(prices={})

    def test_a_name_that_does_not_tell_the_architecture(self) -> None:
        known = size.dimensions(subject())
        judged = subject(B200, "model.repo=acme/my-tune", "sglang.args.kv-cache-dtype=null")
        assert judged.value("kv_cache_dtype") is None
        # The checkpoint's own configuration does, and with it what SGLang decides.
        assert size.size(judged, known).memory.kv_dtype == "fp8_e4m3"

    @given(
        config=st.dictionaries(
            st.sampled_from(sorted(size.dimensions(subject()).model.config)),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())
            ),
        )
    )
    def test_any_configuration(self, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.mktemp("any") / "config.json"
        path.write_text(json.dumps({**size.dimensions(subject()).model.config, **config}))
        judged = subject()
        try:
            found = size.size(judged, size.dimensions(judged, path))
        except GlmdeployError:
            return
        json.dumps(size_data(found), allow_nan=False)
        assert size_text(found, 80)


class TestAnswers:
    """Three of them, and never one beside a line that says the opposite."""

    def test_it_fits(self) -> None:
        found = sized()
        assert found.answer is size.Answer.FITS
        assert "It fits" in size_text(found, 80)
        assert "run out of memory" not in size_text(found, 80)

    def test_it_is_tight(self) -> None:
        found = sized(B200, "sglang.args.mem-fraction-static=0.95", "sglang.args.max-total-tokens=null")
        text = " ".join(size_text(found, 80).split())
        assert found.answer is size.Answer.TIGHT
        assert found.fits
        assert found.free < 0
        assert "It fits" not in text
        assert "It is tight" in text
        assert f"may take up to {found.memory.working / GIB:.1f} GiB" in text
        assert size_data(found)["answer"] == "tight"

    def test_it_does_not_fit(self) -> None:
        found = sized(B200, "sglang.args.mem-fraction-static=0.5")
        assert found.answer is size.Answer.NOT
        assert "It does not fit: the weights take" in size_text(found, 80)

    def test_it_does_not_start(self) -> None:
        sets = ("model.repo=Qwen/Qwen3-235B-A22B-FP8", "gpu=H200:8", "sglang.args.tp=8")
        found = sized("h100-glm45-air-fp8", *sets, "sglang.args.speculative-algorithm=null")
        assert found.answer is size.Answer.NOT
        text = " ".join(size_text(found, 80).split())
        assert "It does not start: the experts' matrices of 1,536 are cut into 8 parts of 192" in text
        assert size_data(found)["does_not_start"]
