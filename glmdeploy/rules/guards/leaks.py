"""Rules about secrets that stand in a profile. No message here ever holds a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.findings import Remove, Severity, dotted
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.rule import Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import KeyPath
    from glmdeploy.rules.facts import Facts

_NO_SECRET = re.compile(
    r"\s*"
    r"|(?i:true|false|yes|no|on|off|y|n|0|1|none|null)"
    # A file that holds the secret, and a variable that stands for it.
    r"|(?:/|\./|\.\./|~|file:).*"
    r"|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?",
    re.DOTALL,
)

_PLACE = "put it into a Modal Secret, name that under `secrets`"


def _admin_key(facts: Facts) -> Iterator[Violation]:
    if key := facts.withheld.get("admin_api_key"):
        path = (*ARGS, key)
        yield Violation(
            path=path, secret=True, message=f"`{key}` has no place in a profile", edits=(Remove(path=path),)
        )


def _secret_value(facts: Facts) -> Iterator[Violation]:
    if key := facts.withheld.get("api_key"):
        path = (*ARGS, key)
        message = f"`{key}` puts the API key into the profile"
        yield Violation(path=path, secret=True, message=message, edits=(Remove(path=path),))
    texts = list(_texts(facts.profile.data(), ()))
    # Nearly every profile has none: one search of everything is much faster than a hundred.
    if not redaction.find("\n".join(text for _, text, _ in texts)):
        return
    for path, text, is_key in texts:
        found = redaction.find(text)
        if not found or path in _withheld(facts):
            continue
        kind = found[0].kind
        article = "an" if kind[0] in "AEIOU" else "a"
        where = (
            f"a key of `{redaction.mask(dotted(path[:-1]))}` is"
            if is_key
            else f"`{redaction.mask(dotted(path))}` holds"
        )
        yield Violation(path=path, key=is_key, secret=True, message=f"{where} {article} {kind}")


def _secret_name(facts: Facts) -> Iterator[Violation]:
    profile = facts.profile
    stages = {"download": profile.download.env, "sglang": profile.sglang.env, "server": profile.server.env}
    for stage, env in stages.items():
        for name, text in env.items():
            known = facts.catalog.env.get(name)
            if (known is None or known.type == "str") and _is_named_secret(name, text):
                yield Violation(
                    path=(stage, "env", name),
                    secret=True,
                    message=f"the variable `{name}` of `{stage}.env` has a secret's name, and its value stands here",
                )
    for setting in facts.settings.values():
        written = profile.sglang.args[setting.key]
        value = written if isinstance(written, dict | list) else setting.value
        for path, text, is_key in _texts(value, (*ARGS, setting.key)):
            if not is_key and _is_named_secret(str(path[-1]), text):
                yield Violation(
                    path=path,
                    secret=True,
                    message=f"`{path[-1]}` of `{dotted(path[:-1])}` has a secret's name, and its value stands here",
                )


def _is_named_secret(name: str, text: str) -> bool:
    # What is known by its form is GLM063's.
    return redaction.is_secret_name(name) and not _NO_SECRET.fullmatch(text) and not redaction.find(text)


def _withheld(facts: Facts) -> set[KeyPath]:
    return {(*ARGS, key) for key in facts.withheld.values()}


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str, bool]]:
    """Every text in the data with its path, and whether it is the path's last key."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), str(key), True
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


ADMIN_KEY = Rule(
    id="GLM062",
    title="admin API key in a profile",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="An admin key alone leaves SGLang's normal routes open, chat completions and /server_info among them, which "
    "shows the admin key to everyone (50 of 85 routes in 0.5.10 and 51 of 93 in 0.5.23, tried on the real "
    "middleware). Beside an API key /server_info hands the admin key to every client that has the API key. And a "
    "profile is no place for a secret: it is shown, compared and committed.",
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
    topic=Topic.SECURITY,
    why="A profile is shown in plans and differences and kept in version control; a secret in it is no secret any "
    "more. Modal Secrets hold them, and reach only the container that needs them. Found are the API key as an option, "
    "and whatever has the form of a well-known service's token, a private key, or a password in a URL, in any value "
    "or key.",
    fix=f"{_PLACE} (`secrets.huggingface` for a token of the Hugging Face Hub, `secrets.api_key` for the endpoint's "
    "own key), and replace the secret, which is known by now",
    sources=("https://modal.com/docs/guide/secrets",),
    check=_secret_value,
    fails=(
        example("sglang.args.api-key=not-a-real-key"),
        example(f"sglang.env.HF_TOKEN=hf_{'x' * 34}"),
        example(f"description=the token is hf_{'x' * 34}"),
        example("download.env.HTTPS_PROXY=http://user:not-a-real-password@proxy:3128"),
    ),
    passes=(
        example(),
        example("sglang.env.HF_TOKEN=$HF_TOKEN"),
        example("download.env.HTTPS_PROXY=http://proxy:3128"),
        example("description=tokens of the hub begin with hf_"),
    ),
    waivable=False,
)

SECRET_NAME = Rule(
    id="GLM079",
    title="value under a name that says secret",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="A variable or an option whose name ends in TOKEN, KEY, SECRET, PASSWORD or the like usually holds one, and a "
    "profile is shown in plans and differences and kept in version control. That is judged by the name alone: a value "
    "that is empty, a switch, a path or a variable is left alone, and so are SGLang's own variables that hold no "
    "text. A key that is no secret is a reason for a waiver.",
    fix=f"{_PLACE} (`secrets.huggingface` for HF_TOKEN, which the download stage alone gets), and replace the secret; "
    "or waive the rule with the reason why it is none",
    sources=(
        "https://modal.com/docs/guide/secrets",
        "https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables",
    ),
    check=_secret_name,
    fails=(
        example("download.env.HF_TOKEN=not-a-real-token"),
        example("server.env.AWS_SECRET_KEY=not-a-real-key"),
        example("sglang.args.ssl-keyfile-password=not-a-real-password"),
    ),
    passes=(
        example(),
        example("download.env.HF_TOKEN_PATH=/model-cache/token"),
        example("download.env.HF_HUB_DISABLE_IMPLICIT_TOKEN=1"),
        example("sglang.env.SGLANG_LOG_DECODE_GRAPH_KEY=2", profile="b200-eagle-bf16kv-0.5.23"),
        example("sglang.args.model-loader-extra-config={enable_multithread_load: true}"),
    ),
)

RULES = (ADMIN_KEY, SECRET_VALUE, SECRET_NAME)
