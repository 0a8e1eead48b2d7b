"""Rules about how a container runs: modes that do not serve, what it logs, and files outside the volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_HTTPS = "SGLang speaks HTTPS alone, where the container and Modal speak HTTP to it; Modal's own URL is HTTPS already"

MODES: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "ssl_certfile": ((), _HTTPS),
    "ssl_keyfile": ((), _HTTPS),
    "grpc_mode": ((True,), "SGLang speaks gRPC instead of HTTP"),
    "smg_grpc_mode": ((True,), "SGLang speaks gRPC instead of HTTP"),
    "encoder_only": ((True,), "SGLang serves embeddings of images to other servers, and no chat completions"),
    "disaggregation_mode": (
        ("prefill", "decode"),
        "SGLang answers 400 to every request that no router of prefill and decode servers sent",
    ),
    "load_format": (("dummy",), "the weights are random numbers"),
}
"""Options with values that leave clients without answers (none listed: any value), and what SGLang does instead."""

LOG_LEVEL_WITH_CONTENTS = 2
"""First ``log-requests-level`` that logs prompts and answers; it is also the default."""

WRITTEN = (
    *("crash_dump_folder", "log_requests_target", "export_metrics_to_file_dir", "debug_tensor_dump_output_folder"),
    *("modelopt_checkpoint_save_path", "modelopt_export_path", "spec_trace_dir"),
)
"""Options that name folders or files that SGLang writes."""

READ = (
    *("chat_template", "completion_template", "tokenizer_path", "quantization_param_path", "model_checksum"),
    *("speculative_draft_model_path", "speculative_token_map", "lora_paths", "decrypted_config_file"),
    *("decrypted_draft_config_file", "kt_weight_path", "pdmux_config_path", "lmcache_config_file"),
    *("speculative_adaptive_config", "speculative_ngram_external_corpus_path"),
)
"""Options that name folders or files that SGLang reads, some of them also a repository or a built-in name."""

IN_THE_IMAGE = "/sgl-workspace"
"""Where SGLang's own images have its source, with chat templates among its examples (``docker/Dockerfile``)."""


def _modes(facts: Facts) -> Iterator[Violation]:
    seen: set[str] = set()
    for dest, (values, instead) in MODES.items():
        setting = facts.settings.get(dest)
        if setting is None or instead in seen or (setting.value not in values if values else not setting.value):
            continue
        if dest == "disaggregation_mode" and facts.value("disaggregation_transfer_backend") == "fake":
            continue
        seen.add(instead)
        written = f"{setting.key}: {setting.value}" if values and values != (True,) else setting.key
        yield Violation(path=facts.path(dest), message=f"with `{written}` {instead}")


def _contents(facts: Facts) -> Iterator[Violation]:
    level = facts.number("log_requests_level")
    if facts.value("log_requests") and level is not None:
        if level >= LOG_LEVEL_WITH_CONTENTS:
            much = "up to 2048 characters of each" if level == LOG_LEVEL_WITH_CONTENTS else "each in full"
            yield Violation(
                path=facts.path("log_requests"),
                message=f"`log-requests` at level {level} writes prompts and answers into the log, {much}",
            )
        headers = facts.env.get("SGLANG_LOG_REQUEST_HEADERS", "")
        if "authorization" in (header.strip().lower() for header in headers.split(",")):
            yield Violation(
                path=facts.env_path("SGLANG_LOG_REQUEST_HEADERS"),
                message="`SGLANG_LOG_REQUEST_HEADERS` writes the clients' keys into the log",
            )
    if folder := facts.value("crash_dump_folder"):
        key = ", and the API key," if facts.profile.secrets.api_key else ""
        yield Violation(
            path=facts.path("crash_dump_folder"),
            message=f"a crash writes the requests of the last five minutes{key} to {folder}",
        )


def _paths(facts: Facts) -> Iterator[Violation]:
    for dest in (*WRITTEN, *READ):
        setting = facts.settings.get(dest)
        if setting is None:
            continue
        for path in facts.named_paths(dest):
            if facts.in_volume(path) or not (_is_written(path) if dest in WRITTEN else _is_read(path, dest)):
                continue
            what = f"writes to {path}, which is lost with the container"
            if dest in READ:
                what = f"reads {path}, which is in no volume"
            yield Violation(path=facts.path(dest), message=f"`{setting.key}` {what}")


def _beside_the_model(facts: Facts) -> Iterator[Violation]:
    for dest in READ:
        for path in facts.named_paths(dest):
            if facts.beside_the_model(path):
                yield Violation(
                    path=facts.path(dest),
                    message=f"`{facts.settings[dest].key}` reads {path}: of the weights volume a deployment sees the "
                    f"folder {facts.weights_folder} alone, which the download fills with the model",
                )


def _is_written(path: str) -> bool:
    """Whether it is a path, where `log-requests-target` also takes the container's output."""
    return path.lower() != "stdout"


def _is_read(path: str, dest: str) -> bool:
    """Whether it is a path that the image does not hold, and not a repository or a built-in name."""
    if path.startswith(f"{IN_THE_IMAGE}/"):
        return False
    if dest in ("chat_template", "completion_template"):
        return "/" in path or path.endswith((".jinja", ".json"))
    return path.startswith(("/", "./", "../", "~"))


NOT_SERVING = Rule(
    id="GLM066",
    title="mode of SGLang that does not serve clients",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="A container counts as started when SGLang answers /health over plain HTTP and then one chat completion. With "
    "certificates SGLang speaks HTTPS alone (Modal encrypts on the way to it), in the gRPC modes no HTTP at that "
    "port, an encoder has no chat completions, and a prefill or decode server refuses a request that comes without "
    "the router's room number: the start fails after the whole load. Random weights (`dummy`, for profiling) do "
    "start, and answer nonsense. Read in SGLang's source; none was run here.",
    fix="remove the option",
    sources=(
        "sglang/launch_server.py (0.5.10, 0.5.23)",
        "sglang/srt/managers/scheduler.py (0.5.10, 0.5.23)",
        "sglang/srt/entrypoints/http_server.py (0.5.10, 0.5.23)",
        "glmdeploy/runtime/engine.py",
    ),
    check=_modes,
    fails=(
        example("sglang.args.grpc-mode=true"),
        example("sglang.args.smg-grpc-mode=true", profile="b200-eagle-bf16kv-0.5.23"),
        example("sglang.args.ssl-certfile=/model-cache/cert.pem", "sglang.args.ssl-keyfile=/model-cache/key.pem"),
        example("sglang.args.encoder-only=true"),
        example("sglang.args.disaggregation-mode=prefill"),
        example("sglang.args.load-format=dummy"),
    ),
    passes=(
        example("sglang.args.grpc-mode=false"),
        example("sglang.args.disaggregation-mode='null'"),
        example("sglang.args.load-format=safetensors"),
    ),
)

CONTENTS = Rule(
    id="GLM074",
    title="contents of requests in logs or files",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="`log-requests` logs prompts and answers from level 2 on, which is its default: up to 2048 characters of "
    "each, in full at level 3; levels 0 and 1 leave them out. SGLANG_LOG_REQUEST_HEADERS adds headers, and "
    "`authorization` is the client's key. `crash-dump-folder` keeps the requests of the last five minutes and pickles "
    "them at a crash, together with all server arguments, of which the API key is one. Whoever may read the app's "
    "logs or the folder reads what your users wrote.",
    fix="remove the option, or write `log-requests-level: 1`; if it is meant, waive the rule until the debugging is "
    "over",
    sources=(
        "sglang/srt/utils/request_logger.py (0.5.10, 0.5.23)",
        "sglang/srt/managers/tokenizer_manager.py, dump_requests_before_crash (0.5.10, 0.5.23)",
    ),
    check=_contents,
    fails=(
        example("sglang.args.log-requests=true"),
        example("sglang.args.log-requests=true", "sglang.args.log-requests-level=3"),
        example(
            "sglang.args.log-requests=true",
            "sglang.args.log-requests-level=0",
            "server.env.SGLANG_LOG_REQUEST_HEADERS=x-request-id, Authorization",
        ),
        example("sglang.args.crash-dump-folder=/model-cache/dumps"),
    ),
    passes=(
        example("sglang.args.log-requests=true", "sglang.args.log-requests-level=1"),
        example("sglang.args.log-requests-level=3"),
        example("server.env.SGLANG_LOG_REQUEST_HEADERS=authorization"),
    ),
)

OUTSIDE_VOLUMES = Rule(
    id="GLM075",
    title="path outside the volumes",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="A container has its image, which is the same for each, and the volumes. What SGLang writes elsewhere is "
    "gone when the container ends, after `scaledown_window` or a crash, just when a dump would be of use. What it "
    "reads from elsewhere must be in the image: nothing of the machine where the profile lies goes along, and a chat "
    f"template that is not there ends the start. Below {IN_THE_IMAGE} SGLang's own images have its source; whether "
    "Modal starts there, as Docker does, and a path relative to it works, was not tried.",
    fix="write a path below a volume's mount, and put files that are read there with `modal volume put`, or into an "
    "image of your own",
    sources=(
        "sglang/srt/managers/template_manager.py (0.5.10)",
        "sglang/srt/utils/log_utils.py (0.5.23)",
        "https://modal.com/docs/guide/volumes",
    ),
    check=_paths,
    fails=(
        example("sglang.args.crash-dump-folder=/var/dumps"),
        example("sglang.args.log-requests-target=[stdout, /var/log/requests]"),
        example("sglang.args.chat-template=./glm.jinja"),
        example("sglang.args.lora-paths=[style=/adapters/style]", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example("sglang.args.crash-dump-folder=/model-cache/dumps"),
        example("sglang.args.log-requests-target=[stdout]"),
        example("sglang.args.chat-template=chatml"),
        example("sglang.args.chat-template=/sgl-workspace/sglang/examples/chat_template/tool_chat_template_glm.jinja"),
        example("sglang.args.lora-paths=[style=/model-cache/adapters/style]", profile="b200-nospec-bf16kv"),
    ),
)

BESIDE_THE_MODEL = Rule(
    id="GLM130",
    title="file of the weights volume that a deployment does not see",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="Each commit of a model has a folder of its own in the weights volume, and the containers that serve mount "
    "that folder alone: a download of another commit cannot touch the files that a live deployment needs for its next "
    "cold start. What lies elsewhere in the volume (adapters, a draft model, a chat template that was put there by "
    "hand) is not at its path any more, and the start fails where SGLang looks for it. The download brings nothing "
    "but the model.",
    fix="put the file into that folder of the volume (`modal volume put NAME FILE FOLDER/...`), for each commit that "
    "is deployed, or into the kernels volume",
    sources=("https://modal.com/docs/guide/volumes", "modal/volume.py, Volume.with_mount_options (1.6.4)"),
    check=_beside_the_model,
    fails=(
        example("sglang.args.chat-template=/model-cache/glm.jinja"),
        example("sglang.args.lora-paths=[style=/model-cache/adapters/style]", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.chat-template=/model-cache/GLM-5.1-FP8/chat_template.jinja"),
        example("sglang.args.chat-template=/dg-cache/glm.jinja"),
        example("sglang.args.crash-dump-folder=/model-cache/dumps"),
    ),
)

RULES = (NOT_SERVING, CONTENTS, OUTSIDE_VOLUMES, BESIDE_THE_MODEL)
