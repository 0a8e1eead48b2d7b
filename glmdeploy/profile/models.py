"""The profile: what a user writes, as frozen pydantic models.

The JSON Schema in ``schemas/profile.schema.json`` is generated from them (``glmdeploy.profile.schema``) and accepts
exactly the same documents; a property test holds the two together. Checks that look at more than one value, or
need SGLang's catalog, are guard rules (``glmdeploy.rules``), not model validators.

Limits of Modal's names and numbers: modal 1.6.4, ``modal/_utils/name_utils.py`` and the SDK's reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from glmdeploy import gpus
from glmdeploy.profile.fields import LINE, TAG, ArgValue, Env, EnvName, Line, Mapping, Name, OneOrMore, Text, Whole
from glmdeploy.profile.serving import HealthFields, ServerFields, WarmupFields
from glmdeploy.profile.stages import CompileFields, DownloadFields
from glmdeploy.runtime.comparison import COMPARED

Words = Annotated[tuple[str, ...], OneOrMore(Text(LINE + "+", "a text on one line"), alone=False)]
FOLDER = Text(
    r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", "a folder of the volume such as adapters/en"
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServedModel(_Model):
    """What is served."""

    repo: Annotated[
        str, Text(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*", "a repository such as org/name")
    ] = Field(description="The model's repository on the Hugging Face Hub.", examples=["zai-org/GLM-5.1-FP8"])
    revision: Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "a commit hash, a tag or a branch")] = Field(
        "main",
        description="Commit hash, tag or branch. A commit hash makes the deployment reproducible.",
        examples=["main"],
    )
    served_name: Line = Field(
        description="The model id that clients send (`--served-model-name`).", examples=["glm-5.1"]
    )


class Volume(_Model):
    """A Modal Volume and where the containers see it."""

    name: Name = Field(
        description="Name of the Modal Volume; it is created when missing.", examples=["glm51-model-weights"]
    )
    mount: Annotated[
        str,
        Text(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", "an absolute path in the container, such as /model-cache"),
    ] = Field(description="Absolute path in the containers.", examples=["/model-cache"])
    version: Annotated[int, Whole(1, 2)] | None = Field(
        None,
        description="Version of Modal's file system, 1 or 2, which a volume keeps for ever. Left out: the one it has.",
    )


class WeightsVolume(Volume):
    """The volume of the model's files."""

    read_only: bool | None = Field(
        None,
        description="Whether the containers that serve may not write into it. Left out: true, unless SGLang must.",
    )


class FurtherVolume(Volume):
    """A volume that only the containers that serve see."""

    read_only: bool = Field(False, description="Whether they may not write into it.")
    sub_path: (
        Annotated[
            str, Text(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", "a folder such as adapters/en")
        ]
        | None
    ) = Field(None, description="The folder of the volume that they see. Left out: all of it.")


class Volumes(_Model):
    """The volumes, by role."""

    weights: WeightsVolume = Field(description="Holds the model's files, a folder for each commit.")
    kernels: Volume | None = Field(None, description="Holds compiled DeepGEMM kernels; the stage `compile` needs it.")
    further: Annotated[tuple[FurtherVolume, ...], Field(strict=False)] = Field(
        (), description="More volumes of the containers that serve: adapters, caches, logs."
    )


class Secret(_Model):
    """A Modal Secret and the keys that it must have."""

    name: Name = Field(description="Name of the Modal Secret.", examples=["huggingface-secret"])
    keys: Annotated[tuple[EnvName, ...], Field(strict=False, min_length=1)] = Field(
        description="Keys that the secret must have; the first one holds the token.",
        examples=[["HF_TOKEN"]],
    )


class ProxyToken(Secret):
    """A Modal Secret with a proxy token of the workspace."""

    keys: Annotated[tuple[EnvName, ...], Field(strict=False, min_length=2, max_length=2)] = Field(
        description="The keys of the token's id, sent as `Modal-Key`, and of its secret, sent as `Modal-Secret`.",
        examples=[["MODAL_PROXY_KEY", "MODAL_PROXY_SECRET"]],
    )


class Secrets(_Model):
    """The secrets, by role."""

    huggingface: Secret | None = Field(
        None, description="Token for the Hugging Face Hub, given to the download stage and the check before it."
    )
    api_key: Secret | None = Field(
        None,
        description="The key that clients must send. Without it the endpoint is public; `server.public` must say so.",
    )
    proxy_token: ProxyToken | None = Field(
        None,
        description="The proxy token with which the keep-alive and `apply` pass Modal's own authentication "
        "(`server.requires_proxy_auth`). The containers that serve do not get it.",
    )
    registry: Secret | None = Field(
        None,
        description="With it Modal pulls the image of a private registry; no container gets it. Its keys say which "
        "kind of registry it is.",
    )
    further: Annotated[tuple[Secret, ...], Field(strict=False)] = Field(
        (), description="More secrets of the containers that serve; SGLang's process gets their keys as variables."
    )


class Download(DownloadFields, _Model):
    """Stage 1, on a CPU: the model's files into the weights volume."""


class Compile(CompileFields, _Model):
    """Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume."""


class Health(HealthFields, _Model):
    """How a container watches its engine once that is ready."""


class Warmup(WarmupFields, _Model):
    """Requests that have SGLang compile its kernels before a container takes traffic."""


TOLERABLE = (*COMPARED, "chat", "stream", "tool_call", "embeddings", "rerank", "reward")
"""What a start can be refused for: what is compared with the plan, and the quick checks."""


class Server(ServerFields, _Model):
    """Stage 3: the containers that serve."""

    health: Health = Field(Health(), description="How a container watches its engine once that is ready.")
    warmup: Warmup | Literal["off"] = Field(
        Warmup(),
        description="Requests that have SGLang compile its kernels before a container takes traffic, or `off`.",
        json_schema_extra={"errorMessage": "a mapping of prompt_tokens, batch and output_tokens, or off"},
    )
    tolerate: Annotated[
        tuple[Annotated[str, Text("|".join(TOLERABLE), f"one of: {', '.join(TOLERABLE)}")], ...], Field(strict=False)
    ] = Field(
        (),
        description="What a start may fail in and still take traffic: values in which SGLang may differ from the plan, "
        "and quick checks.",
        examples=[["max_total_num_tokens"]],
    )


class ImageStep(_Model):
    """What is built on top of the image in one step; of several keys in this order."""

    apt: Words | None = Field(None, description="Debian packages to install.", examples=[["git", "libnuma1"]])
    pip: Words | None = Field(
        None, description="Python packages to install, with their versions.", examples=[["nvtx==0.2.13"]]
    )
    run: Words | None = Field(
        None, description="Shell commands to run, each as a layer.", examples=[["mkdir -p /opt/templates"]]
    )


class Sglang(_Model):
    """The engine: release, image, environment and options."""

    version: Annotated[str, Text(r"[0-9]+(?:\.[0-9]+)+(?:\.?[a-z]+[0-9]+)?", "a release such as 0.5.11")] = Field(
        description="The SGLang release in the image; it decides which options exist.",
        examples=["0.5.11"],
    )
    image: Annotated[str, Text(r"[^\s\x00-\x1f\x7f]+", "an image reference without blanks")] = Field(
        description="Container image with that release, by tag or, better, by digest.",
        examples=["lmsysorg/sglang:v0.5.11-cu130"],
    )
    add_python: Annotated[str, Text("3[.](?:1[0-4])", "a version such as 3.12")] | None = Field(
        None, description="Python for an image that has none. Left out: the image has it.", examples=["3.12"]
    )
    image_steps: Annotated[tuple[ImageStep, ...], Field(strict=False)] = Field(
        (), description="What is built on top of the image, in order."
    )
    env: Env = Field({}, description="Environment variables of the SGLang image.")
    args: dict[str, Annotated[Any, ArgValue()]] = Field(
        {},
        description="SGLang's own options, without the leading dashes, in any spelling that the release accepts.",
        examples=[{"tp": 8, "trust-remote-code": True}],
    )


class Keepalive(_Model):
    """Scheduled pings against cold starts."""

    enabled: bool = Field(False, description="Whether to ping the endpoint on the schedule.")
    schedule: Line = Field(
        "*/10 9-18 * * 1-5",
        description="Five cron fields: minute, hour, day of month, month, weekday.",
    )
    timezone: Annotated[str, Text("[A-Za-z][A-Za-z0-9_+/-]*", "a time zone such as Europe/Berlin")] = Field(
        "UTC", description="Time zone of the schedule, by its IANA name.", examples=["Europe/Berlin"]
    )
    url: Annotated[str, Text(r"(?:https?://[^\s\x00-\x1f\x7f]+)?", "an http or https URL, or nothing")] = Field(
        "", description="Base URL whose /health is pinged; empty: the URL of the deployed app itself."
    )


class Workspace(_Model):
    """What Modal does not tell of the workspace. Nothing of it is deployed."""

    max_gpus: Annotated[int, Whole(1, 100_000)] | None = Field(
        None,
        description="GPUs that the workspace may have at once, of all its Environments: a rollout that needs more, "
        "because two versions run side by side, is not begun.",
    )


class Waiver(_Model):
    """A guard rule switched off on purpose."""

    rule: Annotated[str, Text("GLM[0-9]{3}", "a rule's id such as GLM004")] = Field(
        description="Id of the rule.", examples=["GLM004"]
    )
    reason: Annotated[str, Text(rf"{LINE}*[^\s\x00-\x1f\x7f]{LINE}*", "a reason, on one line")] = Field(
        description="Why the rule does not hold here."
    )
    until: Annotated[
        str, Text("[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a date such as 2027-01-31")
    ] = Field(description="Last day of the waiver (UTC), as YYYY-MM-DD.", examples=["2027-01-31"])


class Profile(_Model):
    """A deployment of one model with SGLang on Modal."""

    schema_: Annotated[int, Whole(1, 1)] = Field(alias="schema", description="Version of the profile format.")
    name: Name = Field(description="Name of the profile.", examples=["b200-eagle-bf16kv"])
    description: str = Field("", description="One line for people.")
    app: Name = Field(description="Name of the Modal app.", examples=["glm51-fp8"])
    environment: Annotated[str, Text("[A-Za-z0-9][A-Za-z0-9_-]{0,62}", "the name of a Modal Environment")] | None = (
        Field(None, description="Modal Environment; `--env` wins over it.", examples=["main"])
    )
    tags: Annotated[dict[str, str], Mapping(TAG, TAG)] = Field(
        {}, description="Tags of the Modal app, beside those that glmdeploy sets."
    )
    model: ServedModel = Field(description="What is served.")
    gpu: Annotated[
        str | tuple[str, ...],
        OneOrMore(Text(gpus.pattern(), f"a GPU in Modal's syntax such as B200:8, of {', '.join(gpus.TYPES)}")),
    ] = Field(
        description="GPU type and count of one container, or a list of such in the order in which Modal tries them.",
        examples=["B200:8", ["B200:8", "H200:8"]],
    )
    volumes: Volumes = Field(description="Modal Volumes and where they are mounted.")
    secrets: Secrets = Field(Secrets(), description="Modal Secrets, by role.")
    download: Download = Field(Download(), description="Stage 1, on a CPU: the model's files into the weights volume.")
    compile: Compile | None = Field(
        None,
        description="Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume. Left out: no such stage.",
    )
    server: Server = Field(Server(), description="Stage 3: the containers that serve.")
    sglang: Sglang = Field(description="The engine: release, image, environment and options.")
    keepalive: Keepalive = Field(Keepalive(), description="Scheduled pings against cold starts.")
    workspace: Workspace = Field(Workspace(), description="What Modal does not tell of the workspace.")
    waive: Annotated[tuple[Waiver, ...], Field(strict=False)] = Field(
        (), description="Guard rules switched off on purpose."
    )
