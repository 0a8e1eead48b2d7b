"""Findings as SARIF 2.1.0, the format of code-scanning services: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.

What GitHub makes of it: https://docs.github.com/en/code-security/reference/code-scanning/sarif-support-for-code-scanning.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from glmdeploy import __version__, redaction
from glmdeploy.findings import CHECKS, Severity
from glmdeploy.report.rules import markdown_help
from glmdeploy.report.view import in_repository, root, uri, view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Replacement, Run
    from glmdeploy.report.view import View
    from glmdeploy.rules.rule import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_BASE = "%SRCROOT%"
_FINGERPRINT = "primaryLocationLineHash"
"""The one fingerprint that GitHub looks at."""


def log(run: Run, rules: Sequence[Rule]) -> dict[str, Any]:
    """The run as a SARIF log. ``rules`` are all rules, whether they found something or not.

    What several profiles have in common, through a file that they extend, is one result.
    """
    descriptors = [*map(_rule, rules), *(_check(name, about) for name, about in CHECKS.items())]
    index = {descriptor["id"]: position for position, descriptor in enumerate(descriptors)}
    unique: dict[str, dict[str, Any]] = {}
    for judged in run.profiles:
        for position, finding in enumerate(judged.findings):
            result = _result(finding, index[finding.id], judged.replacements.get(position))
            unique.setdefault(json.dumps(result), result)
    results = list(unique.values())
    _number(results)
    driver = {"name": "glmdeploy", "version": __version__, "rules": descriptors}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {_BASE: {"uri": f"{root().as_uri()}/"}},
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    links = [source for source in rule.sources if source.startswith("https://")]
    return {
        "id": rule.id,
        "name": _pascal(rule.title),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why}\n\nFix: {rule.fix}.", "markdown": markdown_help(rule)},
        **({"helpUri": links[0]} if links else {}),
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [word.replace(" ", "-") for word in rule.topic.split(" and ")]},
    }


def _check(name: str, about: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": _pascal(name),
        "shortDescription": {"text": about},
        "fullDescription": {"text": f"What comes before the guard rules found {about}."},
        "help": {"text": f"A finding of this check says what is expected or how to mend it: {about}."},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["profile"]},
    }


def _pascal(text: str) -> str:
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", text))


def _result(finding: Finding, index: int, change: Replacement | None) -> dict[str, Any]:
    seen = view(finding)
    text = [seen.message, seen.expected and f"Expected: {seen.expected}", seen.fix and f"Fix: {seen.fix}"]
    result = {
        "ruleId": seen.id,
        "ruleIndex": index,
        "level": _LEVELS[seen.severity],
        "message": {"text": "\n".join(filter(None, text))},
        "locations": [_location(finding, seen)],
        "partialFingerprints": {_FINGERPRINT: _fingerprint(seen)},
        "suppressions": [{"kind": "inSource", "justification": seen.waived}] if seen.waived is not None else [],
    }
    return result | ({"fixes": [_fix(seen, change)]} if change and not redaction.find(change.text) else {})


def _location(finding: Finding, seen: View) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if seen.path:
        location["logicalLocations"] = [{"fullyQualifiedName": seen.path}]
    if not seen.file:
        return location
    region: dict[str, Any] = {"startLine": seen.line}
    physical = {"artifactLocation": _artifact(finding.location.file), "region": region}
    if seen.text:
        part = seen.text[seen.start : seen.end]
        region |= {"startColumn": seen.column, "endColumn": seen.column + seen.length, "snippet": {"text": part}}
        physical["contextRegion"] = {"startLine": seen.line, "snippet": {"text": seen.text}}
    return location | {"physicalLocation": physical}


def _artifact(file: str) -> dict[str, str]:
    base = {"uriBaseId": _BASE} if in_repository(file) is not None else {}
    return {"uri": uri(file), **base}


def _fix(seen: View, change: Replacement) -> dict[str, Any]:
    region = {
        "startLine": change.start_line,
        "startColumn": change.start_column,
        "endLine": change.end_line,
        "endColumn": change.end_column,
    }
    replaced = {"deletedRegion": region, "insertedContent": {"text": change.text}}
    return {
        "description": {"text": seen.fix or "what `glmdeploy validate --fix` does"},
        "artifactChanges": [{"artifactLocation": _artifact(change.file), "replacements": [replaced]}],
    }


def _fingerprint(seen: View) -> str:
    """A hash of what stays when lines move: the rule and the path of the value, or the line where there is no path."""
    words = (seen.id, seen.path or seen.text.strip() or seen.message)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _number(results: Sequence[dict[str, Any]]) -> None:
    """Tell results with the same hash apart, by their order: ``HASH:1``, ``HASH:2``."""
    seen = Counter[tuple[str, str]]()
    for result in results:
        fingerprints = result["partialFingerprints"]
        key = (
            str(result["locations"][0].get("physicalLocation", {}).get("artifactLocation")),
            fingerprints[_FINGERPRINT],
        )
        seen[key] += 1
        fingerprints[_FINGERPRINT] += f":{seen[key]}"
