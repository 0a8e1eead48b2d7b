"""Rules about SGLang's variables in the environment of its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.edits import Remove, SetValue
from glmdeploy.findings import Severity
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.rule import AT_0_5_23, Rule, Violation, example
from glmdeploy.sglang import variables
from glmdeploy.sglang.rewriting import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.edits import Edit
    from glmdeploy.rules.facts import Facts


def own_variables(facts: Facts) -> Iterator[str]:
    """SGLang's own among the variables."""
    return (name for name in facts.env if name.startswith(variables.PREFIXES))


def _unread(facts: Facts) -> Iterator[Violation]:
    release = facts.catalog
    for name in own_variables(facts):
        path, wanted = facts.env_path(name), variables.expected(name, facts.env[name], release)
        if wanted:
            yield Violation(
                path=path,
                message=f"`{name}` is `{facts.env[name]}`, and SGLang takes its default: it expects {wanted}",
            )
        elif not variables.is_read(name, release) and not variables.present_name(name, release):
            yield Violation(
                path=path,
                key=True,
                message=f"SGLang {release.version} does not read the variable `{name}`{_reason(name, facts)}",
                edits=_without(name, facts),
            )


def _reason(name: str, facts: Facts) -> str:
    version = facts.catalog.version
    _, steps = rewrite({f"${name}": facts.env[name]}, version)
    if steps:
        return f": {steps[-1].rename.why}"
    if went := variables.outside(name, version):
        return f": it {went}"
    near = variables.similar(name, facts.catalog)
    return f", but `{near}`" if near else ""


def _without(name: str, facts: Facts) -> tuple[Edit, ...]:
    """What changes nothing that runs: where SGLang has a replacement that means the same, that; else the entry goes."""
    new, steps = rewrite({f"${name}": facts.env[name]}, facts.catalog.version)
    path = facts.env_path(name)
    if steps:
        added = (SetValue(path=(*ARGS, option), value=value) for option, value in new.items())
        return (Remove(path=path), *added)
    went = variables.outside(name, facts.catalog.version)
    return (Remove(path=path),) if went and went.startswith("went") else ()


UNREAD = Rule(
    id="GLM039",
    title="variable that SGLang does not read",
    severity=Severity.WARNING,
    why="A variable with a wrong name does nothing, and SGLang says nothing about it. Names are checked against what "
    "the release declares and against every other name that its sources read. A value that is no boolean or number "
    "where one is expected is replaced by the default, with a Python warning. Variables of other programs are not "
    "judged.",
    fix="correct the name or the value, or remove the variable",
    sources=("sglang/srt/environ.py (0.5.8 to 0.5.23)",),
    check=_unread,
    fails=(
        example("sglang.env.SGLANG_ENABLE_SPECV2=1"),
        example("server.env.SGLANG_DG_CACHEDIR=/dg-cache"),
        example("sglang.env.SGLANG_ENABLE_FLASHINFER_GEMM=1"),
        example("sglang.env.SGLANG_DSA_FUSE_TOPK=1"),
        example("sglang.env.SGLANG_ENABLE_SPEC_V2=1", profile=AT_0_5_23),
        example("sglang.env.SGLANG_ENABLE_SPEC_V2=0", profile=AT_0_5_23),
        example("sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM=on"),
    ),
    passes=(
        example(),
        example("sglang.env.SGLANG_HEALTH_CHECK_TIMEOUT=60"),
        example("sglang.env.HF_HUB_ENABLE_SPECV2=1"),
        example("sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM='True'"),
        example("download.env.SGLANG_ANYTHING=1"),
    ),
)

RULES = (UNREAD,)
