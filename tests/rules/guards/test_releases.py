"""Images, spellings and variables of all releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from judged import checked, few, found_in, generated, ids

from glmdeploy.authoring import editor
from glmdeploy.profile.text.load import read_text
from glmdeploy.sglang import catalog, command, releases
from glmdeploy.sglang.renames import RENAMES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("version", catalog.versions())
def test_only_the_image_of_the_release_fits(version: str) -> None:
    for suffix in ("", "-cu130", "-runtime", "@sha256:" + 64 * "0"):
        for other in {version, catalog.versions()[0], catalog.versions()[-1], "0.5.99"}:
            data = generated({"tp-size": 8}, version=version, sglang={"image": f"lmsysorg/sglang:v{other}{suffix}"})
            assert ("GLM037" in ids(data)) is (other != version), (version, other)
    for other in (
        "registry.example.com/team/llm:0.5.7",
        "lmsysorg/sglang:latest",
        "lmsysorg/sglang@sha256:" + 64 * "0",
    ):
        assert "GLM037" not in ids(generated({"tp-size": 8}, version=version, sglang={"image": other}))


@pytest.mark.parametrize("version", catalog.versions())
def test_a_declared_variable_is_never_unread(version: str) -> None:
    texts = {"bool": "1", "int": "1", "float": "0.5"}
    env = {name: texts.get(variable.type, "x") for name, variable in catalog.load(version).env.items()}
    env |= {name: "x" for name, span in releases.undeclared().items() if span.outside(version) is None}
    data = generated({"tp-size": 8}, version=version, sglang={"env": env})
    assert [finding.message for finding in found_in(data) if finding.id == "GLM039"] == []


@few
@given(name=st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), prefix=st.sampled_from(("", *releases.PREFIXES)))
def test_only_own_variables_are_judged(name: str, prefix: str) -> None:
    own = f"{prefix}{name}".startswith(releases.PREFIXES)
    judged = ids(generated({"tp-size": 8}, sglang={"env": {f"{prefix}{name}": "1"}})) & {"GLM038", "GLM039"}
    assert own or not judged
    read = releases.is_read(f"{prefix}{name}", catalog.load("0.5.11"))
    assert not own or read is not bool(judged)


def test_undeclared_variables_are_listed_well() -> None:
    lines = [line for line in releases.FILE.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    assert len(lines) == len(releases.undeclared())
    for name, span in releases.undeclared().items():
        assert name.startswith(releases.PREFIXES)
        assert {span.first, span.last} <= {*catalog.versions()}


def deprecated() -> Iterator[tuple[str, str]]:
    """Every option that a release calls deprecated and has another spelling for."""
    renamed = {name for rename in RENAMES for name in rename.old if not name.startswith("$")}
    for version in catalog.versions():
        for option in catalog.load(version).options:
            name = option.canonical.removeprefix("--")
            if option.deprecated and name in renamed and option.action != "removed":
                yield version, name


def taken(version: str, name: str) -> Any:
    """A value that the option takes."""
    release = catalog.load(version)
    samples = ["auto", "in-seq-split", "eager", "trtllm", "1", ["1", "2"]]
    values = samples if release.find(name).takes_value else [True]
    return next(value for value in values if not command.read({name: value}, release)[1])


@pytest.mark.parametrize(("version", "name"), list(deprecated()))
def test_old_spellings_are_found_and_mended(version: str, name: str) -> None:
    company = {"enable-dp-attention": {"dp-size": 8}} | {
        f"{kind}prefill-cp-mode": {f"enable-{kind}prefill-context-parallel": True} for kind in ("", "nsa-", "dsa-")
    }
    args = {name: taken(version, name)} | company.get(name, {})
    data = generated({"tp-size": 8, **args}, version=version)
    old = [finding for finding in found_in(data) if finding.id == "GLM038"]
    assert any(f"`{name}`" in finding.message for finding in old)
    edits = [edit for finding in old for edit in finding.edits]
    text = editor.apply(yaml.safe_dump(data, sort_keys=False), edits, "generated.yaml")
    mended = read_text(text, "generated.yaml").data
    assert name not in mended["sglang"]["args"]
    assert "GLM038" not in ids(mended)


def test_an_unreadable_switch_has_its_default() -> None:
    """SGLang warns of ``on`` and takes the default (sglang/srt/environ.py, EnvBool)."""
    sets = ('sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="on"', "compile=null")
    found = {finding.id for finding in checked(*sets).findings}
    assert "GLM017" in found
