"""A plan in a file: made once, looked at by others, and then done exactly so, or not at all.

The file has the plan itself, with the commit that its revision meant; what it was made for; how the world looked
(:mod:`glmdeploy.operate.saved`); and what was shown. It has no secret's value: no plan has.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from glmdeploy import __version__
from glmdeploy.errors import DeployError, GlmdeployError
from glmdeploy.plan import source
from glmdeploy.plan.body import BodyError, body, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from glmdeploy.plan.plan import Plan

FORMAT = 1
LARGEST = 16 * 1024 * 1024
"""Bytes of a file that are read at most."""
OPTIONS = ("force", "adopt", "make_secrets", "verify_weights")
"""What the plan was made with, and is done with: keywords of :func:`glmdeploy.operate.preview.preview`."""
NOT_SAVED = "it was not saved by `glmdeploy plan --out`"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """``target`` is a name, and ``environment`` as for :func:`glmdeploy.operate.target.connect`."""

    plan: Plan
    target: str
    environment: str | None
    options: Mapping[str, bool]
    world: Mapping[str, Any]
    """What it was made against (:func:`glmdeploy.operate.saved.world`)."""
    shown: Mapping[str, Any]
    """What was shown of it (:func:`glmdeploy.report.plan_data.preview_data`)."""
    made_at: datetime
    release: str = __version__
    """Of the glmdeploy that made it."""

    @property
    def current(self) -> bool:
        """Whether its container side is this glmdeploy's: else this one cannot deploy it."""
        return self.plan.runtime == source.digest()


def save(path: Path, saved: Saved) -> None:
    """Write a plan to a file; one that holds an earlier plan is replaced, and no other.

    :raises GlmdeployError:
    """
    content: dict[str, Any] = {
        "saved_plan": FORMAT,
        "release": saved.release,
        "made_at": saved.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "target": saved.target,
        "environment": saved.environment,
        "options": dict(saved.options),
        "world": saved.world,
        "shown": saved.shown,
        "body": body(saved.plan),
    }
    content["sha256"] = digest(content)
    _may_be_written(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise GlmdeployError(f"cannot write {path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of everything else in the file: who looks at it sees what will be done."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _may_be_written(path: Path) -> None:
    try:
        if not path.exists() and not path.is_symlink():
            return
        load_saved(path)
    except DeployError:
        raise GlmdeployError(
            f"{path} is there, and no saved plan: it is not overwritten", advice="give another name, or remove it"
        ) from None
    except OSError as error:
        raise GlmdeployError(f"cannot write {path}: {error.strerror}") from None


def may_be_saved(path: Path) -> bool:
    """Whether a file may be a saved plan, and no profile: it has not a profile's name, and begins as JSON does."""
    if path.suffix in (".yaml", ".yml") or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def load_saved(path: Path) -> Saved:
    """The plan of a file.

    :raises DeployError: where it has none, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        return _saved(json.loads(content))
    except OSError as error:
        raise DeployError(f"cannot read {path}: {error.strerror or error}") from None
    except BodyError as fault:
        why = str(fault)
    except RecursionError:
        why = "it is nested too deeply"
    except json.JSONDecodeError:
        why = NOT_SAVED
    except KeyError as fault:
        why = f"it lacks {fault}"
    except (ValueError, TypeError, AttributeError) as fault:
        why = str(fault)
    raise DeployError(
        f"{path} is no plan that can be used: {why.splitlines()[0] if why else 'it is damaged'}",
        advice="`glmdeploy plan PROFILE --out FILE` saves one",
    )


def _saved(content: Any) -> Saved:
    if not isinstance(content, dict) or "saved_plan" not in content:
        raise ValueError(NOT_SAVED)
    if content["saved_plan"] != FORMAT:
        raise ValueError(f"its format is {content['saved_plan']!r}, and this glmdeploy reads {FORMAT}")
    text, target, environment = content["body"], content["target"], content["environment"]
    if not isinstance(text, str) or digest(content) != content["sha256"]:
        raise ValueError("it was changed since it was saved")
    if target not in ("modal", "local") or not isinstance(environment, str | None):
        raise ValueError("its target is not known")
    options = {name: content["options"][name] for name in OPTIONS}
    if not all(isinstance(value, bool) for value in options.values()):
        raise ValueError("its options are not understood")
    if not isinstance(content["world"], dict) or not isinstance(content["shown"], dict):
        raise ValueError("it is damaged")
    made_at = datetime.fromisoformat(content["made_at"])
    return Saved(
        plan=read_body(text),
        target=target,
        environment=environment,
        options=options,
        made_at=made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC),
        release=str(content["release"]),
        world=content["world"],
        shown=content["shown"],
    )
