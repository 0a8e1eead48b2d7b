"""``glmdeploy explain``: what it shows of a profile, a GPU and a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reporting import call

from glmdeploy.sglang import models
from glmdeploy.sglang.effective import REPORTED

if TYPE_CHECKING:
    from snapshots import Shows

B200 = "b200-eagle-bf16kv"
BAD = Path(__file__).parent.parent / "examples" / "bad"


def test_each_value_has_its_source_and_reason(shows: Shows) -> None:
    assert shows("explain", "explain", B200)[0] == 0


def test_another_gpu(shows: Shows) -> None:
    assert shows("explain-another-gpu", "explain", B200, "--gpu", "H200:8")[0] == 0
    assert shows("explain-no-such-gpu", "explain", B200, "--gpu", "H300")[0] == 1


def test_what_a_rule_refuses_can_be_explained(shows: Shows) -> None:
    assert shows("explain-refused", "explain", BAD / "kv_dtype_left_out.yaml")[0] == 0


@pytest.mark.parametrize("name", ["option_unknown", "unknown_key", "release_unknown"])
def test_what_cannot_be_read_cannot_be_explained(name: str, shows: Shows) -> None:
    code, out, _ = shows(f"explain-{name.replace('_', '-')}", "explain", BAD / f"{name}.yaml")
    assert (code, out) == (1, "")


def test_json(shows: Shows) -> None:
    code, out, _ = shows("explain-json", "explain", B200, "--json")
    assert code == 0
    assert [value["name"] for value in json.loads(out)["values"]] == list(REPORTED)


def test_all_has_every_option_once() -> None:
    names = [value["name"] for value in json.loads(call("explain", B200, "--all", "--json")[1])["values"]]
    assert len(names) == len(set(names)) > 300
    assert {"watchdog_timeout", "dsa_prefill_backend", "prefill_cuda_graph"} <= set(names)
    assert not {"nsa_prefill_backend", "disable_piecewise_cuda_graph"} & set(names), "these have another name"


def test_an_unknown_model_is_told_once(shows: Shows) -> None:
    _, out, _ = shows("explain-unknown-model", "explain", B200, "--set", "model.repo=someone/else")
    assert out.count("what it decides for this model is not known here") == 1


def test_without_the_real_one_the_way_to_it_is_told(tmp_path: Path, shows: Shows) -> None:
    assert shows("explain-no-real-one", "explain", B200, "--sglang", "--cache", tmp_path)[0] == 1
    assert list(tmp_path.iterdir()) == [], "nothing was downloaded"


def test_a_configuration_tells_of_a_model_that_nobody_knows(tmp_path: Path) -> None:
    words = ("explain", "h100-glm45-air-fp8", "--set", "model.repo=someone/Own-Model", "--json")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(models.known("zai-org/GLM-4.5-Air-FP8")))

    def attention(*more: str) -> dict[str, Any]:
        code, out, _ = call(*words, *more)
        assert code == 0
        found: dict[str, Any] = next(row for row in json.loads(out)["values"] if row["name"] == "attention_backend")
        return found

    assert attention()["known"] is False
    assert attention("--model-config", str(config))["value"] == "fa3"
