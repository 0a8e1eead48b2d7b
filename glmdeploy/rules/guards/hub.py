"""Rules about what is fetched: from where, whether it can be, whether it is pinned, and what the checkpoint is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy import redaction
from glmdeploy.findings import Remove, Severity, listed
from glmdeploy.rules.rule import AIR, AT_0_5_23, Rule, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.image import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.findings import Edit
    from glmdeploy.rules.facts import Facts

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables that cut off the hub, the first that is not empty decides (huggingface_hub 2.4.0, ``constants.py``)."""

CACHE = ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE")
"""Variables that say where files of the hub are kept (huggingface_hub 2.4.0, ``constants.py``)."""

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_FILE = re.compile(rf"{_PART}/{_PART}/{_PART}")

FETCHED: Mapping[str, re.Pattern[str]] = {
    "tokenizer_path": _REPOSITORY,
    "speculative_draft_model_path": _REPOSITORY,
    "speculative_token_map": _FILE,
    "lora_paths": _REPOSITORY,
    "model_checksum": _REPOSITORY,
}
"""Options for which SGLang asks the hub when no file is there, and what a name on the hub looks like for each."""

_OF_THE_MODEL = ("speculative_draft_model_path",)

_COMMIT = re.compile(r"[0-9a-f]{40}")
"""The full hash: the download stage, too, takes nothing shorter for a commit (``glmdeploy/runtime/download.py``)."""

_MOVING = re.compile(r"(?:^|-)(?:latest|dev|nightly|main|master)(?:$|-)")
_DATED = re.compile(r"20\d\d-?[01]\d-?[0-3]\d")
_PINNED = f"model.revision={'0123456789abcdef' * 2}01234567"
_PINNED_IMAGE = f"sglang.image=lmsysorg/sglang:v0.5.11-cu130@sha256:{'0123456789abcdef' * 4}"

_QUANTIZATION = "quantization"

_TAKEN: Mapping[str, Mapping[str, str]] = {
    "fp8": {
        **dict.fromkeys(("fp8", "unquant", "humming", "nvfp4_online"), "0.5.8"),
        "quark_mxfp4": "0.5.17",
        "modelopt_fp4": "0.5.18",
    },
    "compressed-tensors": {
        **dict.fromkeys(("compressed-tensors", "w8a8_int8", "w8a8_fp8", "auto-round-int8"), "0.5.8"),
        **dict.fromkeys(("unquant", "humming"), "0.5.8"),
        "quark_mxfp4": "0.5.17",
    },
}
"""How the weights of checkpoints are stored, and the values of ``quantization`` that SGLang takes for them, each with
the first release that does so, where its option has the value."""

_OTHER = frozenset(("fp8", "awq", "mxfp4", "w4afp8", "modelopt_fp4", "modelopt_fp8"))
_REFUSED: Mapping[str, frozenset[str]] = {"awq": _OTHER - {"awq"}, "mxfp4": _OTHER - {"mxfp4"}}
"""Values that SGLang was seen to refuse for weights that are stored so (0.5.10 to 0.5.23); others were not tried."""


def offline(env: Mapping[str, str]) -> str | None:
    """The variable that cuts off the hub, or None; read as huggingface_hub reads it, not as SGLang reads its own."""
    name = next((name for name in OFFLINE if env.get(name)), None)
    return name if name and env[name].upper() in ("1", "ON", "YES", "TRUE") else None


def _cut_off(facts: Facts) -> Iterator[Violation]:
    if name := offline(facts.profile.download.env):
        path = ("download", "env", name)
        yield Violation(
            path=path,
            message=f"`{name}` cuts off the hub, from which this stage is to download {facts.profile.model.repo}",
            edits=(Remove(path=path),),
        )
    name = offline(facts.env)
    if name and not _has_cache(facts):
        for dest, repo in _fetched(facts):
            yield Violation(
                path=facts.path(dest),
                message=f"`{facts.settings[dest].key}` names {repo} on the hub, which `{name}` cuts off",
                edits=_local(facts, dest, repo),
            )


def _at_start(facts: Facts) -> Iterator[Violation]:
    if offline(facts.env) or _has_cache(facts):
        return
    by_option: dict[str, list[str]] = {}
    for dest, repo in _fetched(facts):
        by_option.setdefault(dest, []).append(repo)
    for dest, repos in by_option.items():
        names, key = list(dict.fromkeys(repos)), facts.settings[dest].key
        yield Violation(
            path=facts.path(dest),
            message=f"every container fetches {listed(names)} from the hub for `{key}`, without a token",
            edits=_local(facts, dest, names[-1]),
        )


def _fetched(facts: Facts) -> Iterator[tuple[str, str]]:
    for dest, name in FETCHED.items():
        yield from ((dest, path) for path in facts.named_paths(dest) if name.fullmatch(path))


def _has_cache(facts: Facts) -> bool:
    """Whether the hub's files are kept in a volume, so that an earlier start may have left them there."""
    return any(facts.in_volume(facts.env[name]) for name in CACHE if name in facts.env)


def _local(facts: Facts, dest: str, repo: str) -> tuple[Edit, ...]:
    """The edit to the model's own folder, where a draft is said to be the model that the download stage fetches."""
    path = facts.value("model_path")
    if dest in _OF_THE_MODEL and repo == facts.profile.model.repo and isinstance(path, str):
        return facts.put(dest, path)
    return ()


def _is_moving(image: str) -> bool:
    reference = parse(image)
    tag = reference.tag
    return reference.digest is None and (tag is None or bool(_MOVING.search(tag.lower()) and not _DATED.search(tag)))


def _foreign_code(facts: Facts) -> Iterator[Violation]:
    revision = facts.profile.model.revision
    if facts.value("trust_remote_code") and not _COMMIT.fullmatch(revision):
        yield Violation(
            path=facts.path("trust_remote_code"),
            message=f"`trust-remote-code` runs whatever code `{revision}` of {facts.profile.model.repo} holds at the "
            "next download",
        )


def _not_pinned(facts: Facts) -> Iterator[Violation]:
    profile = facts.profile
    # Masked first, as a part of a secret would not be known for one.
    revision, image = profile.model.revision, redaction.mask(profile.sglang.image)
    if not _COMMIT.fullmatch(revision) and not facts.value("trust_remote_code"):
        yield Violation(
            path=("model", "revision"),
            message=f"the revision `{revision}` can become another commit by the next download",
        )
    if parse(image).digest is None and not _is_moving(image):
        yield Violation(path=("sglang", "image"), message=f"the tag `{parse(image).tag}` can be moved to another image")


def _moving_tag(facts: Facts) -> Iterator[Violation]:
    image = redaction.mask(facts.profile.sglang.image)
    if _is_moving(image):
        tag = parse(image).tag
        what = f"the tag `{tag}` of the image is" if tag else f"the image `{image}` has no tag, and so is"
        yield Violation(
            path=("sglang", "image"),
            message=f"{what} whatever was pushed last, not SGLang {facts.profile.sglang.version} for good"
            f"{_own_tag(image, facts.profile.sglang.version)}",
        )


def _own_tag(image: str, version: str) -> str:
    """What SGLang's own repository calls the release; nothing of other repositories, whose tags are not known."""
    name = parse(image).name.removeprefix("docker.io/")
    return f", whose own tags there begin with `v{version}`" if name == "lmsysorg/sglang" else ""


def _stored_otherwise(facts: Facts) -> Iterator[Violation]:
    # Where only the memory is known, the model tells how its weights are stored.
    stored = facts.model.quantization if facts.model else facts.quantization
    setting = facts.setting(_QUANTIZATION)
    asked = setting.value if setting else None
    if not isinstance(asked, str) or not _refuses(stored, asked, facts):
        return
    yield Violation(
        path=facts.path(_QUANTIZATION),
        message=f"`quantization` is {asked}, and the weights of {facts.profile.model.repo} are stored as {stored}",
        edits=facts.drop(_QUANTIZATION),
    )


def _refuses(stored: str | None, asked: str, facts: Facts) -> bool:
    if stored is None or stored not in _TAKEN:
        return asked in _REFUSED.get(stored or "", ())
    since = _TAKEN[stored].get(asked)
    return since is None or version_key(facts.catalog.version) < version_key(since)


CUT_OFF = Rule(
    id="GLM072",
    title="hub needed where it is cut off",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) makes every request to the hub an error. In `download.env` that is "
    "the end of the download stage, unless the pinned commit lies in the volume already. In the server's environment, "
    "where it belongs, it ends a start that wants a second repository: the download stage brings `model.repo` and "
    "nothing else, so that a draft model, a tokenizer, an adapter or a token map named as on the hub is nowhere. A "
    "cache in a volume (HF_HOME) may hold it, and is left alone.",
    fix="remove the variable from `download.env`; for the server, put the files into the weights volume and write "
    "their path there",
    sources=(
        "huggingface_hub/constants.py (2.4.0)",
        "glmdeploy/runtime/download.py",
        "sglang/srt/lora/lora_config.py (0.5.23)",
        "sglang/srt/speculative/spec_utils.py, load_token_map (0.5.23)",
    ),
    check=_cut_off,
    fails=(
        example("download.env.HF_HUB_OFFLINE=1"),
        example("download.env.TRANSFORMERS_OFFLINE=yes"),
        example("sglang.args.speculative-draft-model-path=zai-org/GLM-5.1-MTP"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1"),
        example("sglang.args.lora-paths=[style=some-org/style-adapter]", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example("download.env.HF_HUB_OFFLINE=0"),
        example("sglang.args.tokenizer-path=/model-cache/GLM-5.1-FP8"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1", "server.env.HF_HUB_OFFLINE=0"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1", "server.env.HF_HOME=/model-cache/hub"),
    ),
)

AT_START = Rule(
    id="GLM073",
    title="second repository fetched at every start",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="The download stage brings `model.repo` into the weights volume and nothing else. A draft model, a tokenizer, "
    "an adapter or a token map named as on the hub is fetched by each new container into its own disk, at the price "
    "of its GPUs, at whatever its main branch holds, and without a token: `secrets.huggingface` goes to the download "
    "stage alone. When the hub does not answer, nothing starts. A cache in a volume (HF_HOME) keeps it after the "
    "first time.",
    fix="put the files into the weights volume and write their path there, or set HF_HOME to a folder in a volume",
    sources=(
        "huggingface_hub/constants.py (2.4.0)",
        "glmdeploy/app/build.py",
        "sglang/srt/lora/lora_config.py (0.5.23)",
        "sglang/srt/speculative/spec_utils.py, load_token_map (0.5.23)",
    ),
    check=_at_start,
    fails=(
        example("sglang.args.speculative-draft-model-path=zai-org/GLM-5.1-MTP", "server.env.HF_HUB_OFFLINE=null"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1", "server.env.HF_HUB_OFFLINE=0"),
        example(
            *("sglang.args.lora-paths=[a=acme/a, b=acme/b]", "server.env.HF_HUB_OFFLINE=null"),
            profile="b200-nospec-bf16kv",
        ),
        example("sglang.args.speculative-token-map=some-org/eagle/map.pt", "server.env.HF_HUB_OFFLINE=null"),
    ),
    passes=(
        example("server.env.HF_HUB_OFFLINE=null"),
        example("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8", "server.env.HF_HUB_OFFLINE=null"),
        example(
            "sglang.args.tokenizer-path=zai-org/GLM-5.1",
            "server.env={HF_HUB_OFFLINE: '0', HF_HOME: /model-cache/hub}",
        ),
    ),
)

FOREIGN_CODE = Rule(
    id="GLM068",
    title="trust-remote-code with a revision that is not pinned",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="`trust-remote-code` lets the model's repository bring Python code, which runs beside the API key and can "
    "write to the volumes. With a branch or a tag, whoever can push to the repository decides which code that is, at "
    "the next download. A commit's hash pins code and weights together.",
    fix="write the commit's 40 hexadecimal digits as `model.revision`, or remove `trust-remote-code`",
    sources=(
        "https://huggingface.co/docs/transformers/custom_models",
        "sglang/srt/server_args.py, trust_remote_code",
    ),
    check=_foreign_code,
    fails=(example(), example("model.revision=v1.0")),
    passes=(example(_PINNED), example("sglang.args.trust-remote-code=false")),
)

NOT_PINNED = Rule(
    id="GLM069",
    title="model or image that is not pinned",
    severity=Severity.INFO,
    topic=Topic.SECURITY,
    why="Branches and tags can be moved, so that the same profile does not always deploy the same thing: the model is "
    "looked up at each run of the download stage, the image when Modal builds it. A commit's hash and an image's "
    "digest (`name:tag@sha256:...`) cannot. That is worth its trouble where a deployment has to be repeated exactly.",
    fix="write the commit's 40 hexadecimal digits as `model.revision`, and the image's digest behind its tag",
    sources=(
        "https://huggingface.co/docs/huggingface_hub/guides/download",
        "https://docs.docker.com/reference/cli/docker/image/pull/",
    ),
    check=_not_pinned,
    fails=(
        example(_PINNED),
        example(_PINNED_IMAGE, "sglang.args.trust-remote-code=false"),
        example("sglang.args.trust-remote-code=false"),
    ),
    passes=(example(_PINNED, _PINNED_IMAGE), example(_PINNED_IMAGE)),
)

MOVING_TAG = Rule(
    id="GLM070",
    title="image tag that moves",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="Tags like latest, dev or nightly, and a missing tag, which means latest, name whatever was pushed last, so "
    "that the image need not be the release for which the options were checked. Nor does Modal follow such a tag: it "
    "keeps the image that it built first until its definition changes or a build is forced, and two workspaces can "
    "run different releases under one name.",
    fix="write the release's own tag, or a digest",
    sources=(
        "https://modal.com/docs/guide/images",
        "https://docs.docker.com/reference/cli/docker/image/pull/",
    ),
    check=_moving_tag,
    fails=(
        example("sglang.image=lmsysorg/sglang:latest"),
        example("sglang.image=lmsysorg/sglang"),
        example("sglang.image=registry.example:5000/sglang"),
        example("sglang.image=lmsysorg/sglang:dev-cu13"),
    ),
    passes=(
        example(),
        example("sglang.image=lmsysorg/sglang:nightly-dev-20260401-0a1b2c3d"),
        example(f"sglang.image=lmsysorg/sglang:latest@sha256:{'0123456789abcdef' * 4}"),
    ),
)

QUANTIZATION = Rule(
    id="GLM121",
    title="quantization that is not the checkpoint's",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang reads from the checkpoint how its weights are stored, and refuses a `quantization` that says something "
    "else (a ValueError at start, tried on its argument resolution with each method of six releases). GLM-5.1-FP8 is "
    "`fp8`; GLM-4.5-Air-FP8, in spite of its name, is `compressed-tensors`; AWQ and MXFP4 checkpoints are judged for "
    "the values that were tried. Newer releases can quantise stored weights once more: `modelopt_fp4` for `fp8` from "
    "0.5.18 on.",
    fix="remove `quantization`: SGLang finds out by itself",
    sources=("sglang/srt/configs/model_config.py, _verify_quantization (0.5.10, 0.5.18, 0.5.23)",),
    check=_stored_otherwise,
    fails=(
        example("sglang.args.quantization=modelopt_fp4"),
        example("sglang.args.quantization=awq", profile=AT_0_5_23),
        example("sglang.args.quantization=fp8", profile=AIR),
    ),
    passes=(
        example("sglang.args.quantization=fp8"),
        example("sglang.args.quantization=w8a8_fp8", profile=AIR),
        example("sglang.args.quantization=awq", "model.repo=acme/other", "sglang.args.moe-runner-backend=null"),
    ),
)

RULES = (
    CUT_OFF,
    AT_START,
    FOREIGN_CODE,
    NOT_PINNED,
    MOVING_TAG,
    QUANTIZATION,
)
