"""Rules about what belongs to another release of SGLang: the image, spellings, and variables that are not read."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Remove, RenameKey, SetValue, Severity
from glmdeploy.records import record
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.rule import AIR, AT_0_5_23, Rule, Topic, Violation, as_written, example
from glmdeploy.sglang import catalog, releases
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.renames import RENAMES, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.renames import Rename

_TAG = re.compile(r"(?:^|/)[^/:@]*sglang[^/:@]*:v?(?P<release>0\.\d+\.\d+(?:\.?(?:post|rc)\d+)?)(?![\d.]*\d)")
"""The release in the tag of an image whose name has ``sglang``: ``lmsysorg/sglang:v0.5.11-cu130``."""

_AT_0_5_16 = ("sglang.version=0.5.16", "sglang.image=lmsysorg/sglang:v0.5.16-cu130")


def _other_image(facts: Facts) -> Iterator[Violation]:
    image, version = facts.profile.sglang.image, facts.profile.sglang.version
    found = _TAG.search(image)
    if found is None or _same_release(found["release"], version):
        return
    yield Violation(
        path=("sglang", "version"),
        message=f"`version` is {version}, and the image `{image}` has SGLang {found['release']}",
    )


def _same_release(tag: str, version: str) -> bool:
    """Whether they are one, or the tag is of a release without a catalog that the pinned one only patches."""
    one, other = version_key(tag), version_key(version)
    return one == other or (tag not in catalog.versions() and one[0] == other[0])


@record
class _Change:
    """What the profile says in old words, what that is called now, and the last renaming on the way."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    rename: Rename


def _changes(said: Mapping[str, Any], version: str) -> list[_Change]:
    """The renamings up to the release that concern what is said; several that follow each other are one change."""
    changes: list[_Change] = []
    if not said.keys() & _renamed(version):
        return changes
    for step in rewrite(said, version)[1]:
        if version_key(step.rename.since) > version_key(version):
            continue
        earlier = [change for change in changes if change.new.keys() & step.old.keys()]
        old = {
            name: value for name, value in said.items() if name in step.old or any(name in one.old for one in earlier)
        }
        new = {name: value for one in earlier for name, value in one.new.items() if name not in step.old} | dict(
            step.new
        )
        changes = [change for change in changes if change not in earlier]
        if old:
            changes.append(_Change(old=old, new=new, rename=step.rename))
    return changes


@cache
def _renamed(version: str) -> frozenset[str]:
    """The options that have a newer name, or none any more, in the release."""
    known = (rename for rename in RENAMES if version_key(rename.since) <= version_key(version))
    return frozenset(name for rename in known for name in rename.old)


def _old_spellings(facts: Facts) -> Iterator[Violation]:
    paths = {setting.option.canonical.removeprefix("--"): facts.path(dest) for dest, setting in facts.settings.items()}
    said = {
        setting.option.canonical.removeprefix("--"): facts.profile.sglang.args[setting.key]
        for setting in facts.settings.values()
    }
    changes = _changes(said, facts.catalog.version)
    for change in changes:
        place = paths[next(iter(change.old))]
        yield Violation(path=place, key=True, message=_told(change, paths), edits=_rewritten(change, paths))
    for dest, setting in facts.settings.items():
        name = setting.option.canonical.removeprefix("--")
        if setting.option.deprecated and not any(name in change.old for change in changes):
            note = setting.option.deprecated.rstrip(".")
            yield Violation(
                path=facts.path(dest),
                key=True,
                message=f"SGLang {facts.catalog.version} says of `{setting.key}`: {note}",
                # Of this kind are options that do nothing.
                edits=facts.drop(dest) if setting.option.action == "deprecated" else (),
            )
    yield from _old_variables(facts)


def _told(change: _Change, paths: Mapping[str, KeyPath]) -> str:
    before = " with ".join(
        f"`{paths[name][-1]}: {as_written(value)}`" if name in change.new or value is False else f"`{paths[name][-1]}`"
        for name, value in change.old.items()
    )
    if not change.new:
        return f"{before} does nothing: {change.rename.why}"
    kept = [value for value in change.old.values() if value is not True]
    after = " and ".join(
        f"`{name}`" if value in kept else f"`{name}: {as_written(value)}`" for name, value in change.new.items()
    )
    return f"{before} is an old spelling of {after} since {change.rename.since}"


def _rewritten(change: _Change, paths: Mapping[str, KeyPath]) -> tuple[Edit, ...]:
    """The edits that say the same in new words: an entry is renamed where it keeps its value."""
    edits: list[Edit] = []
    left = {name: value for name, value in change.old.items() if name not in change.new}
    for name, value in change.new.items():
        if name in paths:
            edits += [SetValue(path=paths[name], value=value)] if change.old.get(name) != value else []
            continue
        same = next((old for old, kept in left.items() if type(kept) is type(value) and kept == value), None)
        if same is None:
            edits.append(SetValue(path=(*ARGS, name), value=value))
        else:
            edits.append(RenameKey(path=paths[same], name=name))
            del left[same]
    return (*edits, *(Remove(path=paths[name]) for name in left))


def _old_variables(facts: Facts) -> Iterator[Violation]:
    for name in _own_variables(facts):
        new = None if releases.is_read(name, facts.catalog) else releases.present_name(name, facts.catalog)
        if new:
            yield Violation(
                path=facts.env_path(name),
                key=True,
                message=f"the variable `{name}` is an old spelling of `{new}`",
                edits=() if new in facts.env else (RenameKey(path=facts.env_path(name), name=new),),
            )


def _own_variables(facts: Facts) -> Iterator[str]:
    """SGLang's own among the variables."""
    return (name for name in facts.env if name.startswith(releases.PREFIXES))


def _unread(facts: Facts) -> Iterator[Violation]:
    release = facts.catalog
    for name in _own_variables(facts):
        path, wanted = facts.env_path(name), releases.expected(name, facts.env[name], release)
        if wanted:
            yield Violation(
                path=path,
                message=f"`{name}` is `{facts.env[name]}`, and SGLang takes its default: it expects {wanted}",
            )
        elif not releases.is_read(name, release) and not releases.present_name(name, release):
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
    if went := releases.outside(name, version):
        return f": it {went}"
    near = releases.similar(name, facts.catalog)
    return f", but `{near}`" if near else ""


def _without(name: str, facts: Facts) -> tuple[Edit, ...]:
    """What changes nothing that runs: where SGLang has a replacement that means the same, that; else the entry goes."""
    new, steps = rewrite({f"${name}": facts.env[name]}, facts.catalog.version)
    path = facts.env_path(name)
    if steps:
        added = (SetValue(path=(*ARGS, option), value=value) for option, value in new.items())
        return (Remove(path=path), *added)
    went = releases.outside(name, facts.catalog.version)
    return (Remove(path=path),) if went and went.startswith("went") else ()


OTHER_IMAGE = Rule(
    id="GLM037",
    title="image of another release",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="`sglang.version` decides which options exist, what SGLang makes of them, and which rules hold; the image "
    "decides what runs. Where they differ, everything that was checked was checked for another program: an option may "
    "be unknown at start, or mean something else.",
    fix="write the version that is in the image, or the image of that version (`glmdeploy upgrade` changes both)",
    sources=("https://hub.docker.com/r/lmsysorg/sglang/tags",),
    check=_other_image,
    fails=(
        example("sglang.image=lmsysorg/sglang:v0.5.12-cu130"),
        example("sglang.image=registry.example.com/ml/sglang-glm:0.5.10.post1"),
        example("sglang.image=lmsysorg/sglang:v0.5.22-cu130", profile=AT_0_5_23),
    ),
    passes=(
        example(),
        example("sglang.image=lmsysorg/sglang:v0.5.11"),
        example("sglang.image=registry.example.com/ml/serving:0.9.1"),
        example(
            *("sglang.version=0.5.12.post1", "sglang.image=lmsysorg/sglang:v0.5.12-cu130"),
            profile=AIR,
        ),
    ),
)

OLD_SPELLINGS = Rule(
    id="GLM038",
    title="spelling that SGLang is about to drop",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="SGLang keeps an old name of an option for some releases, with a warning that nobody sees in a container's "
    "log, and then refuses it: a profile that still says `nsa-decode-backend` does not start from 0.5.20 on. Some old "
    "options are accepted and do nothing any more. Variables that begin with SGL_ stand for those with SGLANG_.",
    fix="write what the message says (`glmdeploy validate --fix` does), or remove what has no replacement",
    sources=(
        "sglang/srt/server_args.py, add_cli_args (0.5.10 to 0.5.18)",
        "sglang/srt/arg_groups/argparse_actions.py (0.5.19, 0.5.23)",
        "sglang/srt/environ.py (0.5.10, 0.5.23)",
    ),
    check=_old_spellings,
    fails=(
        example("sglang.args.stream-output=true"),
        example("sglang.args.enable-nan-detection=true"),
        example("sglang.env.SGL_ENABLE_JIT_DEEPGEMM=1"),
        example("sglang.args.enable-flashinfer-allreduce-fusion=true", profile=AT_0_5_23),
        example("sglang.args.disable-cuda-graph=true", profile=AT_0_5_23),
        example("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", profile=AT_0_5_23),
        example("sglang.args.attention-backend=nsa", profile=AT_0_5_23),
        example(
            *(*_AT_0_5_16, "sglang.args.nsa-decode-backend=trtllm", "sglang.args.dsa-decode-backend=null"),
            profile=AT_0_5_23,
        ),
        example(*_AT_0_5_16, "sglang.args.cuda-graph-bs=[1,2,4]", profile=AT_0_5_23),
    ),
    passes=(
        example(),
        example(profile=AT_0_5_23),
        example("sglang.args.cuda-graph-max-bs=48"),
        example("sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM=1"),
        example("sglang.args.attn-dp-size=8", profile=AT_0_5_23),
    ),
)

UNREAD = Rule(
    id="GLM039",
    title="variable that SGLang does not read",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
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

RULES = (
    OTHER_IMAGE,
    OLD_SPELLINGS,
    UNREAD,
)
