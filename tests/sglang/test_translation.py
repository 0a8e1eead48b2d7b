"""The table of renames agrees with the catalogs, and translations keep what they can and name what they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.profile.text.load import load
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.releases import flags
from glmdeploy.sglang.renames import KEPT, RENAMES, Rename
from glmdeploy.sglang.translation import translate

NEWEST = catalog.versions()[-1]
WORKING = tuple(version for version in catalog.versions() if version_key(version) >= version_key("0.5.10"))
B200 = load("b200-eagle-bf16kv").data["sglang"]


def options(spelling: Any) -> list[str]:
    return [key for key in spelling if not key.startswith("$")]


def takes(version: str, name: str, value: object) -> bool:
    found = [option for option in catalog.load(version).options if f"--{name}" in option.flags]
    return bool(found) and (value in (KEPT, True) or not found[0].choices or value in found[0].choices)


def row_id(row: Rename) -> str:
    return f"{'+'.join(row.old)}-{row.since}"


@pytest.mark.parametrize("row", RENAMES, ids=row_id)
def test_since_is_where_the_new_words_begin(row: Rename) -> None:
    known = catalog.versions()
    before = known[known.index(row.since) - 1]
    assert all(takes(row.since, key, row.new[key]) for key in options(row.new))
    same_option = row.old.keys() == row.new.keys()
    if options(row.new) and row.direction != "forward" and row.old != {"speculative-dflash-draft-window-size": KEPT}:
        assert not all(takes(before, key, row.new[key]) for key in options(row.new)), "the new words are older"
    assert all(takes(before, key, row.old[key]) for key in options(row.old)), "the old words were never there"
    assert not same_option or row.old != row.new


@pytest.mark.parametrize("row", RENAMES, ids=row_id)
def test_until_is_where_the_old_words_end(row: Rename) -> None:
    for key in options(row.old):
        if len(row.old) == 1:
            assert flags()[f"--{key}"].last == (row.until or NEWEST)
    for key in row.old:
        if key.startswith("$"):
            having = [version for version in catalog.versions() if key[1:] in catalog.load(version).env]
            assert having[-1] == (row.until or NEWEST)


def test_rows_are_in_order() -> None:
    keys = [version_key(row.since) for row in RENAMES]
    assert keys == sorted(keys)
    assert all(row.why and row.source for row in RENAMES)


def test_every_replacement_that_sglang_names_is_known() -> None:
    """In both spellings' releases: what the parser of any release calls deprecated is translated upward."""
    untranslated = {
        "--nsa-prefill-cp-mode": "only together with its switch",
        "--dsa-prefill-cp-mode": "only together with its switch",
        "--prefill-cp-mode": "only together with its switch",
        "--enable-dp-attention": "only together with dp-size",
        "--monokernel-backend": "came and was replaced in the newest release",
    }
    for version in WORKING:
        for option in catalog.load(version).options:
            if option.replacement is None or option.flags[0] in untranslated:
                continue
            name = option.flags[0].removeprefix("--")
            value = option.choices[0] if option.choices else True if option.nargs == 0 else [1]
            translation = translate({name: value}, {}, version, NEWEST)
            assert name not in translation.args or translation.impossible, (version, name)
            assert translation.changes or translation.impossible, (version, name)


@pytest.mark.parametrize("target", WORKING)
def test_the_shipped_profile_goes_to_every_release_and_back(target: str) -> None:
    there = translate(B200["args"], B200["env"], "0.5.11", target)
    assert there.impossible == ()
    settings, problems = command.read(there.args, catalog.load(target))
    assert problems == []
    assert not [setting.key for setting in settings.values() if setting.option.replacement], "a deprecated spelling"
    back = translate(there.args, there.env, target, "0.5.11")
    assert (back.args, back.impossible) == (B200["args"], ())
    lost = {"SGLANG_ENABLE_SPEC_V2"} if version_key(target) >= version_key("0.5.14") else set()
    assert B200["env"].keys() - back.env.keys() == lost, "the default of 0.5.11"


def test_the_meaning_of_spec_v2_survives_a_way_down() -> None:
    """0.5.10 needs the variable for what 0.5.14 does always, and only there where it is a choice at all."""
    newest = translate(B200["args"], B200["env"], "0.5.11", NEWEST)
    assert "SGLANG_ENABLE_SPEC_V2" not in newest.env
    assert translate(newest.args, newest.env, NEWEST, "0.5.10").env["SGLANG_ENABLE_SPEC_V2"] == "1"
    synchronous = dict(newest.args) | {"disable-overlap-schedule": True}
    assert "SGLANG_ENABLE_SPEC_V2" not in translate(synchronous, newest.env, NEWEST, "0.5.10").env
    assert translate({}, {}, NEWEST, "0.5.10").env == {}
    off = translate({}, {"SGLANG_ENABLE_SPEC_V2": "False"}, "0.5.10", NEWEST)
    assert (off.args, off.env) == ({"disable-overlap-schedule": True}, {})


@pytest.mark.parametrize(
    ("args", "source_version", "target", "expected"),
    [
        ({"tp": 8, "attention-backend": "nsa"}, "0.5.11", NEWEST, {"tp": 8, "attention-backend": "dsa"}),
        ({"cuda-graph-max-bs": 64}, "0.5.11", NEWEST, {"cuda-graph-max-bs-decode": 64}),
        ({"cuda-graph-bs": [1, 2]}, "0.5.11", "0.5.16", {"cuda-graph-bs-decode": [1, 2]}),
        ({"enable-dp-attention": True, "dp": 8}, "0.5.11", NEWEST, {"attn-dp-size": 8}),
        ({"attn-dp-size": 8}, NEWEST, "0.5.11", {"enable-dp-attention": True, "dp-size": 8}),
        (
            {"a": 1, "disable-cuda-graph": True, "tp": 2},
            "0.5.11",
            "0.5.14",
            {"a": 1, "cuda-graph-backend-decode": "disabled", "cuda-graph-backend-prefill": "disabled", "tp": 2},
        ),
        (
            {"cuda-graph-backend-prefill": "disabled", "cuda-graph-backend-decode": "disabled"},
            NEWEST,
            "0.5.11",
            {"disable-cuda-graph": True},
        ),
        ({"disable-piecewise-cuda-graph": True}, "0.5.11", NEWEST, {"cuda-graph-backend-prefill": "disabled"}),
        ({"enable-nsa-prefill-context-parallel": True, "nsa-prefill-cp-mode": "in-seq-split"}, "0.5.11", NEWEST,
         {"enable-prefill-cp": True, "cp-strategy": "zigzag"}),
        ({"enable-nsa-prefill-context-parallel": True}, "0.5.11", NEWEST,
         {"enable-prefill-cp": True, "cp-strategy": "interleave"}),
        ({"collect-tokens-histogram": True, "enable-metrics": True}, "0.5.10", NEWEST, {"enable-metrics": True}),
        ({"disable-piecewise-cuda-graph": False}, "0.5.11", NEWEST, {}),
        ({"enable-hicache": True}, NEWEST, "0.5.22", {"enable-hierarchical-cache": True}),
        # Written for the new release already, with the old one still pinned: nothing to do but the pin.
        ({"dsa-prefill-backend": "trtllm"}, "0.5.11", NEWEST, {"dsa-prefill-backend": "trtllm"}),
        # The new pin with the old words.
        ({"nsa-prefill-backend": "trtllm"}, NEWEST, NEWEST, {"dsa-prefill-backend": "trtllm"}),
    ],
)  # fmt: skip
def test_words(args: dict[str, Any], source_version: str, target: str, expected: dict[str, Any]) -> None:
    translation = translate(args, {}, source_version, target)
    assert dict(translation.args) == expected
    assert list(translation.args) == list(expected), "in the place of what they replace"


@pytest.mark.parametrize(
    ("args", "source_version", "target", "key", "words"),
    [
        ({"torchao-config": "int4wo-128"}, "0.5.17", NEWEST, "torchao-config", "it went in 0.5.18"),
        ({"attn-dp-size": 8, "dp": 2}, NEWEST, "0.5.11", "attn-dp-size", "it came in 0.5.22"),
        ({"kv-cache-dtype": "fp4_e2m1"}, "0.5.11", NEWEST, "kv-cache-dtype", "this value went in 0.5.21"),
        ({"dsa-prefill-backend": "flashmla_sparse_q8"}, NEWEST, "0.5.15.post1", "dsa-prefill-backend",
         "came in 0.5.16"),
        ({"context-length": "64k"}, NEWEST, "0.5.9", "context-length", "this value came in 0.5.10"),
        ({"flashinfer-allreduce-fusion-backend": "mnnvl"}, NEWEST, "0.5.11", "flashinfer-allreduce-fusion-backend",
         "it came in 0.5.14"),
        ({"enforce-piecewise-cuda-graph": True}, "0.5.11", NEWEST, "enforce-piecewise-cuda-graph",
         "this value went in 0.5.22"),
        ({"piecewise-cuda-graph-compiler": "eager"}, "0.5.11", NEWEST, "piecewise-cuda-graph-compiler",
         "`cuda-graph-tc-compiler`: it went in 0.5.22"),
        ({"enable-expert-distribution-metrics": True}, "0.5.17", "0.5.18", "enable-expert-distribution-metrics",
         "expert-balancedness-report-mode"),
        ({"cuda-graph-max-bs": 1, "cuda-graph-max-bs-decode": 2}, "0.5.16", NEWEST, "cuda-graph-max-bs",
         "it went in 0.5.20"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_names_the_release(
    args: dict[str, Any], source_version: str, target: str, key: str, words: str
) -> None:
    [impossible] = translate(args, {}, source_version, target).impossible
    assert impossible.key == key
    assert words in impossible.message


def test_variables() -> None:
    env = {"SGLANG_NSA_FUSE_TOPK": "0", "SGLANG_TORCH_PROFILER_DIR": "/tmp", "OURS": "1"}
    there = translate({}, env, "0.5.11", NEWEST)
    assert there.env == {"SGLANG_DSA_FUSE_TOPK": "0", "SGLANG_TORCH_PROFILER_DIR": "/tmp", "OURS": "1"}
    assert translate({}, there.env, NEWEST, "0.5.11").env == env
    [impossible] = translate({}, {"SGLANG_ENABLE_UNIFIED_RADIX_TREE": "1"}, "0.5.11", NEWEST).impossible
    assert impossible.key == "$SGLANG_ENABLE_UNIFIED_RADIX_TREE"
    assert "went in 0.5.21" in impossible.message


def values(option: catalog.Option) -> st.SearchStrategy[Any]:
    if option.nargs == 0:
        return st.booleans()
    if option.choices:
        return st.sampled_from(option.choices)
    number = st.integers(1, 64) if option.type in ("int", "human_readable_int") else st.just(0.5)
    one = {"int": number, "human_readable_int": number, "float": number}.get(option.type or "", st.just("x"))
    return st.lists(one, min_size=1, max_size=2) if option.nargs in ("+", "*") else one


@st.composite
def profiles(draw: st.DrawFn) -> tuple[dict[str, Any], str, str]:
    start, end = draw(st.sampled_from(WORKING)), draw(st.sampled_from(WORKING))
    chosen = draw(st.lists(st.sampled_from(catalog.load(start).options), max_size=4))
    args = {option.canonical.removeprefix("--"): draw(values(option)) for option in chosen}
    release = catalog.load(start)
    return {key: value for key, value in args.items() if not command.read({key: value}, release)[1]}, start, end


@given(profiles())
def test_whatever_is_not_named_as_impossible_is_accepted(drawn: tuple[dict[str, Any], str, str]) -> None:
    args, start, end = drawn
    translation = translate(args, {}, start, end)
    problems = command.read(translation.args, catalog.load(end))[1]
    assert len(problems) == len(translation.impossible)
    assert bool(translation.changes) or translation.args == args
    if start == end:
        again = translate(translation.args, translation.env, end, end)
        assert again.changes == (), "a second translation finds nothing to do"


@pytest.mark.parametrize(
    ("args", "version", "words"),
    [
        ({"nsa-prefill-backend": "trtllm"}, NEWEST, ("it went in 0.5.20", "write `dsa-prefill-backend`")),
        ({"dsa-prefill-backend": "trtllm"}, "0.5.11", ("it came in 0.5.13.post1", "write `nsa-prefill-backend`")),
        ({"cuda-graph-max-bs": 8}, NEWEST, ("it went in 0.5.20", "write `cuda-graph-max-bs-decode`")),
        ({"attn-dp-size": 8}, "0.5.16", ("it came in 0.5.22", "`enable-dp-attention: true` and `dp-size`")),
        ({"collect-tokens-histogram": True}, NEWEST, ("it went in 0.5.20", "remove it: token histograms")),
        ({"enforce-piecewise-cuda-graph": True}, NEWEST, ("it went in 0.5.20", "None")),
        ({"mem-fraction-statik": 0.8}, NEWEST, ("has no option `mem-fraction-statik`", "did you mean")),
    ],
)
def test_an_option_of_another_release_is_explained(args: dict[str, Any], version: str, words: tuple[str, str]) -> None:
    [problem] = command.read(args, catalog.load(version))[1]
    assert words[0] in problem.message
    assert words[1] in str(problem.fix)
