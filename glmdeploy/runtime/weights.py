"""Where the weights lie in their volume: a folder for each organisation, repository and commit."""

from __future__ import annotations

MARK = "weights.json"
"""The completion mark of a version (:mod:`glmdeploy.runtime.markers`), in the version's own folder."""


def sub_path(repo: str, revision: str) -> str:
    """The folder of one version in the volume, such as ``zai-org/GLM-5.1-FP8/3f1c2ab...``: the mount of a deployment.

    ``revision`` is the commit where it is known, else the revision as the profile writes it.
    """
    return f"{repo}/{revision.replace('/', '--')}"
