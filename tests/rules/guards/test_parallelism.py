"""What the consistency rules hold for in general, beyond their examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from glmdeploy import editor, source
from glmdeploy.resolve import resolve
from glmdeploy.sglang import catalog, command, variables
from glmdeploy.sglang.renames import RENAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Finding

SIZES = st.integers(1, 9)
few = settings(max_examples=60, deadline=None)


def profile(args: dict[str, Any], *, version: str = "0.5.11", gpu: str = "B200:8", **parts: Any) -> dict[str, Any]:
    release = {"version": version, "image": f"lmsysorg/sglang:v{version}", "args": args}
    return {
        "schema": 1,
        "name": "generated",
        "app": "generated",
        "model": {"repo": "zai-org/GLM-5.1-FP8", "served_name": "glm"},
        "gpu": gpu,
        "volumes": {"weights": {"name": "weights", "mount": "/model-cache"}},
        "secrets": {"api_key": {"name": "key", "keys": ["API_KEY"]}},
        "sglang": {**release, **parts.pop("sglang", {})},
        **parts,
    }


def found(data: dict[str, Any]) -> list[Finding]:
    findings = resolve(source.read_text(json.dumps(data), "generated.json")).findings
    assert not {finding.id for finding in findings} & {"yaml", "schema", "sglang"}, findings
    return list(findings)


def ids(data: dict[str, Any]) -> set[str]:
    return {finding.id for finding in found(data)}


@few
@given(tp=SIZES, pp=SIZES, dp=SIZES, gpus=st.integers(1, 8), attention=st.booleans())
def test_gpus_are_counted(tp: int, pp: int, dp: int, gpus: int, *, attention: bool) -> None:
    args = {"tp-size": tp, "pp-size": pp, "dp-size": dp, "enable-dp-attention": attention}
    needed = tp * pp * (1 if attention else dp)
    assert ("GLM020" in ids(profile(args, gpu=f"B200:{gpus}"))) is (needed != gpus)


@few
@given(tp=SIZES, groups=SIZES)
def test_groups_divide_ranks_and_ranks_divide_heads(tp: int, groups: int) -> None:
    old = {"tp-size": tp, "dp-size": groups, "enable-dp-attention": True}
    new = {"tp-size": tp, "attn-dp-size": groups}
    even = tp % groups == 0 and 64 % (tp // groups) == 0
    assert ("GLM026" not in ids(profile(old))) is even
    assert ("GLM026" not in ids(profile(new, version="0.5.23"))) is even, "the same, spelled as 0.5.22 does"


@few
@given(steps=st.integers(1, 6), topk=st.integers(2, 5), tokens=st.integers(2, 150))
def test_a_tree_has_no_more_tokens_than_nodes(steps: int, topk: int, tokens: int) -> None:
    # As SGLang grows it: the root, its children, and of each later level the children of the best ones.
    nodes, level = 1, 1
    for _ in range(steps):
        nodes += level * topk
        level = min(level * topk, topk)
    args = {
        "tp-size": 4,
        "speculative-algorithm": "EAGLE",
        "speculative-num-steps": steps,
        "speculative-eagle-topk": topk,
        "speculative-num-draft-tokens": tokens,
    }
    air = profile(args, gpu="H100:4", model={"repo": "zai-org/GLM-4.5-Air-FP8", "served_name": "air"})
    assert ("GLM028" in ids(air)) is (tokens > nodes)


@few
@given(
    pool=st.integers(64, 900_000),
    more=st.integers(0, 900_000),
    requests=st.integers(1, 200),
    context=st.integers(1024, 202_752),
)
def test_a_larger_pool_is_never_worse(pool: int, more: int, requests: int, context: int) -> None:
    def starves(tokens: int) -> bool:
        args = {"kv-cache-dtype": "bfloat16", "context-length": context, "max-running-requests": requests}
        return "GLM030" in ids(profile({"tp-size": 8, "max-total-tokens": tokens, **args}))

    assert not starves(pool + more) or starves(pool)
    assert starves(pool) or pool >= context, "every request of the context can run"


@few
@given(inputs=st.integers(1, 1000), requests=st.integers(1, 1000))
def test_requests_are_compared(inputs: int, requests: int) -> None:
    data = profile({"tp-size": 8, "max-running-requests": requests}, server={"max_inputs": inputs})
    assert ("GLM034" in ids(data)) is (inputs != requests)


@pytest.mark.parametrize("version", catalog.versions())
def test_only_the_image_of_the_release_fits(version: str) -> None:
    for suffix in ("", "-cu130", "-runtime", "@sha256:" + 64 * "0"):
        for other in (*catalog.versions(), "0.5.99"):
            data = profile({"tp-size": 8}, version=version, sglang={"image": f"lmsysorg/sglang:v{other}{suffix}"})
            assert ("GLM037" in ids(data)) is (other != version), (version, other)
    for other in (
        "registry.example.com/team/llm:0.5.7",
        "lmsysorg/sglang:latest",
        "lmsysorg/sglang@sha256:" + 64 * "0",
    ):
        assert "GLM037" not in ids(profile({"tp-size": 8}, version=version, sglang={"image": other}))


@pytest.mark.parametrize("version", catalog.versions())
def test_a_declared_variable_is_never_unread(version: str) -> None:
    texts = {"bool": "1", "int": "1", "float": "0.5"}
    env = {name: texts.get(variable.type, "x") for name, variable in catalog.load(version).env.items()}
    env |= {name: "x" for name, span in variables.undeclared().items() if span.outside(version) is None}
    data = profile({"tp-size": 8}, version=version, sglang={"env": env})
    assert [finding.message for finding in found(data) if finding.id == "GLM039"] == []


@few
@given(name=st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), prefix=st.sampled_from(("", *variables.PREFIXES)))
def test_only_own_variables_are_judged(name: str, prefix: str) -> None:
    own = f"{prefix}{name}".startswith(variables.PREFIXES)
    judged = ids(profile({"tp-size": 8}, sglang={"env": {f"{prefix}{name}": "1"}})) & {"GLM038", "GLM039"}
    assert own or not judged
    read = variables.is_read(f"{prefix}{name}", catalog.load("0.5.11"))
    assert not own or read is not bool(judged)


def test_undeclared_variables_are_listed_well() -> None:
    lines = [line for line in variables.FILE.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    assert len(lines) == len(variables.undeclared())
    for name, span in variables.undeclared().items():
        assert name.startswith(variables.PREFIXES)
        assert {span.first, span.last} <= {*catalog.versions()}


def deprecated() -> Iterator[tuple[str, str, Any]]:
    """Every option that a release calls deprecated and has another spelling for, with a value that it takes."""
    renamed = {name for rename in RENAMES for name in rename.old if not name.startswith("$")}
    samples = ["auto", "in-seq-split", "eager", "trtllm", "1", ["1", "2"]]
    for version in catalog.versions():
        release = catalog.load(version)
        for option in release.options:
            name = option.canonical.removeprefix("--")
            if not option.deprecated or name not in renamed or option.action == "removed":
                continue
            values = samples if option.takes_value else [True]
            yield next((version, name, value) for value in values if not command.read({name: value}, release)[1])


@pytest.mark.parametrize(("version", "name", "value"), list(deprecated()))
def test_old_spellings_are_found_and_mended(version: str, name: str, value: Any) -> None:
    company = {"enable-dp-attention": {"dp-size": 8}} | {
        f"{kind}prefill-cp-mode": {f"enable-{kind}prefill-context-parallel": True} for kind in ("", "nsa-", "dsa-")
    }
    args = {name: value} | company.get(name, {})
    data = profile({"tp-size": 8, **args}, version=version)
    old = [finding for finding in found(data) if finding.id == "GLM038"]
    assert any(f"`{name}`" in finding.message for finding in old)
    edits = [edit for finding in old for edit in finding.edits]
    text = editor.apply(yaml.safe_dump(data, sort_keys=False), edits, "generated.yaml")
    mended = source.read_text(text, "generated.yaml").data
    assert name not in mended["sglang"]["args"]
    assert "GLM038" not in ids(mended)


def test_an_unreadable_switch_has_its_default() -> None:
    """SGLang warns of ``on`` and takes the default (sglang/srt/environ.py, EnvBool)."""
    sets = ('sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="on"', "compile=null")
    found = {finding.id for finding in resolve(source.load("b200-eagle-bf16kv", sets=sets)).findings}
    assert "GLM017" in found
