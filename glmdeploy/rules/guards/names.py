"""Rules about names and places that Modal, or glmdeploy in the container, keeps for itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, Severity
from glmdeploy.resources import DIGEST_TAG, PROFILE_TAG, VERSION_TAG
from glmdeploy.rules.rule import Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import KeyPath
    from glmdeploy.rules.facts import Facts

_APP_ID = re.compile(r"ap-[a-zA-Z0-9]{22}")

MODAL_MOUNTS = ("/root", "/tmp")
"""Where Modal mounts no volume (modal 1.6.4, ``modal/_utils/mount_utils.py``); the schema already refuses ``/``."""

OWN_FOLDER = "/root/glmdeploy"
"""Where the container's own files are mounted (``glmdeploy/app/build.py``)."""

MODAL_VARIABLES = frozenset(
    (
        *("MODAL_CLOUD_PROVIDER", "MODAL_ENVIRONMENT", "MODAL_IDENTITY_TOKEN", "MODAL_IMAGE_ID"),
        *("MODAL_IS_REMOTE", "MODAL_REGION", "MODAL_TASK_ID"),
    )
)
"""Variables that Modal sets in a container (https://modal.com/docs/guide/environment_variables)."""

OWN_VARIABLES = frozenset(("GLMDEPLOY_LOCAL_ROOT", "GLMDEPLOY_LOCAL_PORT"))
"""Variables that the embedded cloud sets: they move a container's paths and port (``glmdeploy/runtime/hosting.py``)."""

OWN_TAGS = frozenset((DIGEST_TAG, PROFILE_TAG, VERSION_TAG))


def _taken(facts: Facts) -> Iterator[Violation]:
    yield from _names(facts)
    yield from _mounts(facts)
    for stage, env in (("download", facts.profile.download.env), ("sglang", facts.profile.sglang.env)):
        for name in env:
            if owner := "Modal" if name in MODAL_VARIABLES else "glmdeploy" if name in OWN_VARIABLES else None:
                yield _reserved((stage, "env", name), f"the variable `{name}` is {owner}'s own in a container")
    for tag in facts.profile.tags:
        if tag in OWN_TAGS:
            yield _reserved(("tags", tag), f"glmdeploy itself sets the tag `{tag}`")


def _names(facts: Facts) -> Iterator[Violation]:
    named: dict[KeyPath, str] = {("app",): facts.profile.app}
    named |= {(*path, "name"): volume.name for path, volume in facts.volumes.items()}
    named |= {(*path, "name"): secret.name for path, secret in facts.secrets.items()}
    for path, name in named.items():
        if _APP_ID.fullmatch(name):
            kind = {"volumes": "a volume", "secrets": "a secret"}.get(str(path[0]), "an app")
            yield Violation(path=path, message=f"Modal takes the name {name} for the id of an app, not for {kind}")


def _mounts(facts: Facts) -> Iterator[Violation]:
    for place, volume in facts.volumes.items():
        path = (*place, "mount")
        if volume.mount in MODAL_MOUNTS:
            yield Violation(path=path, message=f"Modal mounts no volume at {volume.mount}")
        elif f"{volume.mount}/".startswith(f"{OWN_FOLDER}/"):
            yield Violation(path=path, message=f"glmdeploy's own files are at {OWN_FOLDER} in the container")


def _reserved(path: KeyPath, message: str) -> Violation:
    return Violation(path=path, key=True, message=message, edits=(Remove(path=path),))


TAKEN = Rule(
    id="GLM078",
    title="name or place that is taken",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="Modal refuses a name that looks like the id of an app (`ap-` and 22 letters or digits) for an app or a "
    "volume at deployment, and for a secret when that is made; it mounts no volume at /root or /tmp; and the "
    "variables that its runtime sets cannot be overridden. The container's side of glmdeploy lies below /root too, "
    "learns from two variables that it runs in the embedded cloud, where paths and port are others, and knows its "
    "deployments by three tags of the app, which it sets last.",
    fix="choose another name or mount; remove the variable or the tag",
    sources=(
        "modal/_utils/name_utils.py (1.6.4)",
        "modal/_utils/mount_utils.py (1.6.4)",
        "https://modal.com/docs/guide/environment_variables",
        "glmdeploy/runtime/hosting.py",
    ),
    check=_taken,
    fails=(
        example("app=ap-0123456789abcdefABCDEF"),
        example("volumes.weights.name=ap-0123456789abcdefABCDEF"),
        example("secrets.api_key.name=ap-0123456789abcdefABCDEF"),
        example("volumes.kernels.mount=/tmp", "sglang.env.SGLANG_DG_CACHE_DIR=/tmp"),
        example("volumes.weights.mount=/root"),
        example("volumes.weights.mount=/root/glmdeploy/weights"),
        example("sglang.env.MODAL_TASK_ID=ta-1"),
        example("download.env.GLMDEPLOY_LOCAL_ROOT=/srv"),
        example("tags.glmdeploy-digest=0a1b2c"),
    ),
    passes=(
        example("app=ap-0123456789abcdefABCDE"),
        example("volumes.weights.mount=/root/models"),
        example("volumes.kernels.mount=/tmp/kernels", "sglang.env.SGLANG_DG_CACHE_DIR=/tmp/kernels"),
        example("volumes.weights.mount=/root/glmdeploy-weights"),
        example("sglang.env.MODAL_LOGLEVEL=DEBUG"),
        example("tags.team=inference"),
    ),
    waivable=False,
)

RULES = (TAKEN,)
