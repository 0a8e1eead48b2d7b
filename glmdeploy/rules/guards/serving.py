"""Rules about the two kinds of server, and traps in what Modal takes for containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, SetValue, Severity
from glmdeploy.profile.serving import SERVER, WEB_SERVER, of_one_kind
from glmdeploy.rules.rule import AS_SERVER, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

REDIRECT = 150
"""Seconds after which Modal answers a web function's request with a redirect (its guide to timeouts)."""

STOPPING = 25
"""Seconds that the container gives SGLang's streams when it is told to end (``STOP_SECONDS`` of the container side)."""

_SERVERS = "https://modal.com/docs/guide/servers"
_TIMEOUTS = "https://modal.com/docs/guide/webhook-timeouts"
_SDK = "modal/app.py, server and cls (modal 1.6.4)"

INSTEAD: Mapping[str, str] = {
    "timeout": "a Server limits no request; Modal's proxy ends one after an hour",
    "max_inputs": "write `max_concurrency`, above which clients get 429",
    "target_inputs": "write `target_concurrency`",
    "label": "a Server's address cannot be chosen",
    "custom_domains": "a Server has none; a proxy of your own can have the domain",
    "scaleup_window": "Modal decides when it adds a container to a web function",
    "exit_grace_period": "a container of a web function finishes its requests before it ends",
    "target_concurrency": "write `target_inputs`",
    "max_concurrency": "write `max_inputs`, above which requests wait",
}
"""What to do without a field that the kind of server does not have."""


def _other_kind(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    kinds = of_one_kind()
    others = [name for name in kinds if name in server.given and kinds[name] != server.kind]
    for name in others:
        yield Violation(
            path=("server", name),
            key=True,
            message=f"`{name}` is of `kind: {kinds[name]}`, and this is a `{server.kind}`: {INSTEAD[name]}",
            edits=tuple(Remove(path=("server", other)) for other in others),
        )


def _redirected(facts: Facts) -> Iterator[Violation]:
    if facts.profile.server.kind != WEB_SERVER or facts.model_loaded is None:
        return
    start = sum(step.seconds for step in facts.cold_start(compiled=True))
    if start > REDIRECT:
        yield Violation(
            path=("server", "kind"),
            message=f"a request that waits for a cold start, about {start} s, is redirected after {REDIRECT} s, and so "
            "is every longer answer",
        )


def _never_scales(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.kind != SERVER or server.target_concurrency or 0 < server.min_containers == server.max_containers:
        return
    path = ("server", "target_concurrency")
    yield Violation(
        path=path,
        message=f"with `target_concurrency: 0` Modal never adds a {facts.replica}: "
        + (f"it stays at {server.min_containers}" if server.min_containers else "none is ever started"),
        edits=(SetValue(path=path, value=20),),
    )


def _cut_short(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.kind == SERVER and server.exit_grace_period < STOPPING:
        path = ("server", "exit_grace_period")
        yield Violation(
            path=path,
            message=f"a {facts.replica} that ends has {server.exit_grace_period} s for what it has begun: longer "
            "answers are cut at every deployment and when Modal scales down",
            edits=(SetValue(path=path, value=60),),
        )


def _buffer(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    buffer = server.buffer_containers
    if buffer and server.min_containers + buffer >= server.max_containers:
        yield Violation(
            path=("server", "buffer_containers"),
            message=f"{buffer} ready beside the busy ones, and `max_containers` is {server.max_containers}: "
            + ("there is no room for one" if server.max_containers == 1 else "not all of them ever start"),
        )


OTHER_KIND = Rule(
    id="GLM132",
    title="field of the other kind of server",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A web function (`web_server`) and a Server (`server`) are made by different decorators of Modal, which take "
    "different parameters. What the other one takes would be left out, and the profile would say something that is "
    "not so.",
    fix="remove the field, or choose the other `kind`",
    sources=(_SDK, "modal/_partial_function.py, web_server and concurrent (modal 1.6.4)", _SERVERS),
    check=_other_kind,
    fails=(
        example("server.kind=server"),
        example("server.exit_grace_period=60"),
        example("server.max_concurrency=48"),
        example(*AS_SERVER, "server.label=glm"),
    ),
    passes=(example(), example(*AS_SERVER), example(*AS_SERVER, "server.exit_grace_period=2m")),
    waivable=False,
)

REDIRECTED = Rule(
    id="GLM133",
    title="web function whose clients are redirected",
    severity=Severity.INFO,
    topic=Topic.TIME,
    why="Modal answers a request to a web function that takes longer than 150 s with 303 and an address to ask again, "
    "at most 20 times. A cold start of a large model takes longer, and so does a long answer that is not streamed. "
    "Clients must follow redirects, and many send no key along then; others take it for a failure. A Server answers "
    "503 until a container is up and has no such limit; clients must try again by themselves.",
    fix="have clients follow redirects, keep a container up, or write `server.kind: server`",
    sources=(_TIMEOUTS, _SERVERS),
    check=_redirected,
    fails=(example(),),
    passes=(example(*AS_SERVER), example("model.repo=acme/other"), example(profile="local-cpu")),
)

NEVER_SCALES = Rule(
    id="GLM134",
    title="server that never gets another container",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="A Server's containers follow `target_concurrency`; with 0, or without one, Modal does not scale it at all. "
    "That can be meant where `min_containers` and `max_containers` are the same.",
    fix="write how many requests a container shall have when another is added, or as many `min_containers` as "
    "`max_containers`",
    sources=(_SDK, _SERVERS),
    check=_never_scales,
    fails=(
        example(*AS_SERVER, "server.target_concurrency=0"),
        example(*AS_SERVER, "server.target_concurrency=0", "server.min_containers=1"),
    ),
    passes=(
        example(*AS_SERVER),
        example(*AS_SERVER, "server.target_concurrency=0", "server.min_containers=3"),
        example(*AS_SERVER, "server.target_concurrency=1.5"),
    ),
)

CUT_SHORT = Rule(
    id="GLM135",
    title="server that cuts answers when it ends",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="A container of a Server that is replaced or no longer needed gets `exit_grace_period` for the requests that "
    "it has. Modal's own default is 0: every deployment cuts every answer. The default here is 60 s. A container gives "
    "SGLang 25 s more when it is told to end, but by then Modal has closed the way in.",
    fix="write how long your answers take, in seconds",
    sources=(_SDK, "modal/experimental/_flash_container_entry.py (modal 1.6.4)", _SERVERS),
    check=_cut_short,
    fails=(example(*AS_SERVER, "server.exit_grace_period=0"), example(*AS_SERVER, "server.exit_grace_period=24s")),
    passes=(example(*AS_SERVER), example(*AS_SERVER, "server.exit_grace_period=25")),
)

BUFFER = Rule(
    id="GLM161",
    title="ready containers that max_containers leaves no room for",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="`buffer_containers` are kept beside those that work, and all together never exceed `max_containers`.",
    fix="raise `max_containers`, or lower `buffer_containers`",
    sources=("https://modal.com/docs/guide/scale",),
    check=_buffer,
    fails=(
        example("server.buffer_containers=3"),
        example("server.buffer_containers=2", "server.min_containers=1"),
        example("server.buffer_containers=1", "server.max_containers=1"),
    ),
    passes=(example("server.buffer_containers=1"), example("server.buffer_containers=0", "server.max_containers=1")),
)

RULES = (OTHER_KIND, REDIRECTED, NEVER_SCALES, CUT_SHORT, BUFFER)
