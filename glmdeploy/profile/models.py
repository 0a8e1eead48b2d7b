"""The profile: what a user writes, section by section.

The JSON Schema in ``schemas/profile.schema.json`` is generated from it (``glmdeploy.profile.schema``) and accepts
exactly the same documents; a property test holds the two together. Checks that look at more than one value, or
need SGLang's catalog, are guard rules (``glmdeploy.rules``), and no part of a form.

Limits of Modal's names and numbers: modal 1.6.4, ``modal/_utils/name_utils.py`` and the SDK's reference.
"""

from __future__ import annotations

from typing import Any

from glmdeploy import gpus
from glmdeploy.profile.fields import (
    ENV,
    ENV_NAME,
    FLAG,
    LINE,
    ONE_LINE,
    TAG,
    AnyText,
    ArgValue,
    Listed,
    Mapping,
    OneOrMore,
    Text,
    Texts,
    Whole,
)
from glmdeploy.profile.section import Section, field
from glmdeploy.profile.serving import Server
from glmdeploy.profile.stages import Compile, Download

WORDS = Texts(ONE_LINE)


class ServedModel(Section):
    """What is served."""

    repo: str = field(
        Text(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*", "a repository such as org/name"),
        "The model's repository on the Hugging Face Hub.",
        examples=("zai-org/GLM-5.1-FP8",),
    )
    revision: str = field(
        Text(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "a commit hash, a tag or a branch"),
        "Commit hash, tag or branch. A commit hash makes the deployment reproducible.",
        default="main",
        examples=("main",),
    )
    served_name: str = field(ONE_LINE, "The model id that clients send (`--served-model-name`).", examples=("glm-5.1",))


class Volume(Section):
    """A Modal Volume and where the containers see it."""

    name: str = field(TAG, "Name of the Modal Volume; it is created when missing.", examples=("glm51-model-weights",))
    mount: str = field(
        Text(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", "an absolute path in the container, such as /model-cache"),
        "Absolute path in the containers.",
        examples=("/model-cache",),
    )
    version: int | None = field(
        Whole(1, 2),
        "Version of Modal's file system, 1 or 2, which a volume keeps for ever. Left out: the one it has.",
        default=None,
    )


class WeightsVolume(Volume):
    """The volume of the model's files."""

    read_only: bool | None = field(
        FLAG,
        "Whether the containers that serve may not write into it. Left out: true, unless SGLang must.",
        default=None,
    )


class FurtherVolume(Volume):
    """A volume that only the containers that serve see."""

    read_only: bool = field(FLAG, "Whether they may not write into it.", default=False)
    sub_path: str | None = field(
        Text(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", "a folder such as adapters/en"),
        "The folder of the volume that they see. Left out: all of it.",
        default=None,
    )


class Cluster(Section):
    """The containers that serve together as one replica, where a model does not fit on the GPUs of one."""

    # Modal's guide to clusters: 32 containers and 256 GPUs at most.
    nodes: int = field(
        Whole(2, 32),
        "Containers of one replica, each with the GPUs of `gpu`; SGLang's `--nnodes`. `min_containers`, "
        "`max_containers` and `buffer_containers` count replicas.",
        examples=(2,),
    )
    rdma: bool = field(FLAG, "Whether the GPUs of different containers must be joined by RDMA.", default=True)


class Volumes(Section):
    """The volumes, by role."""

    weights: WeightsVolume = field(WeightsVolume, "Holds the model's files, a folder for each commit.")
    kernels: Volume | None = field(
        Volume, "Holds compiled DeepGEMM kernels; the stage `compile` needs it.", default=None
    )
    further: tuple[FurtherVolume, ...] = field(
        Listed(FurtherVolume),
        "More volumes of the containers that serve: adapters, caches, logs.",
        default=(),
    )


class Secret(Section):
    """A Modal Secret and the keys that it must have."""

    name: str = field(TAG, "Name of the Modal Secret.", examples=("huggingface-secret",))
    keys: tuple[str, ...] = field(
        Listed(ENV_NAME, 1),
        "Keys that the secret must have; the first one holds the token.",
        examples=(["HF_TOKEN"],),
    )


class ProxyToken(Secret):
    """A Modal Secret with a proxy token of the workspace."""

    keys: tuple[str, ...] = field(
        Listed(ENV_NAME, 2, 2),
        "The keys of the token's id, sent as `Modal-Key`, and of its secret, sent as `Modal-Secret`.",
        examples=(["MODAL_PROXY_KEY", "MODAL_PROXY_SECRET"],),
    )


class Secrets(Section):
    """The secrets, by role."""

    huggingface: Secret | None = field(
        Secret, "Token for the Hugging Face Hub, given to the download stage and the check before it.", default=None
    )
    api_key: Secret | None = field(
        Secret,
        "The key that clients must send. Without it the endpoint is public; `server.public` must say so.",
        default=None,
    )
    proxy_token: ProxyToken | None = field(
        ProxyToken,
        "The proxy token with which the keep-alive and `apply` pass Modal's own authentication "
        "(`server.requires_proxy_auth`). The containers that serve do not get it.",
        default=None,
    )
    registry: Secret | None = field(
        Secret,
        "With it Modal pulls the image of a private registry; no container gets it. Its keys say which kind of "
        "registry it is.",
        default=None,
    )
    further: tuple[Secret, ...] = field(
        Listed(Secret),
        "More secrets of the containers that serve; SGLang's process gets their keys as variables.",
        default=(),
    )


class ImageStep(Section):
    """What is built on top of the image in one step; of several keys in this order."""

    apt: tuple[str, ...] | None = field(
        WORDS, "Debian packages to install.", default=None, examples=(["git", "libnuma1"],)
    )
    pip: tuple[str, ...] | None = field(
        WORDS, "Python packages to install, with their versions.", default=None, examples=(["nvtx==0.2.13"],)
    )
    run: tuple[str, ...] | None = field(
        WORDS, "Shell commands to run, each as a layer.", default=None, examples=(["mkdir -p /opt/templates"],)
    )


class Sglang(Section):
    """The engine: release, image, environment and options."""

    version: str = field(
        Text(r"[0-9]+(?:\.[0-9]+)+(?:\.?[a-z]+[0-9]+)?", "a release such as 0.5.11"),
        "The SGLang release in the image; it decides which options exist.",
        examples=("0.5.11",),
    )
    image: str = field(
        Text(r"[^\s\x00-\x1f\x7f]+", "an image reference without blanks"),
        "Container image with that release, by tag or, better, by digest.",
        examples=("lmsysorg/sglang:v0.5.11-cu130",),
    )
    add_python: str | None = field(
        Text("3[.](?:1[0-4])", "a version such as 3.12"),
        "Python for an image that has none. Left out: the image has it.",
        default=None,
        examples=("3.12",),
    )
    image_steps: tuple[ImageStep, ...] = field(
        Listed(ImageStep), "What is built on top of the image, in order.", default=()
    )
    env: dict[str, str] = field(ENV, "Environment variables of the SGLang image.", default={})
    args: dict[str, Any] = field(
        Mapping(None, ArgValue()),
        "SGLang's own options, without the leading dashes, in any spelling that the release accepts.",
        default={},
        examples=({"tp": 8, "trust-remote-code": True},),
    )


class Keepalive(Section):
    """Scheduled pings against cold starts."""

    enabled: bool = field(FLAG, "Whether to ping the endpoint on the schedule.", default=False)
    schedule: str = field(
        ONE_LINE, "Five cron fields: minute, hour, day of month, month, weekday.", default="*/10 9-18 * * 1-5"
    )
    timezone: str = field(
        Text("[A-Za-z][A-Za-z0-9_+/-]*", "a time zone such as Europe/Berlin"),
        "Time zone of the schedule, by its IANA name.",
        default="UTC",
        examples=("Europe/Berlin",),
    )
    url: str = field(
        Text(r"(?:https?://[^\s\x00-\x1f\x7f]+)?", "an http or https URL, or nothing"),
        "Base URL whose /health is pinged; empty: the URL of the deployed app itself.",
        default="",
    )


class Workspace(Section):
    """What Modal does not tell of the workspace. Nothing of it is deployed."""

    max_gpus: int | None = field(
        Whole(1, 100_000),
        "GPUs that the workspace may have at once, of all its Environments: a rollout that needs more, because two "
        "versions run side by side, is not begun.",
        default=None,
    )


class Waiver(Section):
    """A guard rule switched off on purpose."""

    rule: str = field(Text("GLM[0-9]{3}", "a rule's id such as GLM004"), "Id of the rule.", examples=("GLM004",))
    reason: str = field(
        Text(rf"{LINE}*[^\s\x00-\x1f\x7f]{LINE}*", "a reason, on one line"), "Why the rule does not hold here."
    )
    until: str = field(
        Text("[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a date such as 2027-01-31"),
        "Last day of the waiver (UTC), as YYYY-MM-DD.",
        examples=("2027-01-31",),
    )


class Profile(Section):
    """A deployment of one model with SGLang on Modal."""

    schema_: int = field(Whole(1, 1), "Version of the profile format.", key="schema")
    name: str = field(TAG, "Name of the profile.", examples=("b200-eagle-bf16kv",))
    description: str = field(AnyText(), "One line for people.", default="")
    app: str = field(TAG, "Name of the Modal app.", examples=("glm51-fp8",))
    environment: str | None = field(
        Text("[A-Za-z0-9][A-Za-z0-9_-]{0,62}", "the name of a Modal Environment"),
        "Modal Environment; `--env` wins over it.",
        default=None,
        examples=("main",),
    )
    tags: dict[str, str] = field(
        Mapping(TAG, TAG), "Tags of the Modal app, beside those that glmdeploy sets.", default={}
    )
    model: ServedModel = field(ServedModel, "What is served.")
    gpu: str | tuple[str, ...] = field(
        OneOrMore(Text(gpus.pattern(), f"a GPU in Modal's syntax such as B200:8, of {', '.join(gpus.TYPES)}")),
        "GPU type and count of one container, or a list of such in the order in which Modal tries them.",
        examples=("B200:8", ["B200:8", "H200:8"]),
    )
    cluster: Cluster | None = field(
        Cluster,
        "Several containers as one replica (`@modal.clustered`). Left out: each container is one.",
        default=None,
    )
    volumes: Volumes = field(Volumes, "Modal Volumes and where they are mounted.")
    secrets: Secrets = field(Secrets, "Modal Secrets, by role.", default=Secrets())
    download: Download = field(
        Download, "Stage 1, on a CPU: the model's files into the weights volume.", default=Download()
    )
    compile: Compile | None = field(
        Compile,
        "Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume. Left out: no such stage.",
        default=None,
    )
    server: Server = field(Server, "Stage 3: the containers that serve.", default=Server())
    sglang: Sglang = field(Sglang, "The engine: release, image, environment and options.")
    keepalive: Keepalive = field(Keepalive, "Scheduled pings against cold starts.", default=Keepalive())
    workspace: Workspace = field(Workspace, "What Modal does not tell of the workspace.", default=Workspace())
    waive: tuple[Waiver, ...] = field(Listed(Waiver), "Guard rules switched off on purpose.", default=())
