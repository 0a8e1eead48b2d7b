"""What rules judge: a profile with everything worked out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from glmdeploy.edits import Remove, SetValue
from glmdeploy.sglang import neutral
from glmdeploy.sizing import memory, model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.edits import Edit
    from glmdeploy.findings import Path
    from glmdeploy.gpus import Gpu
    from glmdeploy.profile import Profile
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Setting
    from glmdeploy.sglang.effective import Effective

ARGS: Path = ("sglang", "args")

_FLAGS = dict.fromkeys(("true", "1", "yes", "y"), True) | dict.fromkeys(("false", "0", "no", "n"), False)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A profile with everything worked out: what rules judge instead of raw text."""

    profile: Profile
    catalog: Catalog
    """The options and variables of the profile's SGLang release."""
    gpu: Gpu
    architecture: str | None
    settings: Mapping[str, Setting]
    """The options that the profile sets, by SGLang's destination name (``tp_size``)."""
    effective: Mapping[str, Effective]
    """What SGLang will run with, by destination name, where it is known."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Options that hold secrets and stand in the profile nevertheless: destination, and the key as written."""

    def value(self, dest: str) -> object:
        """The effective value, or None where it is not known."""
        known = self.effective.get(dest)
        return known.value if known else None

    def number(self, dest: str) -> int | None:
        """The effective value where it is known and an integer."""
        value = self.value(dest)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def setting(self, dest: str) -> Setting | None:
        """What the profile says of the option, or of any that its neutral name stands for."""
        return next((self.settings[raw] for raw in neutral.RAW.get(dest, (dest,)) if raw in self.settings), None)

    def path(self, dest: str) -> Path:
        """Where the option stands in the profile, or would stand, under its canonical name."""
        setting = self.setting(dest)
        name = setting.key if setting else self._canonical(dest)
        return (*ARGS, name) if name else ARGS

    def put(self, dest: str, value: str | float | bool) -> tuple[Edit, ...]:
        """The edit that gives the option a value, where it stands or as a new entry; none if the release lacks it."""
        path = self.path(dest)
        return () if path == ARGS else (SetValue(path=path, value=value),)

    def drop(self, *dests: str) -> tuple[Edit, ...]:
        """The edits that remove those of the options that the profile sets."""
        return tuple(Remove(path=self.path(dest)) for dest in dests if self.setting(dest))

    def _canonical(self, dest: str) -> str | None:
        raws = neutral.RAW.get(dest, (dest,))
        found = (option for raw in raws for option in self.catalog.options if option.dest == raw)
        return next((option.canonical.removeprefix("--") for option in found if option.deprecated is None), None)

    @cached_property
    def env(self) -> Mapping[str, str]:
        """The environment of the SGLang process: the image's, and over it the server's own."""
        return {**self.profile.sglang.env, **self.profile.server.env}

    def env_path(self, name: str) -> Path:
        """Where the variable stands, or where it would stand."""
        if name in self.profile.server.env:
            return ("server", "env", name)
        return ("sglang", "env", name) if name in self.profile.sglang.env else ("sglang", "env")

    def env_flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a variable switches something on, as SGLang reads its own (``sglang/srt/environ.py``, EnvBool).

        Absent, or with a value that SGLang cannot read, it has its ``default``.
        """
        return _FLAGS.get(self.env.get(name, "").lower(), default)

    @cached_property
    def attention_groups(self) -> int:
        """The groups into which data-parallel attention divides the tensor-parallel ranks; 1 without it.

        It has an option of its own since 0.5.22; before, and still, a switch makes ``dp-size`` mean it.
        """
        own = self.number("attn_dp_size")
        if own in (None, 1) and self.value("enable_dp_attention"):
            return self.number("dp_size") or 1
        return own or 1

    @cached_property
    def speculates(self) -> bool:
        """Whether EAGLE speculates, under whichever of its names."""
        return str(self.value("speculative_algorithm")).upper() in {"EAGLE", "EAGLE3", "NEXTN"}

    @cached_property
    def model(self) -> model.Model | None:
        """The model's dimensions, where they ship with glmdeploy."""
        return model.known(self.profile.model.repo)

    @cached_property
    def memory(self) -> memory.Memory | None:
        """The memory of one GPU, where everything that it depends on is known."""
        return memory.memory(self.model, self.gpu, self.value, version=self.catalog.version) if self.model else None
