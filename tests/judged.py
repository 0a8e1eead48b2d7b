"""What the tests of guards share: what the rules find in a profile that ships with some values set, or in any data."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from support import examples

from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from glmdeploy.findings import Finding
    from glmdeploy.profile.section import Section
    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.facts import Facts

TODAY = date(2026, 11, 23)

few = settings(max_examples=examples(60), deadline=None)

MINIMAL = """\
# pinned
schema: 1
name: small
app: small
gpu: B200:8
model: {repo: zai-org/GLM-5.1-FP8, served_name: glm}
volumes: {weights: {name: w, mount: /w}}
server: {public: true}
sglang:
  version: "0.5.11"   # quoted
  image: "lmsysorg/sglang:v0.5.11-cu130"
"""
"""A profile with nothing that is not needed."""


def checked(*sets: str, profile: str = "b200-eagle-bf16kv") -> Checked:
    return check(load(profile, sets=sets), today=TODAY)


def facts_of(*sets: str, profile: str = "b200-eagle-bf16kv") -> Facts:
    facts = checked(*sets, profile=profile).facts
    assert facts is not None
    return facts


def changed(section: Section, **fields: Any) -> Any:
    """A section of a profile with some fields of other values."""
    return type(section)(**{name: value for name, value in section} | fields)  # noqa: C416 - it may have `keys`


def messages(rule: str, *sets: str, profile: str = "b200-eagle-bf16kv") -> list[str]:
    return [found.message for found in checked(*sets, profile=profile).findings if found.id == rule]


def generated(args: dict[str, Any], *, version: str = "0.5.11", gpu: str = "B200:8", **parts: Any) -> dict[str, Any]:
    """The data of a small profile with these options."""
    release = {"version": version, "image": f"lmsysorg/sglang:v{version}", "args": args}
    return {
        "schema": 1,
        "name": "generated",
        "app": "generated",
        "model": {"repo": "zai-org/GLM-5.1-FP8", "served_name": "glm"},
        "gpu": gpu,
        "volumes": {"weights": {"name": "weights", "mount": "/model-cache"}},
        "secrets": {"api_key": {"name": "key", "keys": ["API_KEY"]}},
        "sglang": {**release, **parts.pop("sglang", {})},
        **parts,
    }


def found_in(data: dict[str, Any]) -> list[Finding]:
    """What the rules find in the data, which has no other fault."""
    findings = check(read_text(json.dumps(data), "generated.json")).findings
    assert not {finding.id for finding in findings} & {"yaml", "schema", "sglang"}, findings
    return list(findings)


def ids(data: dict[str, Any]) -> set[str]:
    return {finding.id for finding in found_in(data)}
