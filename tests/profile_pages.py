"""docs/profile-reference.md, made from the models of a profile: every key with what it takes, and since when.

``tests/docs/since.json`` keeps in which release a key came: a new key gets the version of now when the page is made.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from glmdeploy import __version__
from glmdeploy.profile import schema, serving

SINCE = Path(__file__).parent / "docs" / "since.json"

HEAD = """<!-- Made by `python tests/doc_pages.py`: edit glmdeploy/profile, not this file. -->
# Profile reference

Every key of a profile of schema 1: what it takes, what holds where it is left out, an example, and the glmdeploy
release that had it first (0.1.0 was not published). [profiles.md](profiles.md) says how a profile is read and
combined, [first-profile.md](first-profile.md) how to get one. `glmdeploy schema` prints the same as a JSON Schema,
which editors read.

Keys in bold must be there. What may stand under `sglang.args` is what the pinned release takes: `glmdeploy catalog show
0.5.23 --all` lists it. `null` removes a key that another file has set. A duration is a number of seconds, or a
text such as `90s`, `15m` or `2h`.

"""

EXAMPLES: dict[str, Any] = {
    "schema": 1,
    "description": "GLM-5.1 for the support team",
    "tags": {"team": "support"},
    "model": {"repo": "zai-org/GLM-5.1-FP8", "served_name": "glm-5.1"},
    "cluster": {"nodes": 2},
    "cluster.rdma": False,
    "volumes.weights": {"name": "glm51-model-weights", "mount": "/model-cache"},
    "volumes.weights.version": 2,
    "volumes.weights.read_only": True,
    "volumes.kernels": {"name": "glm51-deepgemm-cache", "mount": "/dg-cache"},
    "volumes.kernels.version": 2,
    "volumes.further": [{"name": "adapters", "mount": "/adapters"}],
    "volumes.further[].version": 2,
    "volumes.further[].read_only": True,
    "volumes.further[].sub_path": "adapters/en",
    "secrets.huggingface": {"name": "huggingface-secret", "keys": ["HF_TOKEN"]},
    "secrets.api_key": {"name": "glm51-api-key", "keys": ["API_KEY"]},
    "secrets.proxy_token": {"name": "modal-proxy", "keys": ["MODAL_PROXY_KEY", "MODAL_PROXY_SECRET"]},
    "secrets.registry": {"name": "registry", "keys": ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"]},
    "secrets.further": [{"name": "tracing", "keys": ["OTEL_TOKEN"]}],
    "volumes": {"weights": {"name": "glm51-model-weights", "mount": "/model-cache"}},
    "secrets": {"api_key": {"name": "glm51-api-key", "keys": ["API_KEY"]}},
    "download": {"timeout": "2h"},
    "compile": {"timeout": "1h"},
    "server": {"max_containers": 3},
    "sglang": {"version": "0.5.11", "image": "lmsysorg/sglang:v0.5.11-cu130"},
    "sglang.image_steps": [{"pip": ["nvtx==0.2.13"]}],
    "sglang.env": {"SGLANG_ENABLE_SPEC_V2": 1},
    "keepalive": {"enabled": True},
    "keepalive.enabled": True,
    "keepalive.schedule": "*/10 9-18 * * 1-5",
    "keepalive.url": "https://llm.example.com",
    "workspace": {"max_gpus": 16},
    "workspace.max_gpus": 16,
    "waive": [{"rule": "GLM004", "reason": "measured on our traffic", "until": "2027-01-31"}],
    "waive[].reason": "measured on our traffic",
    "waive[].until": "2027-01-31",
    "server.kind": "server",
    "server.port": 8000,
    "server.public": True,
    "server.requires_proxy_auth": True,
    "server.min_containers": 1,
    "server.max_containers": 3,
    "server.buffer_containers": 1,
    "server.scaleup_window": "30s",
    "server.scaledown_window": "30m",
    "server.timeout": "1h",
    "server.startup_timeout": "30m",
    "server.exit_grace_period": "60s",
    "server.max_inputs": 40,
    "server.target_inputs": 20,
    "server.target_concurrency": 20,
    "server.max_concurrency": 64,
    "server.region": "us-east",
    "server.routing_region": "us-east",
    "server.ephemeral_disk": 524288,
    "server.label": "glm",
    "server.custom_domains": ["llm.example.com"],
    "server.env": {"NCCL_DEBUG": "WARN"},
    "server.cpu": [8, 16],
    "server.memory": 262144,
    "server.experimental_options": {"some_option": 1},
    "server.health": {"limit": 120, "timeout": 125},
    "server.health.interval": 5,
    "server.health.timeout": 65,
    "server.warmup": {"prompt_tokens": 32768, "batch": 16},
    "server.warmup.batch": 16,
    "server.warmup.output_tokens": 16,
    **{f"{stage}.env": {"HF_XET_HIGH_PERFORMANCE": "1"} for stage in ("download", "compile")},
    **{f"{stage}.timeout": "2h" for stage in ("download", "compile")},
    **{f"{stage}.cpu": 8 for stage in ("download", "compile")},
    **{f"{stage}.memory": 32768 for stage in ("download", "compile")},
    **{f"{stage}.ephemeral_disk": 524288 for stage in ("download", "compile")},
    **{f"{stage}.region": "us-east" for stage in ("download", "compile")},
    "download.retries": {"max_retries": 3},
    "download.retries.max_retries": 3,
    "download.retries.backoff_coefficient": 1,
    "download.retries.initial_delay": 10,
    "download.retries.max_delay": 60,
    "download.nonpreemptible": True,
}
"""Of keys for which the models have no example."""

WHOLE: dict[str, dict[str, Any]] = {
    "cluster": {"nodes": 2},
    "volumes.further[]": {"name": "adapters", "mount": "/adapters"},
    "secrets.further[]": {"name": "tracing", "keys": ["OTEL_TOKEN"]},
    "secrets.proxy_token": {"name": "modal-proxy", "keys": ["MODAL_PROXY_KEY", "MODAL_PROXY_SECRET"]},
    "secrets.registry": {"name": "registry", "keys": ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"]},
    "download.retries": {"max_retries": 3},
    "waive[]": {"rule": "GLM004", "reason": "measured on our traffic", "until": "2027-01-31"},
}
"""What a key stands beside where its section must be whole."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key, by its path: ``waive[].until`` is one of each item of a list."""

    path: str
    about: str
    takes: str
    left_out: str
    needed: bool
    example: Any
    kind: str | None = None
    """The one kind of server that takes it."""

    @property
    def section(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@cache
def _schema() -> dict[str, Any]:
    return schema.shape()


def listed() -> list[Key]:
    """Every key, section after section, in the order of the models."""
    return [*_keys(_schema(), "")]


def _keys(of: dict[str, Any], prefix: str) -> list[Key]:
    found, inner = [], []
    for name, given in of["properties"].items():
        path, part, many = f"{prefix}{name}", _followed(given), False
        if part.get("type") == "array" and "properties" in _followed(part.get("items", {})):
            part, many = _followed(part["items"]), True
        found.append(_key(path, given, part, many=many, needed=name in of.get("required", ())))
        if "properties" in part and path != "sglang.args":
            inner += _keys(part, f"{path}{'[]' if many else ''}.")
    return [*found, *inner]


def _followed(part: dict[str, Any]) -> dict[str, Any]:
    """The part itself: of a reference what it leads to, of a choice with nothing what is not nothing."""
    if "$ref" in part:
        return _followed(_schema()["$defs"][part["$ref"].rpartition("/")[2]])
    choices = [each for each in part.get("anyOf", ()) if each.get("type") != "null"]
    return _followed(choices[0]) if choices and ("$ref" in choices[0] or len(choices) == 1) else part


def _key(path: str, given: dict[str, Any], part: dict[str, Any], *, many: bool, needed: bool) -> Key:
    examples = given.get("examples") or part.get("examples") or []
    example = EXAMPLES[path] if path in EXAMPLES else examples[0] if examples else None
    about = given.get("description") or part.get("description") or ""
    return Key(
        path=path,
        about=" ".join(about.split()),
        takes="a list of mappings" if many else _takes(given, part),
        left_out="" if needed else _left_out(given, part),
        needed=needed,
        example=example,
        kind=_kind(path),
    )


def _takes(given: dict[str, Any], part: dict[str, Any]) -> str:
    if words := given.get("errorMessage") or part.get("errorMessage"):
        return str(words)
    kind = part.get("type")
    if "properties" in part:
        return "a mapping"
    if kind == "array":
        item = _followed(part["items"])
        return f"a list of which each is {_takes(item, item)}"
    return {"boolean": "true or false", "string": "a text", "integer": "an integer", "object": "a mapping"}[str(kind)]


def _left_out(given: dict[str, Any], part: dict[str, Any]) -> str:
    """The default in words; where nothing is a choice, the description says what it means."""
    value = given.get("default")
    if value is None:
        about = given.get("description") or part.get("description") or ""
        return "" if any(word in about for word in ("Left out:", "Without it", "Default:")) else "none"
    if value in ("", [], {}):
        return "none"
    return "its defaults" if "properties" in part else f"`{json.dumps(value)}`".replace('"', "")


def _kind(path: str) -> str | None:
    """The one kind of server that takes a key of the section ``server``, where not both do."""
    section, _, name = path.partition(".")
    return serving.of_one_kind().get(name) if section == "server" else None


def whole(key: Key) -> dict[str, Any]:
    """The example as a part of a profile, with what must stand beside it."""
    value: Any = {**WHOLE.get(key.section, {}), key.name: key.example} if key.section else key.example
    if not key.section:
        return {key.name: value}
    for name in reversed(key.section.split(".")):
        value = {name.removesuffix("[]"): [value] if name.endswith("[]") else value}
    if key.kind == serving.SERVER:
        value["server"] = {"kind": serving.SERVER, **value["server"]}
    return value  # type: ignore[no-any-return]


def since() -> dict[str, str]:
    """The release in which each key came, by its path."""
    known: dict[str, str] = json.loads(SINCE.read_text(encoding="utf-8")) if SINCE.exists() else {}
    return {key.path: known.get(key.path, __version__) for key in listed()} | known


def record() -> str:
    """The text of the file that keeps it."""
    return json.dumps(since(), indent=1, sort_keys=True) + "\n"


def page() -> str:
    """The text of docs/profile-reference.md."""
    came, parts = since(), [HEAD]
    sections: dict[str, list[Key]] = {}
    for key in listed():
        sections.setdefault(key.section, []).append(key)
    for section, of in sections.items():
        parts.append(f"## `{section}`\n\n" if section else "## The profile\n\n")
        parts.append("| key | what it is | takes | left out | example | since |\n|---|---|---|---|---|---|\n")
        for key in of:
            name = f"**`{key.name}`**" if key.needed else f"`{key.name}`"
            inner = next((each for each in (key.path, f"{key.path}[]") if each in sections), None)
            takes = f"[{key.takes}](#{re.sub(r'[^a-z0-9_]', '', inner)})" if inner else key.takes
            cells = (f'<a id="{key.path}"></a>{name}', key.about, takes, key.left_out, _inline(key), came[key.path])
            parts.append(f"| {' | '.join(_cell(each) for each in cells)} |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _inline(key: Key) -> str:
    return f"`{key.name}: {_flow(key.example)}`"


def _flow(value: Any) -> str:
    """The value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(each) for each in value)}]"
    if isinstance(value, str):
        quoted = value[:1] in "*0123456789" and not value[-1:].isalpha()
        return json.dumps(value, ensure_ascii=False) if quoted else value
    return json.dumps(value)
