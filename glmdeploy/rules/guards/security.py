"""Rules about who can reach the endpoint, what they can do there, and what clients meet: the name and the parsers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity, listed
from glmdeploy.rules.rule import AIR, ISSUES, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_CLIENT_CODE = "enable_custom_logit_processor"

REALTIME_SINCE = "0.5.13.post1"
"""First release with the WebSocket ``/v1/realtime``, which no key protects."""

READY_SINCE = "0.5.20"
"""First release that leaves ``/ready`` open (``sglang/srt/utils/auth.py``)."""

_REASONING, _TOOLS = "reasoning_parser", "tool_call_parser"

_GLM = re.compile(r"/GLM-(?:4\.(?P<four>[567])|5(?:\.\d+)?)(?:-(?:Air|FP8|NVFP4))*$", re.IGNORECASE)
"""Chat models whose formats are known. Base models answer no chats, and those with images have their own."""

_BASE = "model.repo=zai-org/GLM-4.5-Air-Base"


def _public(facts: Facts) -> Iterator[Violation]:
    keyed, public = facts.profile.secrets.api_key is not None, facts.profile.server.public
    if not keyed and not public:
        yield Violation(
            path=("secrets",),
            key=True,
            message="there is no `secrets.api_key`, so anyone who finds the URL can use the GPUs",
        )
    if keyed and public:
        yield Violation(
            path=("server", "public"),
            message="`server.public` is true although `secrets.api_key` protects the endpoint",
        )
    if not keyed and public and facts.value(_CLIENT_CODE):
        yield Violation(
            path=facts.path(_CLIENT_CODE),
            message="with `enable-custom-logit-processor` anyone who finds the public URL can run Python code in the "
            "container",
        )


def _open_routes(facts: Facts) -> Iterator[Violation]:
    if facts.profile.secrets.api_key is None:
        return
    release = version_key(facts.catalog.version)
    metrics = bool(facts.value("enable_metrics"))
    routes = ["`/health*`"]
    routes += ["`/ready*`"] if release >= version_key(READY_SINCE) else []
    routes += ["`/metrics*`"] if metrics else []
    routes += ["the WebSocket `/v1/realtime`"] if release >= version_key(REALTIME_SINCE) else []
    shown = metrics and "enable_metrics" in facts.settings
    yield Violation(
        path=facts.path("enable_metrics") if shown else ("secrets", "api_key"),
        key=True,
        message=f"{listed(routes)} answer{'' if len(routes) > 1 else 's'} without the API key",
    )


def _refused_key(facts: Facts) -> Iterator[Violation]:
    if facts.profile.secrets.api_key is None:
        return
    workers = facts.number("tokenizer_worker_num")
    if workers is not None and workers > 1:
        yield Violation(
            path=facts.path("tokenizer_worker_num"),
            message=f"each of the {workers} tokenizer workers ends at its start when there is an API key",
            edits=facts.drop("tokenizer_worker_num"),
        )
    native = facts.between("0.5.16", None) and not (facts.value("smg_grpc_mode") or facts.value("grpc_mode"))
    if native and facts.value("grpc_port") is not None:
        yield Violation(
            path=facts.path("grpc_port"),
            message=f"SGLang {facts.catalog.version} refuses `grpc-port` together with an API key",
        )
    elif native and facts.env.get("SGLANG_GRPC_PORT"):
        yield Violation(
            path=facts.env_path("SGLANG_GRPC_PORT"),
            message=f"SGLang {facts.catalog.version} refuses `SGLANG_GRPC_PORT` together with an API key",
        )


def _parsers(repo: str) -> Mapping[str, tuple[str, ...]]:
    """The parsers that read what the repository's model writes, the usual one first; empty where that is not known."""
    found = _GLM.search(repo)
    if found is None:
        return {}
    # glm45 became another name of glm, and is what the model's authors write.
    return {_REASONING: ("glm45",), _TOOLS: ("glm45", "glm") if found["four"] in ("5", "6") else ("glm47",)}


def _wrong_parser(facts: Facts) -> Iterator[Violation]:
    for dest, fitting in _parsers(facts.profile.model.repo).items():
        setting = facts.setting(dest)
        if setting and setting.value not in (*fitting, "auto"):
            yield Violation(
                path=facts.path(dest),
                message=f"`{setting.key}: {setting.value}` does not read what {facts.profile.model.repo} writes, "
                f"`{fitting[0]}` does",
                edits=facts.put(dest, fitting[0]),
            )


def _no_parser(facts: Facts) -> Iterator[Violation]:
    effects = {_REASONING: "thinking arrives inside the answer", _TOOLS: "tool calls arrive as text"}
    for dest, fitting in _parsers(facts.profile.model.repo).items():
        if facts.setting(dest) is None:
            yield Violation(
                path=facts.path(dest),
                key=True,
                message=f"{effects[dest]}: there is no `{dest.replace('_', '-')}`, which for "
                f"{facts.profile.model.repo} is `{fitting[0]}`",
                edits=facts.put(dest, fitting[0]),
            )


def _served_name(facts: Facts) -> Iterator[Violation]:
    name = facts.profile.model.served_name
    if ":" in name and not re.match(r"(?:s3|gs|az)://", name):
        yield Violation(path=("model", "served_name"), message=f"SGLang refuses the colon in `{name}`")


PUBLIC_ENDPOINT = Rule(
    id="GLM060",
    title="public endpoint that was not asked for",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="Modal's URLs are reachable from everywhere. Without an API key every stranger's request starts GPUs at your "
    "expense, so a public endpoint must be said in so many words. What can be asked for is answers to requests, not "
    "the custom logit processors of strangers: SGLang unpickles them, and so runs whatever code a request carries.",
    fix="add `secrets.api_key` with the Modal Secret that holds the key, or write `server: {public: true}`, and no "
    "`enable-custom-logit-processor` beside it",
    sources=("https://modal.com/docs/guide/webhooks", "sglang/srt/sampling/custom_logit_processor.py (0.5.23)"),
    check=_public,
    fails=(
        example("secrets.api_key=null"),
        example("server.public=true"),
        example("secrets.api_key=null", "server.public=true", "sglang.args.enable-custom-logit-processor=true"),
    ),
    passes=(
        example("secrets.api_key=null", "server.public=true"),
        example("sglang.args.enable-custom-logit-processor=true"),
    ),
    waivable=False,
)

OPEN_ROUTES = Rule(
    id="GLM061",
    title="routes that stay open with an API key",
    severity=Severity.INFO,
    topic=Topic.SECURITY,
    why="SGLang lets every path that begins with /health or /metrics pass without a key, from 0.5.20 on /ready too "
    "(tried on the real middleware of 0.5.10 and 0.5.23; /metrics exists only with `enable-metrics`). From "
    "0.5.13.post1 on the WebSocket /v1/realtime, for the transcription of speech, passes as well, because the "
    "middleware looks at HTTP requests alone (#40299). /metrics shows how much you serve, and /health makes an idle "
    "server generate one token. The check is SGLang's, so a request without a key reaches a container: Modal starts "
    "one for it, and `max_containers` is what bounds that.",
    fix="nothing, if that is all right; without `enable-metrics` there is no /metrics",
    sources=(
        "sglang/srt/utils/auth.py (0.5.10, 0.5.23)",
        f"{ISSUES}40299",
        "https://modal.com/docs/guide/webhooks",
    ),
    check=_open_routes,
    fails=(example(), example("sglang.args.enable-metrics=null"), example(profile="b200-eagle-bf16kv-0.5.23")),
    passes=(example("secrets.api_key=null", "server.public=true"),),
)

REFUSED_KEY = Rule(
    id="GLM065",
    title="option that cannot be used with an API key",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="SGLang checks keys in one tokenizer process only: with more, each worker asserts that there is no key and "
    "ends, so that the server never becomes healthy (in all releases from 0.5.10 to 0.5.23). And the native gRPC "
    "server, which would go round the check, makes 0.5.16 and newer refuse the pair with a ValueError at the start, "
    "whether the port comes from the option or from the variable SGLANG_GRPC_PORT. Modal forwards HTTP to one port, "
    "so that clients could not reach the gRPC port anyway.",
    fix="remove the option (or the variable); without a key the endpoint would be open to everyone",
    sources=(
        "sglang/srt/entrypoints/http_server.py, init_multi_tokenizer (0.5.10, 0.5.23)",
        "sglang/srt/server_args.py (0.5.16)",
        "sglang/srt/arg_groups/serving_hook.py (0.5.23)",
    ),
    check=_refused_key,
    fails=(
        example("sglang.args.tokenizer-worker-num=4"),
        example("sglang.args.grpc-port=9000", profile="b200-eagle-bf16kv-0.5.23"),
        example("sglang.env.SGLANG_GRPC_PORT=9000", profile="b200-eagle-bf16kv-0.5.23"),
    ),
    passes=(
        example("sglang.args.tokenizer-worker-num=1"),
        example("sglang.args.tokenizer-worker-num=4", "secrets.api_key=null", "server.public=true"),
        example("sglang.env.SGLANG_GRPC_PORT=9000"),
    ),
    scope=Scope(since="0.5.10"),
)

WRONG_PARSER = Rule(
    id="GLM035",
    title="parser of another model family",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="The parsers turn what the model writes between its special tokens into `reasoning_content` and `tool_calls`. "
    "SGLang takes any that it knows, whatever the model, and a wrong one leaves tool calls as text or cuts answers. By "
    "its own sources GLM-4.5 and 4.6 write tool calls for `glm45` (also called `glm`), GLM-4.7 and 5 for `glm47`; all "
    "of them think in the format of `glm45`.",
    fix="write the parser that the message names, or `auto` from 0.5.12 on",
    sources=(
        "sglang/srt/function_call/glm4_moe_detector.py (0.5.10)",
        "sglang/srt/function_call/glm47_moe_detector.py (0.5.10)",
        "sglang/srt/parser/reasoning_parser.py (0.5.10, 0.5.23)",
        "sglang/srt/parser/template_detection.py (0.5.16, 0.5.23)",
    ),
    check=_wrong_parser,
    fails=(
        example("sglang.args.tool-call-parser=glm45"),
        example("sglang.args.reasoning-parser=deepseek-r1"),
        example("sglang.args.tool-call-parser=glm47", profile=AIR),
    ),
    passes=(
        example(),
        example(profile=AIR),
        example("sglang.args.tool-call-parser=glm", profile=AIR),
        example("sglang.args.tool-call-parser=auto", profile="b200-eagle-bf16kv-0.5.23"),
        example("model.repo=acme/other", "sglang.args.tool-call-parser=qwen25"),
    ),
)

NO_PARSER = Rule(
    id="GLM036",
    title="chat model without parsers",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="Without a reasoning parser the model's thinking stands inside the answer's text, and without a parser for "
    "tool calls `tool_calls` stays empty. Both are off unless they are named, and nothing else depends on them.",
    fix="name the parsers, unless clients read the raw text",
    sources=(
        "sglang/srt/entrypoints/openai/serving_chat.py (0.5.10, 0.5.23)",
        "sglang/srt/function_call/glm47_moe_detector.py (0.5.10)",
    ),
    check=_no_parser,
    fails=(
        example("sglang.args.reasoning-parser=null"),
        example("sglang.args.tool-call-parser=null", profile=AIR),
    ),
    passes=(
        example(),
        example(_BASE, "sglang.args.reasoning-parser=null", "sglang.args.tool-call-parser=null", profile=AIR),
        example("model.repo=acme/other", "sglang.args.tool-call-parser=null", "sglang.args.reasoning-parser=null"),
    ),
)

SERVED_NAME = Rule(
    id="GLM124",
    title="served name with a colon",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="In a request `model:adapter` means a LoRA adapter of the model, so SGLang asserts at start that the name of "
    "the model itself has no colon (tried on its own check, 0.5.10 to 0.5.23).",
    fix="write `model.served_name` without a colon",
    sources=(
        "sglang/srt/server_args.py, check_server_args (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py (0.5.23)",
    ),
    check=_served_name,
    fails=(example("model.served_name=glm-5.1:fp8"),),
    passes=(example("model.served_name=zai-org/GLM-5.1-FP8"), example("model.served_name=s3://models/glm")),
    waivable=False,
)

RULES = (
    PUBLIC_ENDPOINT,
    OPEN_ROUTES,
    REFUSED_KEY,
    WRONG_PARSER,
    NO_PARSER,
    SERVED_NAME,
)
