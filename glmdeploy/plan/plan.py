"""The Plan: everything that is deployed, as frozen data with one canonical JSON form and one digest.

After ``make`` nobody looks at the profile again. Equal plans have equal digests, whatever the profile's key
order, comments, anchors, inheritance or spelling of options. No secret's value is ever part of a plan.

Units: durations in seconds, memory in MiB, CPU in cores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from glmdeploy import __version__
from glmdeploy.plan import kernels
from glmdeploy.records import record
from glmdeploy.resources import DIGEST_TAG, PROFILE_TAG, VERSION_TAG
from glmdeploy.runtime.verdict import DIGEST_LENGTH
from glmdeploy.runtime.weights import sub_path

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""Version of the canonical form."""

COMPILE_SCALEDOWN = 2
"""Seconds: Modal's shortest window, so that rented GPUs do not idle for its default minute after the stage."""

DESCRIBE_TIMEOUT = 60
PING_TIMEOUT = 900
"""Seconds: a ping may have to wait for a whole cold start."""
SMALL_STARTUP_TIMEOUT = 300
"""Seconds for the start of the small CPU functions, ``describe`` and ``keep_warm``."""


STEPS = {"apt": "apt_install", "pip": "pip_install", "run": "run_commands"}
"""The steps on top of an image, and the methods of ``modal.Image`` that make them (1.6.4)."""

LOCKED_INSTALL = (
    "printf '%s\\n' {} | python -m pip install --require-hashes --no-deps --only-binary=:all: -r /dev/stdin"
)
"""The command that installs the lines of a lock: pip takes hashes from a file alone. Nothing is resolved, built or
installed but the files that the lines name."""


@record
class ServedModel:
    repo: str
    revision: str
    """As the profile writes it: a commit, a tag or a branch."""
    commit: str | None = None
    """What the revision meant on the hub when the plan was made, None where it was not asked."""
    served_name: str
    path: str
    """Folder of the model's files in the containers."""


@record
class Image:
    """A container image: a registry reference, or Debian slim when ``registry`` is empty.

    ``python`` is the version of Debian's, or what is added to an image of a registry that has none.
    """

    registry: str | None = None
    python: str | None = None
    pip: tuple[str, ...] = ()
    """Packages as lines of a lock, ``NAME==VERSION --hash=sha256:...``; of plans before 0.3 without hashes."""
    steps: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    """What is built on top, in order: each ``apt``, ``pip`` or ``run``, with packages or commands."""
    env: dict[str, str] = dataclasses.field(default_factory=dict)


@record
class Volume:
    name: str
    mount: str
    sub_path: str | None = None
    """The folder in it that the containers see at the mount, None for all of it; a stage that fills it sees all."""
    version: int | None = None
    """Of Modal's file system, None for whichever it has; of a new one Modal's choice."""
    read_only: bool | None = None
    """Whether the containers that serve may not write into it."""

    def writable(self) -> Volume:
        """The same volume as a stage sees it that writes into it."""
        return dataclasses.replace(self, read_only=None)


@record
class Cluster:
    """Containers that serve together as one replica (``@modal.clustered``)."""

    nodes: int
    rdma: bool


@record
class Secret:
    name: str
    keys: tuple[str, ...]


@record
class Made:
    """An argument that is an instance of a class of :mod:`modal`, ``Retries``, made of these keywords."""

    name: str
    keywords: Mapping[str, Any]


@record
class Option:
    """A parameter of Modal's decorators: its value in the profile's terms, and what each decorator takes for it.

    ``keywords`` are by decorator (``cls``, ``web_server``), then by its keyword. They follow from the name of the
    option: the canonical form holds the value alone.
    """

    value: Any
    keywords: Mapping[str, Mapping[str, Any]]


@record
class Stage:
    """What Modal is asked for a stage, by the profile's names: ``timeout``, ``scaledown_window``, ``region``."""

    options: Mapping[str, Option]

    def keywords(self, decorator: str) -> dict[str, Any]:
        """The keywords of a decorator, for all options that are set and that it takes."""
        taken = (option.keywords.get(decorator, {}) for option in self.options.values())
        return {name: value for keywords in taken for name, value in keywords.items()}

    def seconds(self, name: str) -> int:
        """The value of a time limit. :raises KeyError: if the stage has none of this name."""
        return int(self.options[name].value)


@record
class Download(Stage):
    image: Image


@record
class Compile(Stage):
    command: tuple[str, ...]
    gives_up_after: int
    """Seconds after which the container ends SGLang's tool and says why, before Modal ends the container."""
    defaults: dict[str, str]
    """Variables of the tool's process that glmdeploy sets, where the profile does not."""
    decides: dict[str, str]
    """What decides the kernels but the GPU, by its name (:func:`glmdeploy.plan.kernels.decides`)."""
    keys: dict[str, str]
    """By GPU, the digest of all that decides the kernels: the stage is skipped where it already ran for this key."""

    def at(self, commit: str) -> Compile:
        """The stage with the commit that the model's revision means, which decides the kernels in its place."""
        decides = {**self.decides, kernels.REVISION: commit}
        return dataclasses.replace(self, decides=decides, keys=kernels.keys(decides, self.keys))


@record
class Health:
    """How a container watches its engine once that is ready (:mod:`glmdeploy.runtime.watch`). Seconds."""

    interval: int
    timeout: int
    limit: int
    compiling: int
    """For how long at most a compiler at work excuses silence: SGLang's own ``watchdog-timeout``."""
    decoding: str
    """What tells that tokens are generated: ``lines`` of the log, ``loads`` (/v1/loads), or nothing: ``off``."""
    ranks: int
    """Data-parallel ranks that must each show life in /v1/loads; 0 where one sign of life speaks for all."""


@record
class Server(Stage):
    kind: str
    """``web_server`` or ``server``: a web function, or Modal's Server."""
    image: Image
    public: bool
    """Whether everyone may use the endpoint; without it a container serves nothing that no key protects."""
    command: tuple[str, ...]
    """The SGLang command without the API key, which the container adds from its secret."""
    env: dict[str, str]
    """Of the SGLang process alone."""
    defaults: dict[str, str]
    """Variables of that process that glmdeploy sets, where the profile does not."""
    health: Health
    expected: dict[str, Any]
    """What SGLang must really run with (:mod:`glmdeploy.plan.expected`), by name."""
    tolerate: tuple[str, ...]
    """What of that, and of the checks, a start may fail in."""
    warmup: dict[str, int] | None
    """Sizes of the warm-up where the profile gives any; None for no warm-up."""
    checks: tuple[str, ...]
    """What a start is asked before it takes traffic (:mod:`glmdeploy.runtime.quick_checks`)."""
    gives_up_after: int
    """Seconds from a container's start after which it gives up on SGLang and says why, before Modal ends it."""


@record
class Keepalive:
    schedule: str
    timezone: str
    """Of the schedule, by its IANA name."""
    url: str
    """Empty: the app's own URL, looked up when the ping runs."""


@record
class Plan:
    profile: str
    app: str
    environment: str | None
    tags: dict[str, str]
    gpu: str | tuple[str, ...]
    """Of a container; several in the order in which Modal tries them."""
    sglang: str
    """Version of SGLang that the command is written for."""
    model: ServedModel
    weights: Volume
    kernels: Volume | None
    volumes: tuple[Volume, ...]
    """Further ones of the containers that serve."""
    huggingface: Secret | None
    api_key: Secret | None
    proxy_token: Secret | None
    """Its two keys are a token's id and secret, which the keep-alive and the checks of ``apply`` send."""
    registry: Secret | None
    """With it Modal pulls the serving image; no container gets it."""
    secrets: tuple[Secret, ...]
    """Further ones of the containers that serve."""
    download: Download
    compile: Compile | None
    server: Server
    keepalive: Keepalive | None
    cluster: Cluster | None = None
    """None where each container serves alone."""
    runtime: str
    """SHA-256 of the container side's source (:mod:`glmdeploy.plan.source`): another glmdeploy, another plan."""
    format: int = FORMAT
    max_gpus: int | None = dataclasses.field(default=None, compare=False, metadata={"deployed": False})
    """GPUs that the workspace may have at once, where somebody has said it: of no deployment's data."""

    @property
    def proxy_auth(self) -> bool:
        """Whether Modal's proxy refuses requests without a proxy token."""
        option = self.server.options.get("requires_proxy_auth")
        return option is not None and option.value is True

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs that a container may have, in order of preference."""
        return (self.gpu,) if isinstance(self.gpu, str) else self.gpu

    @property
    def nodes(self) -> int:
        """The containers of one replica."""
        return self.cluster.nodes if self.cluster else 1

    @property
    def serving_volumes(self) -> tuple[Volume, ...]:
        """The volumes of the containers that serve."""
        return tuple(volume for volume in (self.weights, self.kernels, *self.volumes) if volume)

    @property
    def every_secret(self) -> tuple[Secret, ...]:
        """The secrets that any of its containers, or the pull of its image, needs."""
        named = (self.huggingface, self.api_key, self.proxy_token, self.registry)
        return (*(secret for secret in named if secret), *self.secrets)

    @property
    def looked_at(self) -> tuple[Secret, ...]:
        """The secrets whose values a container looks at before a deployment."""
        return tuple(secret for secret in (self.api_key, self.huggingface, self.proxy_token) if secret)

    def at(self, commit: str) -> Plan:
        """The plan with the commit that its revision means: its containers see the folder of that commit alone."""
        return dataclasses.replace(
            self,
            model=dataclasses.replace(self.model, commit=commit),
            weights=dataclasses.replace(self.weights, sub_path=sub_path(self.model.repo, commit)),
            compile=self.compile.at(commit) if self.compile else None,
        )

    def data(self) -> dict[str, Any]:
        """The plan as JSON data; keys whose value is None are left out."""
        data: dict[str, Any] = _plain(self)
        return data

    def canonical(self) -> str:
        """Canonical JSON of the data."""
        return canonical(self.data())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return digest(self.data())


def canonical(data: Mapping[str, Any]) -> str:
    """Canonical JSON: sorted keys, no white space, UTF-8 text as it is."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of a plan's data as canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def short_digest(plan: Plan) -> str:
    """The plan's digest as the app's tag holds it."""
    return plan.digest[:DIGEST_LENGTH]


def app_tags(plan: Plan) -> dict[str, str]:
    """The tags of the deployed app: what ``apply`` compares, and the profile's own."""
    return {
        **plan.tags,
        DIGEST_TAG: short_digest(plan),
        PROFILE_TAG: plan.profile,
        VERSION_TAG: __version__,
    }


def compiler_name(place: int) -> str:
    """What the stage that compiles is called for the GPU at this place of the list."""
    return "compile_deepgemm" if place == 0 else f"compile_deepgemm_{place + 1}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = [field for field in dataclasses.fields(value) if field.metadata.get("deployed", True)]
        pairs = {field.name: getattr(value, field.name) for field in fields}
        options = pairs.pop("options") if isinstance(value, Stage) else {}
        plain = {name: _plain(item) for name, item in pairs.items() if item is not None}
        return plain | {name: _plain(option.value) for name, option in options.items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
