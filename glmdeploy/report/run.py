"""One run of ``validate``: what the formats that describe a whole run start from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.report.replacement import Replacement


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One profile as the user named it, with the findings to report.

    ``digest`` is its plan's, None where there is no plan because of an error. ``replacements`` has, by the index of a
    finding, what the text of its file becomes with the finding's edits made, where they can be made.
    """

    profile: str
    findings: tuple[Finding, ...]
    digest: str | None = None
    replacements: Mapping[int, Replacement] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """All profiles of one call; with ``strict``, warnings fail too. Remarks never do."""

    profiles: tuple[Judged, ...]
    strict: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for judged in self.profiles for finding in judged.findings)

    @property
    def failed(self) -> bool:
        return any(map(self.fails, self.findings))

    def fails(self, finding: Finding) -> bool:
        """Whether the finding is a reason for exit code 1."""
        failing = (Severity.ERROR, Severity.WARNING) if self.strict else (Severity.ERROR,)
        return finding.severity in failing and finding.waived is None
