"""Findings as JSON data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.report.view import clean, view

if TYPE_CHECKING:
    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Judged, Run


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding as JSON data; keys without a value are left out."""
    seen = view(finding)
    data = {
        "id": seen.id,
        "severity": str(seen.severity),
        "message": seen.message,
        "file": seen.file,
        "line": seen.line,
        "column": seen.column,
        "path": seen.path,
        "expected": seen.expected,
        "fix": seen.fix,
        "fixable": seen.fixable or None,
        "links": list(seen.links),
        "waived": seen.waived,
    }
    return {key: value for key, value in data.items() if value not in (None, [], "")}


def run_data(run: Run) -> dict[str, Any]:
    """Everything that ``validate`` found. ``valid`` says whether a profile can be deployed, whatever was selected."""
    return {"ok": not run.failed, "profiles": [_profile_data(judged) for judged in run.profiles]}


def _profile_data(judged: Judged) -> dict[str, Any]:
    return {
        "profile": clean(judged.profile),
        "valid": judged.digest is not None,
        "digest": judged.digest,
        "findings": [finding_data(finding) for finding in judged.findings],
    }
