"""Every expected failure of glmdeploy, with its exit code.

Exit codes (documented in the README): 0 success, 1 a problem with the profile or at run time,
2 wrong usage (``diff`` uses 1 for "different" and 2 for trouble), 130 Ctrl-C.

One place (``cli.main``) catches :class:`GlmdeployError`; anything else that reaches it is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Finding


class GlmdeployError(Exception):
    """A failure that the user can act on.

    ``message`` says what is wrong in one sentence; ``advice`` says what to do, and may span lines.
    """

    exit_code = 1

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class UsageError(GlmdeployError):
    """The command line itself is wrong."""

    exit_code = 2


class ProfileError(GlmdeployError):
    """A profile that cannot be used; carries one :class:`Finding` per fault, each with its position."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        count = len(self.findings)
        super().__init__(self.findings[0].message if count == 1 else f"{count} problems in the profile")


class DeployError(GlmdeployError):
    """Modal, or the embedded cloud, refused or failed something."""


class LocalCloudError(GlmdeployError):
    """The embedded cloud could not be started, reached or stopped."""


class SdkError(GlmdeployError):
    """The installed Modal SDK is one that glmdeploy cannot work with."""
