"""Rules about who can reach the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.base import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.base import Subject


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


PUBLIC_ENDPOINT = Rule(
    id="GLM060",
    title="public endpoint that was not asked for",
    severity=Severity.ERROR,
    why="Modal's URLs are reachable from everywhere. Without an API key every stranger's request starts GPUs at your "
    "expense, so a public endpoint must be said in so many words.",
    fix="add `secrets.api_key` with the Modal Secret that holds the key, or write `server: {public: true}`",
    sources=("https://modal.com/docs/guide/webhooks",),
    check=_public,
    waivable=False,
)
