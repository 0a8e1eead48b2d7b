"""What SGLang's releases call differently: renamed options, switches that became values, switches that went.

Found by comparing the option catalogs of neighbouring releases, and read in the upstream files that each entry names
(paths of the wheel of release ``since``). A test holds ``since`` and ``until`` to the catalogs, and every replacement
that SGLang's own parser names to this table. Environment variables are written ``$NAME``. Variables that SGLang
declares under a former name are not repeated here: the catalogs hold those (``EnvVar.former_name``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias

from glmdeploy.records import record
from glmdeploy.sglang.catalog import boolean, version_key

Spelling: TypeAlias = Mapping[str, Any]
"""Options, without the dashes, and the value of each; :data:`KEPT` stands for the value that the profile gives."""

KEPT = object()


@record
class Rename:
    """``old`` up to the release before ``since`` is ``new`` from there on.

    ``until`` is the last catalogued release that takes the old spelling, None while the newest one does. ``values``
    maps a kept value, where its words changed too. ``direction`` says which way the two are the same. ``given`` are
    settings that must be there, each with one of the values named, and stay; with an option of ``unless`` the entry
    does not hold.
    """

    old: Spelling
    new: Spelling
    since: str
    until: str | None
    why: str
    source: str
    values: Mapping[str, str] = field(default_factory=dict)
    direction: Literal["both", "forward", "back"] = "both"
    given: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    unless: tuple[str, ...] = ()


_ARGS = "sglang/srt/server_args.py"
_ACTIONS = "sglang/srt/server_args.py (add_cli_args, deprecated aliases)"
_CP_MODES = {"in-seq-split": "zigzag", "round-robin-split": "interleave"}


def _renamed(old: str, new: str, since: str, until: str | None, source: str = _ACTIONS) -> Rename:
    return Rename(
        old={old: KEPT},
        new={new: KEPT},
        since=since,
        until=until,
        why=f"renamed in {since}",
        source=source,
    )


def _became(old: str, new: Spelling, since: str, until: str | None, source: str = _ACTIONS) -> Rename:
    shown = " and ".join(f"`{key}: {value}`" for key, value in new.items())
    why = f"the switch became {shown} in {since}"
    return Rename(old={old: True}, new=new, since=since, until=until, why=why, source=source)


RENAMES = (
    _renamed("stream-output", "incremental-streaming-output", "0.5.10", "0.5.19"),
    Rename(
        old={"enable-piecewise-cuda-graph": True},
        new={},
        since="0.5.10",
        until="0.5.13.post1",
        why="piecewise CUDA graphs are on by default since 0.5.10",
        source=_ACTIONS,
        direction="forward",
    ),
    Rename(
        old={"$SGLANG_ENABLE_SPEC_V2": True},
        new={},
        since="0.5.11",
        until="0.5.13.post1",
        why="EAGLE runs with overlap by default since 0.5.11; before, only with this variable",
        source="sglang/srt/environ.py, sglang/srt/server_args.py (_handle_speculative_decoding)",
        direction="back",
        given={"speculative-algorithm": ("EAGLE", "EAGLE3", "NEXTN", "STANDALONE"), "speculative-eagle-topk": (1,)},
        unless=("disable-overlap-schedule",),
    ),
    Rename(
        old={"collect-tokens-histogram": True},
        new={},
        since="0.5.11",
        until="0.5.19",
        why="token histograms come with `enable-metrics` since 0.5.11",
        source=_ACTIONS,
        direction="forward",
    ),
    _renamed("nsa-prefill-backend", "dsa-prefill-backend", "0.5.13.post1", "0.5.19"),
    _renamed("nsa-decode-backend", "dsa-decode-backend", "0.5.13.post1", "0.5.19"),
    _renamed("nsa-prefill-cp-mode", "dsa-prefill-cp-mode", "0.5.13.post1", "0.5.19"),
    _renamed("enable-nsa-prefill-context-parallel", "enable-dsa-prefill-context-parallel", "0.5.13.post1", "0.5.19"),
    _renamed("speculative-dflash-draft-window-size", "speculative-draft-window-size", "0.5.13.post1", "0.5.19"),
    *(
        Rename(
            old={option: "nsa"},
            new={option: "dsa"},
            since="0.5.13.post1",
            until=None,
            why="`nsa` is called `dsa` since 0.5.13.post1",
            source="sglang/srt/server_args.py (ATTENTION_BACKEND_CHOICES: nsa is the deprecated alias)",
        )
        for option in ("attention-backend", "prefill-attention-backend", "decode-attention-backend")
    ),
    _became("enable-flashinfer-allreduce-fusion", {"flashinfer-allreduce-fusion-backend": "auto"}, "0.5.14", None),
    _renamed("cuda-graph-max-bs", "cuda-graph-max-bs-decode", "0.5.14", "0.5.19"),
    _renamed("cuda-graph-bs", "cuda-graph-bs-decode", "0.5.14", "0.5.19"),
    _became(
        "disable-cuda-graph",
        {"cuda-graph-backend-decode": "disabled", "cuda-graph-backend-prefill": "disabled"},
        "0.5.14",
        None,
    ),
    _became("disable-piecewise-cuda-graph", {"cuda-graph-backend-prefill": "disabled"}, "0.5.14", "0.5.19"),
    _became("enforce-piecewise-cuda-graph", {"cuda-graph-backend-prefill": "tc_piecewise"}, "0.5.14", "0.5.19"),
    _became("enable-breakable-cuda-graph", {"cuda-graph-backend-prefill": "breakable"}, "0.5.14", "0.5.19"),
    _renamed("piecewise-cuda-graph-tokens", "cuda-graph-bs-prefill", "0.5.14", "0.5.19"),
    _renamed("piecewise-cuda-graph-max-tokens", "cuda-graph-max-bs-prefill", "0.5.14", "0.5.19"),
    _renamed("piecewise-cuda-graph-compiler", "cuda-graph-tc-compiler", "0.5.14", "0.5.19"),
    _renamed("mamba-scheduler-strategy", "mamba-radix-cache-strategy", "0.5.14", "0.5.19"),
    *(
        Rename(
            old={switch: True, **mode},
            new={"enable-prefill-cp": True, "cp-strategy": strategy},
            since="0.5.14",
            until="0.5.19",
            why="context parallelism is `enable-prefill-cp` with `cp-strategy` since 0.5.14",
            source="sglang/srt/server_args.py (_handle_legacy_cp_arguments)",
            values=_CP_MODES if mode else {},
            # Which of the two switches a strategy stood for depends on the model.
            direction="forward",
        )
        for switch, option, default in (
            ("enable-dsa-prefill-context-parallel", "dsa-prefill-cp-mode", "interleave"),
            ("enable-prefill-context-parallel", "prefill-cp-mode", "zigzag"),
        )
        for mode, strategy in (({option: KEPT}, KEPT), ({}, default))
    ),
    Rename(
        old={"hybrid-kvcache-ratio": KEPT},
        new={},
        since="0.5.14",
        until="0.5.13.post1",
        why="it had no effect any more, and went in 0.5.14",
        source=_ACTIONS,
        direction="forward",
    ),
    Rename(
        old={"$SGLANG_ENABLE_SPEC_V2": True},
        new={},
        since="0.5.14",
        until="0.5.13.post1",
        why="removed in 0.5.14: speculative decoding always runs with overlap",
        source="sglang/srt/arg_groups/speculative_hook.py",
        direction="forward",
    ),
    Rename(
        old={"$SGLANG_ENABLE_SPEC_V2": False},
        new={"disable-overlap-schedule": True},
        since="0.5.14",
        until="0.5.13.post1",
        why="removed in 0.5.14, which names `disable-overlap-schedule` for speculative decoding without overlap",
        source="sglang/srt/arg_groups/speculative_hook.py",
        direction="forward",
    ),
    _renamed("grpc-mode", "smg-grpc-mode", "0.5.16", None, _ARGS),
    _renamed("grpc-http-sidecar-port", "smg-http-sidecar-port", "0.5.16", None, _ARGS),
    _became("elastic-ep-rejoin", {"elastic-ep-join-mode": "recover"}, "0.5.16", "0.5.20", _ARGS),
    Rename(
        old={"enable-deepep-waterfill": True},
        new={"enable-waterfill": True},
        since="0.5.16",
        until="0.5.15.post1",
        why="renamed in 0.5.16, where it works with more than DeepEP",
        source="sglang/srt/arg_groups/overrides.py",
        direction="forward",
    ),
    _renamed("enable-gdn-replayssm-spec", "enable-linear-replayssm-spec", "0.5.17", "0.5.19"),
    _became("disable-fast-image-processor", {"image-processor-backend": "pil"}, "0.5.18", None, _ARGS),
    Rename(
        old={"prefill-round-robin-balance": True},
        new={},
        since="0.5.20",
        until="0.5.19",
        why="it had no effect any more, and went in 0.5.20",
        source=_ACTIONS,
        direction="forward",
    ),
    Rename(
        old={"enable-dp-attention": True, "dp-size": KEPT},
        new={"attn-dp-size": KEPT},
        since="0.5.22",
        until=None,
        why="attention data parallelism has its own size since 0.5.22, and `dp-size` counts replicas",
        source="sglang/srt/arg_groups/parallel_hook.py (handle_deprecated_dp_attention)",
        # Next to the new option, `dp-size` means replicas: two different things that one old option cannot say.
        unless=("dp-size", "attn-dp-size"),
    ),
)
"""In the order of ``since``."""


@record
class Step:
    """One application of ``rename``: the settings ``old`` became ``new``."""

    rename: Rename
    old: Mapping[str, Any]
    new: Mapping[str, Any]


def rewrite(settings: Mapping[str, Any], version: str) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """``settings`` in the words of the release ``version``, and the steps that led there, in their order.

    Keys are canonical option names without dashes, or ``$NAME`` for a variable. What the table does not know stays
    as it is; new words take the place of the first of the old ones. Whether the release accepts the outcome is not
    asked here.
    """
    now = dict(settings)
    steps: list[Step] = []
    for rename, forward in _applicable(version):
        old, new = (rename.old, rename.new) if forward else (rename.new, rename.old)
        step = _step(rename, old, new, now, forward=forward)
        if step is not None:
            now = replaced(now, step.old, step.new)
            steps.append(step)
    return now, tuple(steps)


def replaced(settings: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with ``new`` in the place of the first of ``old``; without an old one, at the end."""
    result: dict[str, Any] = {}
    placed = False
    for key, value in settings.items():
        if key not in old and key not in new:
            result[key] = value
        elif key in old and not placed:
            result |= new
            placed = True
        elif key in new and key not in old:
            # It said the same already (`_step` sees to that), and is written where the old one stood.
            continue
    return result if placed else result | dict(new)


def _applicable(version: str) -> list[tuple[Rename, bool]]:
    """The entries for a release, with their direction: down from the newest, up from the oldest.

    Of one release's entries, those that take several settings at once come first.
    """
    target = version_key(version)
    up = [row for row in RENAMES if version_key(row.since) <= target and row.direction != "back"]
    up.sort(key=lambda row: (version_key(row.since), -len(row.old)))
    down = [row for row in RENAMES if version_key(row.since) > target and row.direction != "forward"]
    down.sort(key=lambda row: (version_key(row.since), len(row.new)), reverse=True)
    return [*((row, False) for row in down), *((row, True) for row in up)]


def _step(rename: Rename, old: Spelling, new: Spelling, now: Mapping[str, Any], *, forward: bool) -> Step | None:
    taken = {key: now[key] for key in old if key in now}
    if len(taken) < len(old) or not _holds(rename, old, now) or (not old and any(key in now for key in new)):
        return None
    if forward and len(old) == 1 and list(old.values()) == [True] and list(taken.values()) == [False]:
        return Step(rename=rename, old=taken, new={})  # a switch that is off says nothing
    if not all(_matches(pattern, taken[key]) for key, pattern in old.items()):
        return None
    kept = next((taken[key] for key, pattern in old.items() if pattern is KEPT), None)
    words = rename.values if forward else {value: key for key, value in rename.values.items()}
    kept = words.get(kept, kept) if isinstance(kept, str) else kept
    given = {key: kept if value is KEPT else _written(key, value) for key, value in new.items()}
    if any(key in now and key not in old and now[key] != value for key, value in given.items()):
        return None  # the other spelling is there too, and says something else
    return Step(rename=rename, old=taken, new=given)


def _holds(rename: Rename, old: Spelling, now: Mapping[str, Any]) -> bool:
    return all(now.get(key) in values for key, values in rename.given.items()) and not any(
        key in now for key in rename.unless if key not in old
    )


def _matches(pattern: object, value: object) -> bool:
    if pattern is KEPT:
        return True
    if isinstance(pattern, bool) and isinstance(value, str):
        return boolean(value) is pattern
    return value is pattern if isinstance(pattern, bool) else value == pattern


def _written(key: str, value: object) -> object:
    return str(int(value)) if key.startswith("$") and isinstance(value, bool) else value
