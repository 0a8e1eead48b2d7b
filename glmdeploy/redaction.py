"""What a secret is called, what it looks like, and the one way in which it is hidden.

:func:`is_secret_name` knows the names, :func:`find` the forms: tokens of well-known services, private keys, passwords
in URLs. :func:`mask` hides what has such a form; whatever is reported goes through it, so that a secret in a profile is
not copied into terminals, logs and code-scanning services.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record
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


@record
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


@record
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
        body=r"[^/\s:@\"'`]{0,100}:(?![$<{*])[^/\s\"'`]{1,200}(?=@)",
        cut=r"[^/\s:@\"'`]{0,100}:(?![$<{*])[^/\s@\"'`]{1,200}?",
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
    """The findings without what one of them calls a secret, or its line shows to be one.

    Masked is the value where it stands, in whichever finding's line, and every part of it in their words: a rule that
    takes an image's name apart tells of ``https://me:PASSWORD@host`` nothing but the password.
    """
    secrets: dict[tuple[str, int, str], list[tuple[int, int]]] = defaultdict(list)
    known: set[str] = set()
    for found in findings:
        known.update(_parts(found.location.text))
        if found.secret:
            secrets[_line(found.location)].append(_span(found.location))
            first, last = _span(found.location)
            known.add(found.location.text[first:last].strip("\"' "))
    shown = [
        replace(found, location=_without(found.location, secrets[line]))
        if (line := _line(found.location)) in secrets
        else found
        for found in findings
    ]
    words = sorted((each for each in known if len(each) >= _LEAST), key=len, reverse=True)
    return [_unspoken(found, words) for found in shown] if words else shown


_LEAST = 4
"""Characters from which on a part of a secret is looked for in the words of findings."""


def _parts(text: str) -> Iterator[str]:
    """The secrets in a line, and of the one in a URL what stands on either side of a colon."""
    for leak in _search(text, parts=True):
        body = text[leak.start + leak.visible : leak.end]
        yield body
        if leak.kind in _IN_URLS:
            yield from body.split(":")


def _unspoken(found: Finding, words: Sequence[str]) -> Finding:
    """The finding with the words hidden in what it says, whole, and where they are cut short by three dots."""

    def hidden(text: str) -> str:
        for each in words:
            cut = next((end for end in range(len(each), _LEAST - 1, -1) if f"{each[:end]}..." in text), 0)
            text = text.replace(f"{each[:cut]}...", f"{MASK}...") if cut else text
            text = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", MASK, text)
        return text

    expected, fix = (hidden(text) if text else text for text in (found.expected, found.fix))
    return replace(found, message=hidden(found.message), expected=expected, fix=fix)


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


_URL_PARTS = (
    # A slash in a password, which should have been encoded; and a token alone, but for users that everybody has.
    re.compile(r"(?P<prefix>://)[^/\s:@\"'`]{1,100}:(?![0-9]{1,5}/)(?![$<{*])[^\s@\"'`]{1,200}(?=@)"),
    re.compile(r"(?P<prefix>://)(?!(?:git|user|me|root|oauth2accesstoken|_json_key|AWS)@)[^/\s:@\"'`$<{*]{6,200}(?=@)"),
    re.compile(
        rf"(?P<prefix>[?&](?:[\w.-]{{0,40}}[_.-])?(?:{NAMES}|sig|signature|jwt|code)=)(?![$<{{*])[^&\s\"'`#]{{4,}}",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<prefix>\b(?:authorization|x-api-key)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?)"
        r"(?![$<{*\[])(?=[^\s\"'`]*[0-9=_-])[^\s\"'`]{6,}",
        re.IGNORECASE,
    ),
    # The same without the scheme, as an image is named; not its digest.
    re.compile(r"(?P<prefix>(?<![\w./@:-]))[\w.+-]{1,64}:(?!//)[^\s@/\"'`]{4,200}(?=@(?!sha256:)[A-Za-z0-9.-]+/)"),
    re.compile(
        rf"(?P<prefix>(?<![A-Za-z0-9])[A-Z0-9_]{{0,60}}(?:{NAMES.upper()})=)(?![$<{{*\[]|\S*\.\.\.)[^\s\"'`]{{4,}}"
    ),
    re.compile(r"(?P<prefix>\bBearer\s+)(?![$<{*\[])(?=[^\s\"'`]*[0-9])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
)
"""Secrets by what they stand in (RFC 3986, 3.2.1; RFC 6750): masked, but no finding, for it may be an example's."""
_PLACES = re.compile(r"://|[?&]|[A-Z]=|@|authorization|x-api-key|bearer", re.IGNORECASE)
_IN_URL = "secret in a URL or a header"
_IN_URLS = ("password in a URL", _IN_URL)


@lru_cache(1024)
def _search(text: str, *, parts: bool) -> tuple[Leak, ...]:
    # Cached, because reports repeat texts. Most hold no prefix; then no pattern is compiled: all of them take 50 ms.
    patterns = [_pattern(form, parts) for form in FORMS if any(prefix in text for prefix in form.prefixes)]
    found = [leak for form, pattern in patterns for leak in _leaks(form.kind, pattern, text)]
    if parts:
        found += _leaks("private key", _key_lines(), text)
        if _PLACES.search(text):
            # What has a form of its own shows its prefix.
            begun = {leak.start for leak in found}
            beside = (leak for pattern in _URL_PARTS for leak in _leaks(_IN_URL, pattern, text))
            found += [leak for leak in beside if leak.start + leak.visible not in begun]
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
