"""What was learnt from recordings against recordings that were held out: real resolutions that nothing was learnt from.

``held_out.json`` has them by architecture: what is usual there, and of each situation (release, GPU, quantization of
the checkpoint, options, variables) what is not. ``python -m glmdeploy.sglang.real.fit`` writes it.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import Setting
from glmdeploy.sglang.decisions import recorded, trees
from glmdeploy.sglang.effective import RAW, REPORTED, Basis, Origin, effective
from glmdeploy.sglang.real import samples, situations
from glmdeploy.sglang.real.checkpoints import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from glmdeploy.sglang.effective import Effective

FILE = Path(__file__).with_name("held_out.json")

GOAL = 0.99
"""Of the values that are claimed, how many must be right, over all families."""

LEAST = 0.97
"""The same for each family."""

FAMILIES = 12


@cache
def everything() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return content


def told(architecture: str, version: str, gpu: str, quantization: str, args: Mapping[str, Any], env: Any) -> Any:
    release = catalog.load(version)
    options = {option.dest: option for option in release.options}
    settings = {
        dest: Setting(option=options[dest], key=dest, value=value, words=())
        for dest, value in samples.given(args, release).items()
    }
    checkpoint = CHECKPOINTS[architecture]
    return effective(
        settings,
        release,
        gpus.parse(f"{gpu}:8"),
        architecture,
        env=env,
        own={"model_path": "/model"},
        config=checkpoint.configured(quantization),
    )


def compared(architecture: str) -> Iterator[tuple[str, Effective, Any, list[Any]]]:
    """Each value that was decided in a situation that was held out: its name, what is claimed, and what is true."""
    known = everything()[architecture]
    for situation in known["situations"]:
        *asked, differs = situation
        table = told(architecture, *asked)
        for name, value in (known["usual"] | differs).items():
            if name in table:
                yield name, table[name], value, asked


@pytest.mark.parametrize("architecture", sorted(CHECKPOINTS))
def test_agreement(architecture: str, record_testsuite_property: Callable[[str, Any], None]) -> None:
    if architecture not in everything():
        pytest.skip("the releases that know it are too few for a situation to be held out")
    right, wrong, silent = 0, [], 0
    for name, one, value, asked in compared(architecture):
        if name not in REPORTED:
            continue
        if not one.known:
            # What only a running scheduler knows is None in a resolution.
            silent += not (name == "max_running_requests" and value is None)
        elif one.value == value:
            right += 1
        else:
            wrong.append((name, one.value, value, asked))
    known = right + len(wrong)
    record_testsuite_property(f"values of {architecture} that agree", f"{right} of {known}, {silent} not known")
    print(f"{architecture}: {right} of {known} values agree, {silent} are not known")
    assert right >= LEAST * known, wrong
    assert silent <= 0.05 * (known + silent)


def test_agreement_of_all(record_testsuite_property: Callable[[str, Any], None]) -> None:
    counted: Counter[bool] = Counter()
    for architecture in everything():
        counted.update(
            one.value == value for name, one, value, _ in compared(architecture) if name in REPORTED and one.known
        )
    share = counted[True] / counted.total()
    record_testsuite_property("values of all families that agree", f"{share:.2%} of {counted.total()}")
    print(f"{share:.2%} of {counted.total()} values agree, of {len(everything())} architectures")
    assert share >= GOAL
    assert len(everything()) >= FAMILIES


def test_what_explains_by_itself_agrees_too() -> None:
    """Beside the values that are reported: all others that SGLang decides."""
    counted: Counter[bool] = Counter()
    for architecture in everything():
        counted.update(
            one.value == value for name, one, value, _ in compared(architecture) if name not in REPORTED and one.known
        )
    assert counted[True] >= GOAL * counted.total()


def test_recorded_values_are_marked() -> None:
    bases = Counter(
        one.basis
        for architecture in everything()
        for _, one, _, _ in compared(architecture)
        if one.origin is Origin.SGLANG
    )
    assert bases[Basis.RECORDED] > bases[Basis.DERIVED] > 0


@pytest.mark.parametrize("architecture", sorted(CHECKPOINTS))
def test_a_file_tells_what_it_holds(architecture: str) -> None:
    found = trees.load(architecture)
    assert found, "each checkpoint that is asked about has recordings"
    assert found.architecture == architecture
    assert set(found.trees) <= set(recorded.names())
    assert set(found.gpus) <= set(gpus.TYPES)
    assert set(found.releases) <= set(catalog.versions())


def test_the_options_that_are_named_exist() -> None:
    fields = {option.dest for version in catalog.versions() for option in catalog.load(version).options}
    raw = {name for names in RAW.values() for name in names}
    assert {*recorded.NOT_RECORDED, *recorded.RECORDED} <= fields
    assert {*situations.OLD_NAMES.values()} <= {name.replace("_", "-") for name in fields | raw}


def test_only_one_file_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = Path.read_text

    def listening(path: Path, *args: Any, **kwargs: Any) -> str:
        opened.append(path.name)
        return read(path, *args, **kwargs)

    trees.load.cache_clear()
    monkeypatch.setattr(Path, "read_text", listening)
    told("Qwen3ForCausalLM", "0.5.23", "H200", "fp8", {"tp-size": 8}, {})
    assert [name for name in opened if "For" in name] == ["Qwen3ForCausalLM.json"]


def test_vision() -> None:
    assert recorded.vision({"vision_config": {"hidden_size": 1152, "depth": 27}}) == (24, 1152)
    assert recorded.vision({"vision_config": {"hidden_size": 1024, "num_hidden_layers": 24}}) == (24, 1024)
    assert recorded.vision({"vision_config": {"depth": 27}}) is None
    assert recorded.vision({"model_type": "glm4v_moe"}) == (24, 1536)
    assert recorded.vision({}) is recorded.vision(None) is None


@pytest.mark.parametrize("name", sorted({name for each in CHECKPOINTS.values() for name in each.quantizations}))
def test_quantizations(name: str) -> None:
    checkpoint = next(each for each in CHECKPOINTS.values() if name in each.quantizations)
    assert recorded.stored(checkpoint.configured(name)) == name
    assert recorded.stored({"text_config": checkpoint.configured(name)}) == name


@pytest.mark.parametrize(("version", "replicas"), [("0.5.21", 8), ("0.5.22", 1), ("0.5.23", 1)])
def test_groups_of_attention_are_no_replicas(version: str, replicas: int) -> None:
    asked = {"tp-size": 8, "dp-size": 8, "enable-dp-attention": True}
    table = told("DeepseekV3ForCausalLM", version, "H200", "fp8", asked, {})
    assert table["dp_size"].value == replicas
    if replicas == 1:
        assert table["attn_dp_size"].value == 8


@pytest.mark.parametrize(("version", "off"), [("0.5.11", True), ("0.5.12.post1", True), ("0.5.13.post1", False)])
@pytest.mark.parametrize("architecture", ["GlmMoeDsaForCausalLM", "LlamaForCausalLM"])
def test_a_tree_does_not_overlap(architecture: str, version: str, off: bool) -> None:
    asked = {"speculative-algorithm": "EAGLE", "speculative-num-steps": 5, "speculative-eagle-topk": 4}
    asked |= {"speculative-num-draft-tokens": 8, "speculative-draft-model-path": situations.DRAFT}
    assert told(architecture, version, "H200", "none", asked, {})["disable_overlap_schedule"].value is off


def test_what_no_recording_shows_replaced_stands() -> None:
    """A value that a profile sets, and that was never recorded, may be a fault: the rules must see it."""
    table = told("Glm4MoeForCausalLM", "0.5.23", "H200", "none", {"tp-size": 8, "swa-full-tokens-ratio": 1.5}, {})
    assert table["swa_full_tokens_ratio"].value == 1.5
