"""What a profile says of the containers that serve: volumes, secrets, places of files, requests at a time."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

from glmdeploy.profile.serving import WEB_SERVER
from glmdeploy.rules.gaps import refused
from glmdeploy.runtime.weights import sub_path
from glmdeploy.sglang.decisions.watched import Watched, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.models import Profile, Secret, Volume

SETTLE = 15
"""Seconds by which a container's own wait ends before Modal's limit, so that the reason still reaches the log."""

COMPILE_MARGIN = 60
"""Seconds by which SGLang's compiler gives up before the stage's time limit, so that it can say why."""


class Container:
    """What follows from the profile alone, of the container that serves; :class:`Facts` is one."""

    profile: Profile

    @property
    def model_path(self) -> str:
        """Where the weights are in the container."""
        return f"{self.profile.volumes.weights.mount}/{self.profile.model.repo.rpartition('/')[2]}"

    @property
    def nodes(self) -> int:
        """The containers of one replica."""
        return self.profile.cluster.nodes if self.profile.cluster else 1

    @property
    def ready_within(self) -> int:
        """Seconds from a container's start within which the server must have answered its first request."""
        return self.profile.server.startup_timeout - SETTLE

    @property
    def compiler_gives_up_after(self) -> int | None:
        """Seconds after which SGLang's compiler gives up, ahead of its stage's limit; None without the stage."""
        if self.profile.compile is None:
            return None
        limit = self.profile.compile.timeout
        return max(limit - COMPILE_MARGIN, limit // 2, 1)

    @property
    def compile_gives_up_after(self) -> int | None:
        """Seconds after which the stage's container ends the compiler and says why; None without the stage."""
        return self.profile.compile.timeout - SETTLE if self.profile.compile else None

    @property
    def volumes(self) -> Mapping[KeyPath, Volume]:
        """The volumes of a container that serves, by their paths in the profile."""
        volumes = self.profile.volumes
        found: dict[KeyPath, Volume] = {("volumes", "weights"): volumes.weights}
        if volumes.kernels:
            found["volumes", "kernels"] = volumes.kernels
        return found | {("volumes", "further", place): volume for place, volume in enumerate(volumes.further)}

    @property
    def secrets(self) -> Mapping[KeyPath, Secret]:
        """The secrets that the profile names, by their paths in it."""
        found: dict[KeyPath, Secret] = {}
        for role, secret in self.profile.secrets:
            if isinstance(secret, tuple):
                found |= {("secrets", role, place): each for place, each in enumerate(secret)}
            elif secret is not None:
                found["secrets", role] = secret
        return found

    @property
    def at_once(self) -> tuple[str, float]:
        """How many requests Modal gives a container before it does something about it, and the field that says so."""
        server = self.profile.server
        if server.kind == WEB_SERVER:
            return "max_inputs", server.max_inputs
        if server.max_concurrency is not None:
            return "max_concurrency", server.max_concurrency
        return "target_concurrency", server.target_concurrency

    @cached_property
    def env(self) -> Mapping[str, str]:
        """The environment of the SGLang process: the image's, and over it the server's own."""
        image, own = self.profile.sglang.env, self.profile.server.env
        env, lost = {**image, **own}, unknown(image) | unknown(own)
        return Watched(env, lost, refused) if lost else env

    def env_path(self, name: str) -> KeyPath:
        """Where the variable stands, or where it would stand."""
        if name in self.profile.server.env:
            return ("server", "env", name)
        return ("sglang", "env", name) if name in self.profile.sglang.env else ("sglang", "env")

    def in_volume(self, path: str) -> bool:
        """Whether the path lies in a volume of the container."""
        return any(_under(path, volume.mount) for volume in self.volumes.values())

    @property
    def weights_folder(self) -> str:
        """The folder of the weights volume that the containers see, as far as the profile tells its commit."""
        return sub_path(self.profile.model.repo, self.profile.model.revision)

    def beside_the_model(self, path: str) -> bool:
        """Whether the path lies at the weights' mount, and not in the model's own folder there."""
        weights, *others = (volume.mount for volume in self.volumes.values())
        inner = any(_under(path, mount) for mount in others)
        return _under(path, weights) and not _under(path, self.model_path) and not inner


def _under(path: str, folder: str) -> bool:
    return posixpath.normpath(path) == folder or posixpath.normpath(path).startswith(f"{folder}/")
