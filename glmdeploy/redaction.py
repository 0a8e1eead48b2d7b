"""Secrets that are known by their form: tokens of well-known services, private keys, passwords in URLs.

:func:`find` says where a text holds one. :func:`mask` hides them; whatever is reported goes through it, so that a
secret in a profile is not copied into terminals, logs and code-scanning services.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "***"
"""What a secret is shown as, after the prefix that says what it is."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a kind of secret looks like: one of ``prefixes``, then ``body``, a regular expression.

    ``cut`` is what a message leaves of a body before the three dots that say that it is shortened. ``word`` says that
    a prefix only counts where a word begins. ``source`` is where the provider or a standard describes the form. The
    least numbers of characters are those of the providers' own tokens, rounded down where they may change.
    """

    kind: str
    prefixes: tuple[str, ...]
    body: str
    source: str
    cut: str = ""
    word: bool = True


@dataclass(frozen=True, kw_only=True)
class Token:
    """A secret in a text: ``text[start:end]``. Its first ``visible`` characters are the prefix, which is no secret."""

    kind: str
    start: int
    end: int
    visible: int


def _token(kind: str, *prefixes: str, body: str, least: int, source: str) -> Form:
    return Form(kind=kind, prefixes=prefixes, body=f"{body}{{{least},}}", cut=f"{body}{{4,}}", source=source)


_ALNUM, _URL64, _BASE64 = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[A-Za-z0-9+/]"
_OPENAI = "https://platform.openai.com/docs/api-reference/authentication"
_PRIVATE_KEY = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

# A repetition that can fail late is bounded, so that no text makes the search slow.
FORMS = (
    _token(
        "Hugging Face token",
        *("hf_", "api_org_"),
        body=_ALNUM,
        least=30,
        source="https://huggingface.co/docs/hub/security-tokens",
    ),
    _token(
        "Modal token",
        *("ak-", "as-"),
        body=_ALNUM,
        least=20,
        source="modal/_workspace.py (modal 1.6.4)",
    ),
    _token(
        "Modal proxy token",
        *("wk-", "ws-"),
        body=_ALNUM,
        least=20,
        source="https://modal.com/docs/guide/webhook-proxy-auth",
    ),
    _token(
        "Anthropic API key",
        "sk-ant-",
        body=_URL64,
        least=20,
        source="https://docs.claude.com/en/api/overview",
    ),
    _token("OpenAI API key", "sk-proj-", "sk-svcacct-", "sk-admin-", body=_URL64, least=20, source=_OPENAI),
    # Other services that speak OpenAI's protocol have keys of this form too.
    _token("OpenAI API key", "sk-or-v1-", "sk-", body=_ALNUM, least=20, source=_OPENAI),
    _token(
        "GitHub token",
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        body="[A-Za-z0-9_]",
        least=30,
        source="https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available/",
    ),
    _token(
        "GitLab token",
        *("glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-"),
        body="[A-Za-z0-9_.-]",
        least=20,
        source="https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    _token(
        "AWS access key",
        *("AKIA", "ASIA"),
        body="[A-Z0-9]",
        least=16,
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    _token(
        "Slack token",
        *("xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxr-", "xoxs-", "xoxe.xoxb-", "xoxe.xoxp-", "xapp-"),
        body="[A-Za-z0-9-]",
        least=10,
        source="https://api.slack.com/concepts/token-types",
    ),
    _token(
        "NVIDIA API key",
        "nvapi-",
        body=_URL64,
        least=20,
        source="https://docs.nvidia.com/ngc/ngc-overview/index.html",
    ),
    _token(
        "Google API key",
        "AIza",
        body=_URL64,
        least=35,
        source="https://cloud.google.com/docs/authentication/api-keys",
    ),
    _token(
        "npm token",
        "npm_",
        body=_ALNUM,
        least=36,
        source="https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/",
    ),
    _token(
        "Docker Hub token",
        *("dckr_pat_", "dckr_oat_"),
        body=_URL64,
        least=20,
        source="https://docs.docker.com/security/access-tokens/",
    ),
    Form(
        kind="JSON Web Token",
        prefixes=("eyJ",),
        # Header and claims are JSON objects in base64url, and so both begin with `{"`.
        body=rf"{_URL64}{{10,}}\.eyJ{_URL64}{{10,}}\.{_URL64}{{10,}}",
        cut=rf"{_URL64}{{10,}}(?:\.{_URL64}{{0,1000}}){{0,2}}",
        source="https://www.rfc-editor.org/rfc/rfc7519",
    ),
    Form(
        kind="private key",
        prefixes=("-----BEGIN ",),
        # Where its end is missing: as much as can belong to it.
        body=rf"{_PRIVATE_KEY}(?:(?:[^-]|-(?!----BEGIN )){{0,16000}}?-----END {_PRIVATE_KEY}"
        rf"|(?:{_BASE64}|[=\\]|\s(?={_BASE64}{{20}}))*)",
        source="https://www.rfc-editor.org/rfc/rfc7468",
        word=False,
    ),
    Form(
        kind="password in a URL",
        prefixes=("://",),
        # A variable or a placeholder in its place is no secret.
        body=r"[^/\s:@\"'`]{0,100}:(?![$<{*])[^/\s@\"'`]{1,200}(?=@)",
        source="https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
        word=False,
    ),
)

# Escapes are how JSON and messages show what stands before a word.
_WORD = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
_MIXED = rf"(?={_BASE64}{{0,100}}[0-9])(?={_BASE64}{{0,100}}[A-Z])(?={_BASE64}{{0,100}}[a-z])"


def find(text: str) -> tuple[Token, ...]:
    """The secrets in a text, in its order."""
    return _search(text, parts=False)


def mask(text: str) -> str:
    """The text with asterisks in place of every secret, and of what a shortened message or one line shows of it."""
    return masked(text, 0, 0)[0]


def mask_data(data: Any) -> Any:
    """JSON data with every text in it masked, keys too."""
    if isinstance(data, dict):
        return {mask(key): mask_data(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [mask_data(value) for value in data]
    return mask(data) if isinstance(data, str) else data


def masked(text: str, start: int, end: int) -> tuple[str, int, int]:
    """The masked text, and where ``text[start:end]`` is in it."""
    pieces, copied = [], 0
    moved = [start, end]
    for token in _search(text, parts=True):
        hidden = token.start + token.visible
        pieces += [text[copied:hidden], MASK]
        copied = token.end
        for index, place in enumerate((start, end)):
            if place >= token.end:
                moved[index] += len(MASK) - (token.end - hidden)
            elif place > hidden:
                # Inside: a span begins where the asterisks begin, and ends where they end.
                moved[index] += hidden + len(MASK) * index - place
    return "".join((*pieces, text[copied:])), moved[0], moved[1]


@lru_cache(1024)
def _search(text: str, *, parts: bool) -> tuple[Token, ...]:
    # Cached, because reports repeat texts. Most hold no prefix; then no pattern is compiled: all of them take 50 ms.
    patterns = [_pattern(form, parts) for form in FORMS if any(prefix in text for prefix in form.prefixes)]
    found = [token for form, pattern in patterns for token in _tokens(form.kind, pattern, text)]
    if parts:
        found += _tokens("private key", _key_lines(), text)
    return tuple(_outermost(found))


def _tokens(kind: str, pattern: re.Pattern[str], text: str) -> Iterator[Token]:
    for match in pattern.finditer(text):
        yield Token(kind=kind, start=match.start(), end=match.end(), visible=len(match["prefix"]))


def _outermost(tokens: list[Token]) -> Iterator[Token]:
    """The tokens without those inside others; of two that overlap, the second is what sticks out."""
    end = 0
    for token in sorted(tokens, key=lambda token: (token.start, -token.end)):
        if token.start >= end:
            yield token
        elif token.end > end:
            yield Token(kind=token.kind, start=end, end=token.end, visible=0)
        end = max(end, token.end)


@cache
def _pattern(form: Form, parts: bool) -> tuple[Form, re.Pattern[str]]:
    prefix = "|".join(map(re.escape, form.prefixes))
    body = rf"(?:{form.body}|{form.cut}(?=\.\.\.))" if parts and form.cut else form.body
    return form, re.compile(f"{_WORD if form.word else ''}(?P<prefix>{prefix}){body}")


@cache
def _key_lines() -> re.Pattern[str]:
    """Lines of a private key without its first: whole, or shortened in a message."""
    whole = rf"^[^\S\n]*{_MIXED}{_BASE64}{{40,}}={{0,2}}[^\S\n]*$"
    return re.compile(rf"(?P<prefix>)(?:{whole}|(?<![\w+/]){_MIXED}{_BASE64}{{40,}}(?=\.\.\.))", re.MULTILINE)
