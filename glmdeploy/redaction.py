"""What a secret is called, what it looks like, and the one way in which it is hidden.

:func:`is_secret_name` knows the names, :func:`find` the forms: tokens of well-known services, private keys, passwords
in URLs. :func:`mask` hides what has such a form; whatever is reported goes through it, so that a secret in a profile is
not copied into terminals, logs and code-scanning services.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from glmdeploy.runtime.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from glmdeploy.findings import Finding, Location

MASK = "***"
"""What a secret is shown as, after the prefix that says what it is."""

NAMES = "token|key|apikey|secret|password|passwd|passphrase|credentials?|auth"
"""The last word of a name that says "secret", as a regular expression: of ``HF_TOKEN``, ``ssl-keyfile-password``."""

_NAME = re.compile(
    rf"(?i:(?:^|[_.-])(?:{NAMES})$)|[a-z0-9](?:{'|'.join(word.capitalize() for word in NAMES.split('|'))})$"
)


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
class Leak:
    """A secret in a text: ``text[start:end]``. Its first ``visible`` characters are the prefix, which is no secret."""

    kind: str
    start: int
    end: int
    visible: int


def _form(kind: str, *prefixes: str, body: str, least: int, source: str) -> Form:
    return Form(kind=kind, prefixes=prefixes, body=f"{body}{{{least},}}", cut=f"{body}{{4,}}", source=source)


_ALNUM, _URL64, _BASE64 = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[A-Za-z0-9+/]"
_OPENAI = "https://platform.openai.com/docs/api-reference/authentication"
_PRIVATE_KEY = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

# A repetition that can fail late is bounded, so that no text makes the search slow.
FORMS = (
    _form(
        "Hugging Face token",
        *("hf_", "api_org_"),
        body=_ALNUM,
        least=30,
        source="https://huggingface.co/docs/hub/security-tokens",
    ),
    _form(
        "Modal token",
        *("ak-", "as-"),
        body=_ALNUM,
        least=20,
        source="modal/_workspace.py (modal 1.6.4)",
    ),
    _form(
        "Modal proxy token",
        *("wk-", "ws-"),
        body=_ALNUM,
        least=20,
        source="https://modal.com/docs/guide/webhook-proxy-auth",
    ),
    _form(
        "Anthropic API key",
        "sk-ant-",
        body=_URL64,
        least=20,
        source="https://docs.claude.com/en/api/overview",
    ),
    _form("OpenAI API key", "sk-proj-", "sk-svcacct-", "sk-admin-", body=_URL64, least=20, source=_OPENAI),
    # Other services that speak OpenAI's protocol have keys of this form too.
    _form("OpenAI API key", "sk-or-v1-", "sk-", body=_ALNUM, least=20, source=_OPENAI),
    _form(
        "GitHub token",
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        body="[A-Za-z0-9_]",
        least=30,
        source="https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available/",
    ),
    _form(
        "GitLab token",
        *("glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-"),
        body="[A-Za-z0-9_.-]",
        least=20,
        source="https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    _form(
        "AWS access key",
        *("AKIA", "ASIA"),
        body="[A-Z0-9]",
        least=16,
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    _form(
        "Slack token",
        *("xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxr-", "xoxs-", "xoxe.xoxb-", "xoxe.xoxp-", "xapp-"),
        body="[A-Za-z0-9-]",
        least=10,
        source="https://api.slack.com/concepts/token-types",
    ),
    _form(
        "NVIDIA API key",
        "nvapi-",
        body=_URL64,
        least=20,
        source="https://docs.nvidia.com/ngc/ngc-overview/index.html",
    ),
    _form(
        "Google API key",
        "AIza",
        body=_URL64,
        least=35,
        source="https://cloud.google.com/docs/authentication/api-keys",
    ),
    _form(
        "npm token",
        "npm_",
        body=_ALNUM,
        least=36,
        source="https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/",
    ),
    _form(
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

_COLORS = "|".join(rf"(?<=\x1b\[[0-9;]{{{length}}}m)" for length in range(1, 17))
# Escapes are how JSON and messages show what stands before a word, and how a terminal is told its color.
_WORD = rf"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\x[0-9a-f]{{2}})|(?<=\\u[0-9a-f]{{4}})|{_COLORS})"
_MIXED = rf"(?={_BASE64}{{0,100}}[0-9])(?={_BASE64}{{0,100}}[A-Z])(?={_BASE64}{{0,100}}[a-z])"


def is_secret_name(name: str) -> bool:
    """Whether the name of a variable or an option says that its value is a secret: ``accessKey``, not ``monkey``."""
    return _NAME.search(name) is not None


def find(text: str) -> tuple[Leak, ...]:
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
    hidden = [(leak.start + leak.visible, leak.end) for leak in _search(text, parts=True)]
    return replaced(text, hidden, start, end)


def replaced(text: str, hidden: Sequence[tuple[int, int]], start: int, end: int) -> tuple[str, int, int]:
    """The text with asterisks for the spans ``hidden``, and where ``text[start:end]`` is in it.

    The spans stand in their order and do not overlap.
    """
    pieces, copied = [], 0
    moved = [start, end]
    for first, last in hidden:
        pieces += [text[copied:first], MASK]
        copied = last
        for index, place in enumerate((start, end)):
            if place >= last:
                moved[index] += len(MASK) - (last - first)
            elif place > first:
                # Inside: a span begins where the asterisks begin, and ends where they end.
                moved[index] += first + len(MASK) * index - place
    return "".join((*pieces, text[copied:])), moved[0], moved[1]


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in their order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first < found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def hide(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with every value that one of them calls a secret masked, in whichever finding's line it stands."""
    secrets: dict[tuple[str, int, str], list[tuple[int, int]]] = defaultdict(list)
    for found in findings:
        if found.secret:
            secrets[_line(found.location)].append(_span(found.location))
    return [
        replace(found, location=_without(found.location, secrets[line]))
        if (line := _line(found.location)) in secrets
        else found
        for found in findings
    ]


def _line(place: Location) -> tuple[str, int, str]:
    # All values of the command line have the same file and line.
    return place.file, place.line, place.text


def _span(place: Location) -> tuple[int, int]:
    return place.column - 1, place.column - 1 + place.length


def _without(place: Location, secrets: Iterable[tuple[int, int]]) -> Location:
    text, start, end = replaced(place.text, joined(secrets), *_span(place))
    return replace(place, text=text, column=start + 1, length=max(end - start, 1))


class Redactor:
    """Replaces known secret values, in whatever spelling, except those so short that they would match ordinary text."""

    def __init__(self, values: Iterable[str]) -> None:
        self._mask = Mask(values)
        self.longest = self._mask.longest
        """Bytes of the longest spelling."""

    def __call__(self, text: str) -> str:
        return self._mask(text)


@lru_cache(1024)
def _search(text: str, *, parts: bool) -> tuple[Leak, ...]:
    # Cached, because reports repeat texts. Most hold no prefix; then no pattern is compiled: all of them take 50 ms.
    patterns = [_pattern(form, parts) for form in FORMS if any(prefix in text for prefix in form.prefixes)]
    found = [leak for form, pattern in patterns for leak in _leaks(form.kind, pattern, text)]
    if parts:
        found += _leaks("private key", _key_lines(), text)
    return tuple(_outermost(found))


def _leaks(kind: str, pattern: re.Pattern[str], text: str) -> Iterator[Leak]:
    for match in pattern.finditer(text):
        yield Leak(kind=kind, start=match.start(), end=match.end(), visible=len(match["prefix"]))


def _outermost(leaks: list[Leak]) -> Iterator[Leak]:
    """The leaks without those inside others; of two that overlap, the second is what sticks out."""
    end = 0
    for leak in sorted(leaks, key=lambda leak: (leak.start, -leak.end)):
        if leak.start >= end:
            yield leak
        elif leak.end > end:
            yield Leak(kind=leak.kind, start=end, end=leak.end, visible=0)
        end = max(end, leak.end)


@cache
def _pattern(form: Form, parts: bool) -> tuple[Form, re.Pattern[str]]:
    prefix = "|".join(map(re.escape, form.prefixes))
    body = rf"(?:{form.body}|{form.cut}(?=\.\.\.))" if parts and form.cut else form.body
    # The prefix is looked for first: what stands before it takes longer to tell.
    return form, re.compile(f"(?={prefix}){_WORD if form.word else ''}(?P<prefix>{prefix}){body}")


@cache
def _key_lines() -> re.Pattern[str]:
    """Lines of a private key without its first: whole, or shortened in a message."""
    whole = rf"^[^\S\n]*{_MIXED}{_BASE64}{{40,}}={{0,2}}[^\S\n]*$"
    return re.compile(rf"(?P<prefix>)(?:{whole}|(?<![\w+/]){_MIXED}{_BASE64}{{40,}}(?=\.\.\.))", re.MULTILINE)
