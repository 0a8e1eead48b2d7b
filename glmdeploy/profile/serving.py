"""The section ``server``: what Modal takes for the containers that serve, for each kind of server.

A web function (``@app.cls`` with ``@modal.web_server`` and ``@modal.concurrent``) queues requests and ends each after
150 s with a redirect; a Server (``@app.server``) passes them on at once. Which fields a kind has follows from the
decorators that take them. Names, types and limits: modal 1.6.4, as in :mod:`glmdeploy.profile.stages`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

from glmdeploy.profile import stages
from glmdeploy.profile.fields import (
    LINE,
    MAX_TIMEOUT,
    About,
    Cpu,
    Dollars,
    Env,
    Mapping,
    Memory,
    Number,
    OneOrMore,
    Seconds,
    Text,
    Timeout,
    Whole,
)
from glmdeploy.profile.stages import CLOUD, CPU, DISK, MEMORY, REGION, Cloud, Disk, Keyword, Region, modal

if TYPE_CHECKING:
    from collections import abc

    from glmdeploy.profile.stages import Decorator

WEB_SERVER, SERVER = "web_server", "server"

KINDS: abc.Mapping[str, tuple[Decorator, ...]] = {
    WEB_SERVER: ("cls", "web_server", "concurrent"),
    SERVER: ("server",),
}
"""The kinds of server, and the decorators that each is made with."""

Count = Annotated[int, Whole(0, 10_000)]
"""Of containers."""
Inputs = Annotated[int, Whole(1, 1000)]
Label = Annotated[
    str,
    Text(
        "(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
        "up to 63 lower-case letters, digits and dashes, not digits alone and no dash at an end",
    ),
]


Domain = Annotated[
    tuple[str, ...],
    OneOrMore(
        Text("[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:[.][a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+", "a domain such as llm.acme.com"),
        alone=False,
    ),
]
Options = Annotated[
    dict[str, str],
    Mapping(Text("[a-z][a-z0-9_]*", "the name of an option"), Text(LINE + "+", "a text or an integer"), True),
]


class HealthFields:
    """How a container watches its engine once that is ready; one that hangs is ended, and its container with it.

    The limits were tried on the real engine. SGLang's own watchdog sees neither a stopped process nor a hang while
    idle.
    """

    interval: Annotated[
        int,
        Seconds(1, 3600),
        About(
            "Pause between an answer of SGLang's `/health` and the next question, in seconds; a twelfth of `limit` at "
            "most."
        ),
    ] = 5
    timeout: Annotated[
        int, Seconds(2, 3600), About("Longest wait for one answer of `/health`, in seconds; above `limit`.")
    ] = 65
    limit: Annotated[
        int,
        Seconds(5, 3600),
        About(
            "Seconds without a sign of life after which the engine counts as hung and its container ends. SGLang gets "
            "it as `SGLANG_HEALTH_CHECK_TIMEOUT`. It must outlast the longest single pass.",
            (60,),
        ),
    ] = 60


class WarmupFields:
    """Requests that have SGLang compile its kernels before a container takes traffic.

    What is left out follows from the engine; all of it is cut down to what the context and the KV pool hold.
    """

    prompt_tokens: Annotated[
        int | None,
        Whole(1, 10_000_000),
        About("Tokens of the one long prompt. Left out: SGLang's prefill chunk.", (32768,)),
    ] = None
    batch: Annotated[
        int | None,
        Whole(1, 4096),
        About("Requests of the one batch of short prompts. Left out: as many as may run at a time."),
    ] = None
    output_tokens: Annotated[int | None, Whole(1, 4096), About("Tokens that each of them generates. Left out: 16.")] = (
        None
    )


class ServerFields:
    """Stage 3: the containers that serve. What only one kind of server takes says so in its first words."""

    kind: Annotated[
        str,
        Text("|".join(KINDS), "one of: " + ", ".join(KINDS)),
        About(
            "How Modal serves: `web_server`, a web function, which queues requests and ends each after 150 s with a "
            "redirect; or `server`, which passes them on at once and answers 503 until a container is up."
        ),
    ] = WEB_SERVER
    port: Annotated[int, Whole(1, 65_535), modal("web_server", "server"), About("Port of SGLang in the container.")] = (
        8000
    )
    public: Annotated[
        bool, About("Must be true when there is no `secrets.api_key`: anyone may then use the endpoint.")
    ] = False
    requires_proxy_auth: Annotated[
        bool,
        modal("web_server", server=Keyword(name="unauthenticated", contrary=True)),
        About("Whether Modal itself refuses requests without a proxy token (`Modal-Key` and `Modal-Secret`)."),
    ] = False
    min_containers: Annotated[
        Count, modal("cls", "server"), About("Containers that run even when idle; each one is billed.")
    ] = 0
    max_containers: Annotated[
        int,
        Whole(1, 10_000),
        modal("cls", "server"),
        About("Upper bound of containers, and so of the spending rate."),
    ] = 1
    buffer_containers: Annotated[
        Count | None,
        modal("cls", "server"),
        About("Containers to keep ready beside the busy ones; each one is billed. Left out: none."),
    ] = None
    spend_ceiling: Annotated[
        Dollars | None,
        About("Dollars an hour that `max_containers` may cost at most; more is a warning. Left out: 200.", (150,)),
    ] = None
    scaleup_window: Annotated[
        int | None,
        Seconds(1, MAX_TIMEOUT),
        modal("server"),
        About("`server`: how long more must be asked for until Modal adds a container. Left out: Modal's choice."),
    ] = None
    scaledown_window: Annotated[
        int,
        Seconds(2, 3600),
        modal("cls", "server"),
        About("How long an idle container is kept, in seconds or as a duration.", ("15m",)),
    ] = 900
    timeout: Annotated[
        Timeout,
        modal("cls"),
        About("`web_server`: longest time that Modal gives one input, in seconds or as a duration.", ("24h",)),
    ] = MAX_TIMEOUT
    # Of the class too: left out there, Modal would take `timeout`, a day, as the limit of a start. A Server would get
    # 30 seconds.
    startup_timeout: Annotated[
        int,
        Seconds(60, MAX_TIMEOUT),
        modal("cls", "web_server", "server"),
        About("Longest time from a container's start until SGLang is healthy, in seconds or as a duration.", ("15m",)),
    ] = 900
    # Modal's own is 0, with which every rollout cuts every stream. Longer than SGLang's own end (25 s), and short
    # enough to be paid for by each container that ends, if Modal should wait for all of it.
    exit_grace_period: Annotated[
        int,
        Seconds(0, 3600),
        modal("server"),
        About("`server`: how long a container that ends may finish what it has begun, in seconds or as a duration."),
    ] = 60
    max_inputs: Annotated[
        Inputs,
        modal("concurrent"),
        About("`web_server`: requests that one container takes at a time; more of them wait (`@modal.concurrent`)."),
    ] = 20
    target_inputs: Annotated[
        Inputs | None,
        modal("concurrent"),
        About(
            "`web_server`: requests a container at which Modal adds another; at most `max_inputs`, which it is when "
            "left out."
        ),
    ] = None
    # As many as `max_inputs`. Left out, a Server never has more than `min_containers`, or one.
    target_concurrency: Annotated[
        float,
        Number(10_000, 0),
        modal("server"),
        About("`server`: requests a container at which Modal adds another; it may be a fraction. 0: it never does."),
    ] = 20
    max_concurrency: Annotated[
        int | None,
        Whole(1, 10_000),
        modal("server"),
        About("`server`: requests a container above which Modal answers 429. Left out: no limit, and SGLang queues."),
    ] = None
    region: Annotated[Region | None, modal("cls", server="compute_region"), REGION] = None
    routing_region: Annotated[
        str | None,
        Text("us-east|us-west|eu-west|ap-south", "one of: us-east, us-west, eu-west, ap-south"),
        modal("cls", "server"),
        About("Where Modal takes requests in. Left out: Modal's choice; for a `server` us-east."),
    ] = None
    cloud: Annotated[Cloud | None, modal("cls", "server"), CLOUD] = None
    ephemeral_disk: Annotated[Disk | None, modal("cls", "server"), DISK] = None
    label: Annotated[
        Label | None,
        modal("web_server"),
        About(
            "`web_server`: last part of the endpoint's host name (`WORKSPACE--LABEL.modal.run`). Left out: Modal's "
            "choice."
        ),
    ] = None
    custom_domains: Annotated[
        Domain | None,
        modal("web_server"),
        About("`web_server`: domains of the workspace's own, under which it answers too.", (["llm.acme.com"],)),
    ] = None
    env: Annotated[Env, About("Environment variables of the SGLang process alone.")] = {}  # noqa: RUF012
    cpu: Annotated[Cpu | None, modal("cls", "server"), CPU] = None
    memory: Annotated[Memory | None, modal("cls", "server"), MEMORY] = None
    experimental_options: Annotated[
        Options | None, modal("cls", "server"), About("Options that Modal does not document, passed on as texts.")
    ] = None


@cache
def options(kind: str) -> abc.Mapping[str, abc.Mapping[Decorator, Keyword]]:
    """The keywords of a kind's fields, by field, by decorator; without the fields that it does not have."""
    return {
        name: taken
        for name, decorators in stages.options(ServerFields).items()
        if (taken := {each: keyword for each, keyword in decorators.items() if each in KINDS[kind]})
    }


def of_one_kind() -> abc.Mapping[str, str]:
    """The fields that only one kind of server has, with that kind."""
    kinds = {name: [kind for kind in KINDS if name in options(kind)] for name in stages.options(ServerFields)}
    return {name: having[0] for name, having in kinds.items() if len(having) == 1}
