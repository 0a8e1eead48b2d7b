"""The section ``server``: what Modal takes for the containers that serve, for each kind of server.

A web function (``@app.cls`` with ``@modal.web_server`` and ``@modal.concurrent``) queues requests and ends each after
150 s with a redirect; a Server (``@app.server``) passes them on at once. Which fields a kind has follows from the
decorators that take them. Names, types and limits: modal 1.6.4, as in :mod:`glmdeploy.profile.stages`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.profile import stages
from glmdeploy.profile.decorators import Keyword, modal, replicas
from glmdeploy.profile.fields import (
    CORES,
    ENV,
    FLAG,
    LINE,
    MAX_TIMEOUT,
    MEBIBYTES,
    TIMEOUT,
    Digits,
    Listed,
    Mapping,
    Number,
    Seconds,
    Text,
    Texts,
    Whole,
    WordOr,
    one_of,
)
from glmdeploy.profile.section import Section, field
from glmdeploy.profile.stages import (
    CLOUD,
    CLOUD_NAME,
    CPU,
    CPU_EXAMPLES,
    DISK,
    DISK_SIZE,
    MEMORY,
    MEMORY_EXAMPLES,
    REGION,
    REGION_NAMES,
)
from glmdeploy.runtime.comparison import COMPARED

if TYPE_CHECKING:
    from collections import abc

    from glmdeploy.profile.decorators import Decorator

WEB_SERVER, SERVER = "web_server", "server"

KINDS: abc.Mapping[str, tuple[Decorator, ...]] = {
    WEB_SERVER: ("cls", "web_server", "concurrent"),
    SERVER: ("server",),
}
"""The kinds of server, and the decorators that each is made with."""

CONTAINERS = Whole(0, 10_000)
INPUTS = Whole(1, 1000)
LABEL = Text(
    "(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    "up to 63 lower-case letters, digits and dashes, not digits alone and no dash at an end",
)
DOMAINS = Texts(
    Text("[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:[.][a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+", "a domain such as llm.acme.com")
)
OPTIONS = Mapping(Text("[a-z][a-z0-9_]*", "the name of an option"), Digits(LINE + "+", "a text or an integer"))

TOLERABLE = (*COMPARED, "chat", "stream", "tool_call", "embeddings", "rerank", "reward")
"""What a start can be refused for: what is compared with the plan, and the quick checks."""


class Health(Section):
    """How a container watches its engine once that is ready."""

    # One that hangs is ended, and its container with it. The limits were tried on the real engine; SGLang's own
    # watchdog sees neither a stopped process nor a hang while idle.
    interval: int = field(
        Seconds(1, 3600),
        "Pause between an answer of SGLang's `/health` and the next question, in seconds; a twelfth of `limit` at "
        "most.",
        default=5,
    )
    timeout: int = field(
        Seconds(2, 3600), "Longest wait for one answer of `/health`, in seconds; above `limit`.", default=65
    )
    limit: int = field(
        Seconds(5, 3600),
        "Seconds without a sign of life after which the engine counts as hung and its container ends. SGLang gets it "
        "as `SGLANG_HEALTH_CHECK_TIMEOUT`. It must outlast the longest single pass.",
        default=60,
        examples=(60,),
    )


class Warmup(Section):
    """Requests that have SGLang compile its kernels before a container takes traffic."""

    # What is left out follows from the engine; all of it is cut down to what the context and the KV pool hold.
    prompt_tokens: int | None = field(
        Whole(1, 10_000_000),
        "Tokens of the one long prompt. Left out: SGLang's prefill chunk.",
        default=None,
        examples=(32768,),
    )
    batch: int | None = field(
        Whole(1, 4096),
        "Requests of the one batch of short prompts. Left out: as many as may run at a time.",
        default=None,
    )
    output_tokens: int | None = field(Whole(1, 4096), "Tokens that each of them generates. Left out: 16.", default=None)


class Server(Section):
    """Stage 3: the containers that serve."""

    # What only one kind of server takes says so in its first words.
    kind: str = field(
        one_of(*KINDS),
        "How Modal serves: `web_server`, a web function, which queues requests and ends each after 150 s with a "
        "redirect; or `server`, which passes them on at once and answers 503 until a container is up.",
        default=WEB_SERVER,
    )
    port: int = field(Whole(1, 65_535), "Port of SGLang in the container.", modal("web_server", "server"), default=8000)
    public: bool = field(
        FLAG, "Must be true when there is no `secrets.api_key`: anyone may then use the endpoint.", default=False
    )
    requires_proxy_auth: bool = field(
        FLAG,
        "Whether Modal itself refuses requests without a proxy token (`Modal-Key` and `Modal-Secret`).",
        modal("web_server", server=Keyword(name="unauthenticated", contrary=True)),
        default=False,
    )
    min_containers: int = field(
        CONTAINERS,
        "Containers that run even when idle; each one is billed. With `cluster` replicas, as below.",
        replicas("min_containers"),
        default=0,
    )
    max_containers: int = field(
        Whole(1, 10_000),
        "Upper bound of containers, and so of the spending rate.",
        replicas("max_containers"),
        default=1,
    )
    buffer_containers: int | None = field(
        CONTAINERS,
        "Containers to keep ready beside the busy ones; each one is billed. Left out: none.",
        replicas("buffer_containers"),
        default=None,
    )
    spend_ceiling: float | None = field(
        Number(1_000_000),
        "Dollars an hour that `max_containers` may cost at most; more is a warning. Left out: 200.",
        default=None,
        examples=(150,),
    )
    scaleup_window: int | None = field(
        Seconds(1, MAX_TIMEOUT),
        "`server`: how long more must be asked for until Modal adds a container. Left out: Modal's choice.",
        modal("server"),
        default=None,
    )
    scaledown_window: int = field(
        Seconds(2, 3600),
        "How long an idle container is kept, in seconds or as a duration.",
        modal("cls", "server"),
        default=900,
        examples=("15m",),
    )
    timeout: int = field(
        TIMEOUT,
        "`web_server`: longest time that Modal gives one input, in seconds or as a duration.",
        modal("cls"),
        default=MAX_TIMEOUT,
        examples=("24h",),
    )
    # Of the class too: left out there, Modal would take `timeout`, a day, as the limit of a start. A Server would get
    # 30 seconds.
    startup_timeout: int = field(
        Seconds(60, MAX_TIMEOUT),
        "Longest time from a container's start until SGLang is healthy, in seconds or as a duration.",
        modal("cls", "web_server", "server"),
        default=900,
        examples=("15m",),
    )
    # Modal's own is 0, with which every rollout cuts every stream. Longer than SGLang's own end (25 s), and short
    # enough to be paid for by each container that ends, if Modal should wait for all of it.
    exit_grace_period: int = field(
        Seconds(0, 3600),
        "`server`: how long a container that ends may finish what it has begun, in seconds or as a duration.",
        modal("server"),
        default=60,
    )
    max_inputs: int = field(
        INPUTS,
        "`web_server`: requests that one container takes at a time; more of them wait (`@modal.concurrent`).",
        modal("concurrent"),
        default=20,
    )
    target_inputs: int | None = field(
        INPUTS,
        "`web_server`: requests a container at which Modal adds another; at most `max_inputs`, which it is when left "
        "out.",
        modal("concurrent"),
        default=None,
    )
    # As many as `max_inputs`. Left out, a Server never has more than `min_containers`, or one.
    target_concurrency: float = field(
        Number(10_000, 0),
        "`server`: requests a container at which Modal adds another; it may be a fraction. 0: it never does.",
        modal("server"),
        default=20,
    )
    max_concurrency: int | None = field(
        Whole(1, 10_000),
        "`server`: requests a container above which Modal answers 429. Left out: no limit, and SGLang queues.",
        modal("server"),
        default=None,
    )
    region: str | tuple[str, ...] | None = field(
        REGION_NAMES, REGION, modal("cls", server="compute_region"), default=None, examples=("us-east",)
    )
    routing_region: str | None = field(
        one_of("us-east", "us-west", "eu-west", "ap-south"),
        "Where Modal takes requests in. Left out: Modal's choice; for a `server` us-east.",
        modal("cls", "server"),
        default=None,
    )
    cloud: str | None = field(CLOUD_NAME, CLOUD, modal("cls", "server"), default=None, examples=("oci",))
    ephemeral_disk: int | None = field(DISK_SIZE, DISK, modal("cls", "server"), default=None)
    label: str | None = field(
        LABEL,
        "`web_server`: last part of the endpoint's host name (`WORKSPACE--LABEL.modal.run`). Left out: Modal's choice.",
        modal("web_server"),
        default=None,
    )
    custom_domains: tuple[str, ...] | None = field(
        DOMAINS,
        "`web_server`: domains of the workspace's own, under which it answers too.",
        modal("web_server"),
        default=None,
        examples=(["llm.acme.com"],),
    )
    env: dict[str, str] = field(ENV, "Environment variables of the SGLang process alone.", default={})
    cpu: float | tuple[float, float] | None = field(
        CORES, CPU, modal("cls", "server"), default=None, examples=CPU_EXAMPLES
    )
    memory: int | tuple[int, int] | None = field(
        MEBIBYTES, MEMORY, modal("cls", "server"), default=None, examples=MEMORY_EXAMPLES
    )
    experimental_options: dict[str, str] | None = field(
        OPTIONS, "Options that Modal does not document, passed on as texts.", modal("cls", "server"), default=None
    )
    health: Health = field(Health, "How a container watches its engine once that is ready.", default=Health())
    warmup: Warmup | str = field(
        WordOr("off", Warmup, "a mapping of prompt_tokens, batch and output_tokens, or off"),
        "Requests that have SGLang compile its kernels before a container takes traffic, or `off`.",
        default=Warmup(),
    )
    tolerate: tuple[str, ...] = field(
        Listed(one_of(*TOLERABLE)),
        "What a start may fail in and still take traffic: values in which SGLang may differ from the plan, and quick "
        "checks.",
        default=(),
        examples=(["max_total_num_tokens"],),
    )


@cache
def options(kind: str) -> abc.Mapping[str, abc.Mapping[Decorator, Keyword]]:
    """The keywords of a kind's fields, by field, by decorator; without the fields that it does not have."""
    return {
        name: taken
        for name, decorators in stages.options(Server).items()
        if (taken := {each: keyword for each, keyword in decorators.items() if each in KINDS[kind]})
    }


def of_one_kind() -> abc.Mapping[str, str]:
    """The fields that only one kind of server has, with that kind."""
    kinds = {name: [kind for kind in KINDS if name in options(kind)] for name in stages.options(Server)}
    return {name: having[0] for name, having in kinds.items() if len(having) == 1}
