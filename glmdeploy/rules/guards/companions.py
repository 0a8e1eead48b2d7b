"""A rule about options that SGLang refuses without another option that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.records import record
from glmdeploy.rules.rule import AT_0_5_23, Look, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.rules.facts import Facts


@record
class Companion:
    """``option``, where the profile gives it and ``asks`` holds, needs ``what``, which ``lacks`` finds missing."""

    option: str
    asks: Callable[[Facts], bool]
    lacks: Callable[[Facts], bool]
    what: str


def _on(option: str) -> Callable[[Facts], bool]:
    return lambda facts: bool(facts.value(option))


def _off(option: str) -> Callable[[Facts], bool]:
    return lambda facts: not facts.value(option)


def _is(option: str, *values: object) -> Callable[[Facts], bool]:
    return lambda facts: facts.value(option) in values


COMPANIONS = (
    Companion(
        option="retraction_policy",
        asks=_is("retraction_policy", "priority"),
        lacks=_off("enable_priority_scheduling"),
        what="`enable-priority-scheduling`",
    ),
    Companion(
        option="kv_canary_sweep_interval",
        asks=lambda facts: (facts.number("kv_canary_sweep_interval") or 0) > 0,
        lacks=_is("kv_canary", "none", None),
        what="`kv-canary: log` (or `raise`)",
    ),
    Companion(
        option="dcp_comm_backend",
        asks=_is("dcp_comm_backend", "a2a", "fi_a2a"),
        lacks=lambda facts: facts.setting("dcp_size") is None or facts.value("dcp_size") == 1,
        what="a `dcp-size` above 1",
    ),
    Companion(
        option="enable_http_worker_reuseport",
        asks=_on("enable_http_worker_reuseport"),
        lacks=lambda facts: facts.setting("tokenizer_worker_num") is None or facts.value("tokenizer_worker_num") == 1,
        what="a `tokenizer-worker-num` above 1",
    ),
    Companion(
        option="watermark_config",
        asks=_on("watermark_config"),
        lacks=_off("enable_watermark"),
        what="`enable-watermark`",
    ),
    Companion(
        option="flashinfer_a2a_dispatch_type",
        asks=_on("flashinfer_a2a_dispatch_type"),
        lacks=lambda facts: facts.value("moe_a2a_backend") not in (None, "flashinfer", "flashinfer_megamoe"),
        what="`moe-a2a-backend: flashinfer`",
    ),
    Companion(
        option="enable_ssl_refresh",
        asks=_on("enable_ssl_refresh"),
        lacks=_off("ssl_certfile"),
        what="`ssl-certfile` and `ssl-keyfile`",
    ),
    Companion(
        option="enable_prefill_cp",
        asks=_on("enable_prefill_cp"),
        lacks=lambda facts: facts.setting("cp_strategy") is None,
        what="`cp-strategy`",
    ),
)


def _alone(facts: Facts) -> Iterator[Violation]:
    for each in COMPANIONS:
        if facts.setting(each.option) and each.asks(facts) and each.lacks(facts):
            yield Violation(
                path=facts.path(each.option),
                message=f"SGLang {facts.catalog.version} refuses `{facts.path(each.option)[-1]}` without {each.what}",
            )


ALONE = Rule(
    id="GLM196",
    title="option without the one that it belongs to",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Each of these is refused by a ValueError when SGLang resolves or checks its arguments, in all releases of "
    "those that were tried (0.5.11, 0.5.16, 0.5.18 and 0.5.23) that have the option: the parser takes it alone, and "
    "the server ends in its container, after the GPUs are rented.",
    fix="add the option that the message names, or remove this one",
    sources=(
        "sglang/srt/server_args.py (0.5.11, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py (0.5.23)",
        "sglang/srt/arg_groups/parallel_hook.py (0.5.23)",
        "sglang/srt/arg_groups/moe_hook.py (0.5.23)",
        "sglang/srt/arg_groups/serving_hook.py (0.5.23)",
    ),
    check=_alone,
    fails=(
        example("sglang.args.retraction-policy=priority", profile=AT_0_5_23),
        example("sglang.args.kv-canary-sweep-interval=5", profile=AT_0_5_23),
        example("sglang.args.dcp-comm-backend=a2a", profile=AT_0_5_23),
        example("sglang.args.enable-http-worker-reuseport=true", profile=AT_0_5_23),
        example("sglang.args.watermark-config={context_window: 4}", profile=AT_0_5_23),
        example("sglang.args.flashinfer-a2a-dispatch-type=bf16", profile=AT_0_5_23),
        example("sglang.args.enable-ssl-refresh=true"),
        example("sglang.args.enable-prefill-cp=true", profile=AT_0_5_23),
    ),
    passes=(
        example(
            "sglang.args.retraction-policy=priority", "sglang.args.enable-priority-scheduling=true", profile=AT_0_5_23
        ),
        example("sglang.args.kv-canary-sweep-interval=5", "sglang.args.kv-canary=log", profile=AT_0_5_23),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (ALONE,)
