"""Which requests need which key: the rules of SGLang 0.5.10, ``sglang/srt/utils/auth.py``."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glmdeploy.local.standin.settings import Settings

ADMIN_PATHS = frozenset({"/flush_cache"})
"""Of the paths that the stand-in has, those that SGLang calls ADMIN_OPTIONAL."""

_OPEN = ("/health", "/metrics")


def allowed(settings: Settings, method: str, path: str, authorization: str | None) -> bool:
    """Whether a request may pass; one that may not is answered 401.

    Administration wants the administration key alone where one is set. Everything else wants the API key
    where one is set, even of a client that has the administration key; with only the latter set it is open.
    """
    if method == "OPTIONS" or path.startswith(_OPEN):
        return True
    key = settings.api_key
    if path in ADMIN_PATHS:
        key = settings.admin_api_key or settings.api_key
    if not key:
        return True
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), key.encode())
