"""From a document to a Plan, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError
from glmdeploy.plan.make import make
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from datetime import date

    from glmdeploy.findings import Finding
    from glmdeploy.plan.plan import Plan
    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """All findings, and the plan when none of them is an error that still stands."""

    findings: tuple[Finding, ...]
    plan: Plan | None
    subject: Facts | None = None


def resolve(document: Document, *, today: date | None = None) -> Resolution:
    """Check the document from its shape to the guard rules, and plan it. ``today`` (UTC) decides about waivers."""
    checked = check(document, today=today)
    planned = None if checked.facts is None or checked.failed else make(checked.facts)
    return Resolution(findings=checked.findings, plan=planned, subject=checked.facts)


def plan_of(document: Document) -> tuple[Plan, tuple[Finding, ...]]:
    """The plan, and the findings that are no errors. Raises ProfileError with all findings when there is an error."""
    resolution = resolve(document)
    if resolution.plan is None:
        raise ProfileError(resolution.findings)
    return resolution.plan, resolution.findings
