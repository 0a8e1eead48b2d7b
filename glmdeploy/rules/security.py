"""Rules about who can reach the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.edits import Remove
from glmdeploy.findings import Severity
from glmdeploy.rules.base import Rule, Violation, example
from glmdeploy.rules.subject import ARGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.subject import Subject


def _public(subject: Subject) -> Iterator[Violation]:
    keyed, public = subject.profile.secrets.api_key is not None, subject.profile.server.public
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


def _admin_key(subject: Subject) -> Iterator[Violation]:
    if key := subject.withheld.get("admin_api_key"):
        path = (*ARGS, key)
        yield Violation(
            path=path, secret=True, message=f"`{key}` has no place in a profile", edits=(Remove(path=path),)
        )


def _secret_value(subject: Subject) -> Iterator[Violation]:
    if key := subject.withheld.get("api_key"):
        path = (*ARGS, key)
        message = f"`{key}` puts the API key into the profile"
        yield Violation(path=path, secret=True, message=message, edits=(Remove(path=path),))


PUBLIC_ENDPOINT = Rule(
    id="GLM060",
    title="public endpoint that was not asked for",
    severity=Severity.ERROR,
    why="Modal's URLs are reachable from everywhere. Without an API key every stranger's request starts GPUs at your "
    "expense, so a public endpoint must be said in so many words.",
    fix="add `secrets.api_key` with the Modal Secret that holds the key, or write `server: {public: true}`",
    sources=("https://modal.com/docs/guide/webhooks",),
    check=_public,
    fails=(example("secrets.api_key=null"), example("server.public=true")),
    passes=(example("secrets.api_key=null", "server.public=true"),),
    waivable=False,
)

ADMIN_KEY = Rule(
    id="GLM062",
    title="admin API key in a profile",
    severity=Severity.ERROR,
    why="An admin key alone leaves SGLang's normal routes open, chat completions and /server_info among them, which "
    "shows the admin key to everyone (50 of 85 routes in 0.5.10 and 51 of 93 in 0.5.23, tried on the real "
    "middleware). And a profile is no place for a secret: it is shown, compared and committed.",
    fix="remove it; `secrets.api_key` protects all routes but /health and /metrics",
    sources=("sglang/srt/utils/auth.py (0.5.23)",),
    check=_admin_key,
    fails=(example("sglang.args.admin-api-key=not-a-real-key"),),
    passes=(example(),),
    waivable=False,
)

SECRET_VALUE = Rule(
    id="GLM063",
    title="secret written into a profile",
    severity=Severity.ERROR,
    why="A profile is shown in plans and differences and kept in version control; a secret in it is no secret any "
    "more. Modal Secrets hold them, and reach only the container that needs them.",
    fix="put it into a Modal Secret, name that under `secrets`, and replace the secret, which is known by now",
    sources=("https://modal.com/docs/guide/secrets",),
    check=_secret_value,
    fails=(example("sglang.args.api-key=not-a-real-key"),),
    passes=(example(),),
    waivable=False,
)

RULES = (PUBLIC_ENDPOINT, ADMIN_KEY, SECRET_VALUE)
