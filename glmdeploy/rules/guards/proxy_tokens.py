"""Rules about Modal's own authentication before the endpoint, and the proxy token with which glmdeploy passes it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_TOKENS = "https://modal.com/docs/guide/webhook-proxy-auth"
_AUTH = ("server", "requires_proxy_auth")
_SECRET = ("secrets", "proxy_token")
_ASKS = "server.requires_proxy_auth=true"
_NAMED = "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}"


def _lacks_token(facts: Facts) -> bool:
    return facts.profile.server.requires_proxy_auth and facts.profile.secrets.proxy_token is None


def _refused_pings(facts: Facts) -> Iterator[Violation]:
    if _lacks_token(facts) and facts.profile.keepalive.enabled:
        yield Violation(
            path=("keepalive", "enabled"),
            message="Modal's proxy refuses every ping: it wants a token, and none is named",
        )


def _unasked(facts: Facts) -> Iterator[Violation]:
    if _lacks_token(facts) and not facts.profile.keepalive.enabled:
        yield Violation(
            path=_AUTH, message="`apply` cannot see whether the endpoint answers: Modal's proxy wants a token of it"
        )


def _idle_token(facts: Facts) -> Iterator[Violation]:
    if facts.profile.secrets.proxy_token is not None and not facts.profile.server.requires_proxy_auth:
        yield Violation(path=_SECRET, message="a proxy token is named, and `server.requires_proxy_auth` is false")


def _one_key(facts: Facts) -> Iterator[Violation]:
    token = facts.profile.secrets.proxy_token
    if token is not None and len(set(token.keys)) == 1:
        yield Violation(path=(*_SECRET, "keys"), message=f"{token.keys[0]} cannot be both the id and the secret")


def _in_the_clear(facts: Facts) -> Iterator[Violation]:
    keepalive = facts.profile.keepalive
    if not keepalive.enabled or facts.profile.secrets.proxy_token is None:
        return
    if urlsplit(keepalive.url).scheme == "http":
        yield Violation(
            path=("keepalive", "url"), message="the proxy token is not sent to this URL: it would be read on the way"
        )


REFUSED_PINGS = Rule(
    id="GLM140",
    title="keep-alive that Modal's proxy refuses",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="With `server.requires_proxy_auth` Modal answers 401 to every request without a proxy token, before it reaches "
    "a container. Pings without one keep nothing alive, and fail each time.",
    fix="make a token with `modal workspace proxy-tokens create`, put its id and its secret into a Modal Secret, and "
    "name that as `secrets.proxy_token`",
    sources=(_TOKENS,),
    check=_refused_pings,
    fails=(example(_ASKS, "keepalive.enabled=true"),),
    passes=(example(), example(_ASKS), example(_ASKS, "keepalive.enabled=true", _NAMED)),
)

UNASKED = Rule(
    id="GLM141",
    title="proxy authentication without a token for apply",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="Modal answers 401 to every request without a proxy token. `apply` then cannot have the new version start, "
    "wait for its first answer, or see that it wants its key.",
    fix="name a Modal Secret with a proxy token as `secrets.proxy_token`",
    sources=(_TOKENS,),
    check=_unasked,
    fails=(example(_ASKS),),
    passes=(example(), example(_ASKS, _NAMED)),
)

IDLE_TOKEN = Rule(
    id="GLM142",
    title="proxy token that nothing asks for",
    severity=Severity.INFO,
    topic=Topic.SECURITY,
    why="The keep-alive and `apply` send `secrets.proxy_token`. Without `server.requires_proxy_auth` Modal lets "
    "requests through without it, unless the Environment wants tokens of all that runs in it.",
    fix="nothing, if the Environment wants tokens; else set `server.requires_proxy_auth: true`, or remove it",
    sources=(_TOKENS,),
    check=_idle_token,
    fails=(example(_NAMED),),
    passes=(example(), example(_ASKS, _NAMED)),
)

ONE_KEY = Rule(
    id="GLM143",
    title="proxy token whose id and secret are one key",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="A proxy token is a pair: the first key of the secret holds its id (`wk-`), which is sent as `Modal-Key`, the "
    "second its secret (`ws-`), sent as `Modal-Secret`.",
    fix="name both keys of the secret, the id's first",
    sources=(_TOKENS,),
    check=_one_key,
    fails=(example(_ASKS, "secrets.proxy_token={name: modal-proxy, keys: [TOKEN, TOKEN]}"),),
    passes=(example(), example(_ASKS, _NAMED)),
)

IN_THE_CLEAR = Rule(
    id="GLM144",
    title="keep-alive to a URL that gets no proxy token",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="A proxy token opens every protected endpoint of the workspace. The keep-alive sends it over HTTPS alone.",
    fix="write `https://` in `keepalive.url`, or leave it out: the ping finds the app's own URL",
    sources=(_TOKENS,),
    check=_in_the_clear,
    fails=(example(_ASKS, _NAMED, "keepalive.enabled=true", "keepalive.url=http://llm.acme.com"),),
    passes=(
        example(),
        example("keepalive.enabled=true", "keepalive.url=http://llm.acme.com"),
        example(_ASKS, _NAMED, "keepalive.enabled=true", "keepalive.url=https://llm.acme.com"),
    ),
)

RULES = (REFUSED_PINGS, UNASKED, IDLE_TOKEN, ONE_KEY, IN_THE_CLEAR)
