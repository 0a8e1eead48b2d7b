"""What a launch says nothing of and a deployment needs: time limits, and the stage that compiles kernels beforehand.

The guard rules know what is needed; where one objects to a default, and nothing in the text decided it, the profile
gets what the rule asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch.environment import KERNELS
from glmdeploy.findings import SetValue, Severity
from glmdeploy.profile import durations

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.sections import Sections
    from glmdeploy.findings import Finding, KeyPath
    from glmdeploy.rules.check import Checked

NOT_COMPILED = "GLM017"
"""The rule that asks for a stage ``compile``."""

COMPILE_TIMEOUT = 3600
KERNELS_MOUNT = "/kernels"

_OURS: tuple[KeyPath, ...] = (
    ("server", "startup_timeout"),
    ("server", "timeout"),
    ("download", "timeout"),
    ("compile", "timeout"),
)
"""Modal's limits, of which no launch says anything, are what may be decided; SGLang's options stay the launch's."""

_CACHES = (KERNELS, "SGLANG_CACHE_DIR")


def completed(sections: Sections, checked: Checked, *, found_in: Span) -> bool:
    """Whether something was added for a finding; ``found_in`` is the place of the launch, where that is told."""
    for found in checked.findings:
        if found.id == NOT_COMPILED and "compile" not in sections.data and _is_open(sections):
            _compile(sections, found, found_in)
            return True
    # The stage changes what the others ask for.
    told = [found for found in checked.findings if found.severity is not Severity.INFO]
    return sum(_limit(sections, found, found_in) for found in told) > 0


def _is_open(sections: Sections) -> bool:
    """Whether the launch leaves open where kernels are kept; else a volume elsewhere would stay empty.

    Not so where several nodes serve: the stage is one container.
    """
    return "cluster" not in sections.data and not any(
        name in sections.data["sglang"].get("env", {}) for name in _CACHES
    )


def _compile(sections: Sections, found: Finding, span: Span) -> None:
    volumes = sections.data["volumes"]
    if "kernels" not in volumes:
        app, weights = sections.data["app"], volumes["weights"]["mount"]
        mount = KERNELS_MOUNT if not f"{weights}/".startswith(f"{KERNELS_MOUNT}/") else "/deep-gemm-kernels"
        volumes["kernels"] = {"name": f"{app[:55]}-kernels", "mount": mount}
    _put(sections, ("compile", "timeout"), COMPILE_TIMEOUT, found, span)
    sections.added[-1] = f"`compile` and `volumes.kernels`: {found.message}"


def _limit(sections: Sections, found: Finding, span: Span) -> bool:
    """Whether the finding is about a limit that the text does not set, and its edits do nothing but set limits."""
    edits = [each for each in found.edits if isinstance(each, SetValue) and each.path in _OURS]
    if not edits or len(edits) < len(found.edits) or not all(_may(each, sections) for each in edits):
        return False
    for each in edits:
        _put(sections, each.path, each.value, found, span)
    return True


def _may(edit: SetValue, sections: Sections) -> bool:
    """Whether the text does not decide it, and it grows: so that no two rules can raise and lower it in turn."""
    now: Any = sections.data
    for key in edit.path:
        now = now.get(key) if isinstance(now, dict) else None
    grows = now is None or (isinstance(now, int | float) and isinstance(edit.value, int | float) and edit.value > now)
    return edit.path not in sections.origins and grows


def _put(sections: Sections, path: KeyPath, value: Any, found: Finding, span: Span) -> None:
    sections.put(path, value)
    sections.order()
    name = ".".join(map(str, path))
    said = durations.describe(value)
    sections.added.append(f"`{name}` of {said}: {found.message}")
    sections.note(Severity.INFO, f"`{name}` was set to {said}, of which the launch says nothing: {found.message}", span)
