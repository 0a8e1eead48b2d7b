"""What rules judge: a profile with everything worked out. What two guards need to know is here."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from glmdeploy import gpus
from glmdeploy.findings import Remove, SetValue
from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.records import record
from glmdeploy.rules.container import Container
from glmdeploy.rules.gaps import Gap, gaps, miss, refused
from glmdeploy.sglang import catalog, command, models
from glmdeploy.sglang.architectures import ARCHITECTURES
from glmdeploy.sglang.decisions.watched import Watched, unknown
from glmdeploy.sglang.effective import CONTAINER, RAW, Basis, effective
from glmdeploy.sglang.models import GLM_DSA
from glmdeploy.sizing import blocks, cost, memory, model, timeline
from glmdeploy.sizing.checkpoint import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.gpus import Gpu
    from glmdeploy.profile.models import Profile
    from glmdeploy.sglang.architectures import Architecture
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Problem, Setting
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.sizing.checkpoint import Checkpoint
    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.timeline import Step

ARGS: KeyPath = ("sglang", "args")

SPARSE = (GLM_DSA, "DeepseekV32ForCausalLM")
"""The architectures with DeepSeek's sparse attention (DSA) that SGLang treats alike: ``is_deepseek_dsa``, and where
the options are resolved (``sglang/srt/server_args.py`` 0.5.10, ``arg_groups/overrides.py`` 0.5.23)."""

ALGORITHM = "speculative_algorithm"
STEPS, TOPK, TOKENS = "speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"
SPEC_V2 = "SGLANG_ENABLE_SPEC_V2"
FP8_GEMM = "fp8_gemm_runner_backend"
JIT_DEEP_GEMM = "SGLANG_ENABLE_JIT_DEEPGEMM"
"""Options, by destination, and variables that facts here and several guards ask about."""

_TREES = ("EAGLE", "EAGLE3", "NEXTN", "STANDALONE")
"""Algorithms with steps, top-k and draft tokens, which ``_handle_eagle_family`` checks (0.5.23)."""

_DEEP_GEMM = ("auto", "deep_gemm")
"""Backends for matrices in FP8 with which DeepGEMM multiplies them: ``auto`` prefers it where it is enabled
(``_dispatch_auto_backend`` in ``sglang/srt/layers/quantization/fp8_utils.py``, 0.5.10 to 0.5.23)."""


@record
class Facts(Container):
    """A profile with everything worked out: what rules judge instead of raw text."""

    profile: Profile
    catalog: Catalog
    """The options and variables of the profile's SGLang release."""
    gpu: Gpu
    """The one that is judged: of several that a container may have, rules look at each (:meth:`each_gpu`)."""
    architecture: str | None
    quantization: str | None
    """How the checkpoint stores its weights (:func:`glmdeploy.sglang.models.quantization`)."""
    settings: Mapping[str, Setting]
    """The options that the profile sets, by SGLang's destination name (``tp_size``)."""
    problems: tuple[Problem, ...]
    """The options that the release does not take as they are written."""
    checkpoint: Checkpoint | None = None
    """The checkpoint's ``config.json``, where it was given: it tells more than the repository's name."""

    @classmethod
    def of(cls, profile: Profile, checkpoint: Checkpoint | None = None, **more: Any) -> Self:
        """The facts of a profile, as far as its own text and the ``checkpoint`` tell them.

        ``lost`` in ``more`` are paths of the profile whose values are not known (:class:`glmdeploy.rules.partly`).

        :raises catalog.UnknownVersion: if there is no catalog of its SGLang release.
        """
        release = catalog.load(profile.sglang.version)
        settings, problems = command.read(profile.sglang.args, release)
        lost = {dest for problem in problems for dest in problem.dests}
        lost |= {dest for path in more.get("lost", ()) for dest in _dests(path, release)}
        if lost:
            settings = Watched(settings, lost, refused)
        elif (tokenizer := settings.get("tokenizer_path")) and tokenizer.value == profile.model.repo:
            # The model's own, which lies in its folder, where SGLang looks unless told otherwise.
            settings = {dest: setting for dest, setting in settings.items() if dest != "tokenizer_path"}
        repo = profile.model.repo
        architecture, quantization = models.architecture(repo), models.quantization(repo)
        if checkpoint is not None:
            architecture, quantization = told(checkpoint)
        return cls(
            profile=profile,
            catalog=release,
            gpu=gpus.parse(_gpus(profile)[0]),
            architecture=architecture,
            quantization=quantization,
            settings=settings,
            problems=tuple(problems),
            checkpoint=checkpoint,
            **more,
        )

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """What a container may have, in the order in which Modal tries them."""
        return tuple(map(gpus.parse, _gpus(self.profile)))

    @property
    def gpu_count(self) -> int:
        """The GPUs of one replica, of all of its containers."""
        return self.nodes * self.gpu.count

    @property
    def rented(self) -> str:
        """The GPUs of one replica: ``B200:8``, ``2 × B200:8``."""
        return gpus.rented(self.gpu, self.nodes)

    @property
    def replica(self) -> str:
        """What serves a request, starts and ends as a whole: ``container`` or ``cluster``."""
        return gpus.replica(self.nodes)

    @property
    def hourly(self) -> float | None:
        """Dollars that one replica's GPUs cost an hour, without a region; None where the price is not known."""
        each = cost.hourly(self.gpu)
        return None if each is None else each * self.nodes

    def each_gpu(self) -> tuple[Facts, ...]:
        """The facts for each GPU that a container may have."""
        return tuple(self if gpu == self.gpu else replace(self, gpu=gpu) for gpu in self.gpus)

    def recognised(self, architecture: str, quantization: str) -> Facts:
        """The facts with what only the checkpoint's ``config.json`` tells where the repository's name does not."""
        return replace(self, architecture=architecture, quantization=quantization)

    @property
    def kind(self) -> Architecture | None:
        """What the architecture's name decides (MLA or not, experts, vision, its task); None where it is not known."""
        if (found := ARCHITECTURES.get(self.architecture or "")) is None:
            miss(Gap.MODEL)
        return found

    def between(self, since: str | None, until: str | None) -> bool:
        """Whether the profile's release is one of those from ``since`` to ``until``, None for no end."""
        release = catalog.version_key(self.catalog.version)
        return (since is None or catalog.version_key(since) <= release) and (
            until is None or release <= catalog.version_key(until)
        )

    @cached_property
    def effective(self) -> Mapping[str, Effective]:
        """What SGLang will run with, by destination name, where it is known."""
        table = effective(
            self.settings,
            self.catalog,
            self.gpu,
            self.architecture,
            quantization=self.quantization,
            env=self.env,
            own={
                "model_path": self.model_path,
                "served_model_name": self.profile.model.served_name,
                "port": self.profile.server.port,
                **CONTAINER,
                **({"nnodes": self.nodes} if self.profile.cluster else {}),
            },
            config=models.known(self.profile.model.repo),
            refused=self.refused,
            settled=self.settled,
        )
        lost = {name for name, one in table.items() if one.basis is Basis.REFUSED}
        return Watched(table, lost, refused) if lost else table

    @property
    def settled(self) -> bool:
        """Whether all but options that SGLang's decisions depend on is known."""
        return True

    @property
    def refused(self) -> frozenset[str]:
        """The destinations of which the profile says something that the release refuses: they are not known."""
        return unknown(self.settings)

    @property
    def withheld(self) -> Mapping[str, str]:
        """Options that hold secrets and stand in the profile nevertheless: destination, and the key as written."""
        return {problem.secret: problem.key for problem in self.problems if problem.secret}

    @cached_property
    def command(self) -> tuple[str, ...]:
        """The words of the server's command, without the API key, which the container adds."""
        return command.server_command(
            self.settings,
            self.catalog,
            model_path=self.model_path,
            served_name=self.profile.model.served_name,
            port=self.profile.server.port,
        )

    def value(self, dest: str) -> object:
        """The effective value, or None where it is not known."""
        known = self.effective.get(dest)
        if known and not known.known and known.basis not in (Basis.AT_START, Basis.REFUSED):
            miss(Gap.VALUES)
        return known.value if known else None

    def number(self, dest: str) -> int | None:
        """The effective value where it is known and an integer."""
        value = self.value(dest)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def setting(self, dest: str) -> Setting | None:
        """What the profile says of the option, or of any that its neutral name stands for."""
        found = (self.settings.get(raw) for raw in RAW.get(dest, (dest,)))
        return next((setting for setting in found if setting is not None), None)

    def path(self, dest: str) -> KeyPath:
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
        raws = RAW.get(dest, (dest,))
        found = (option for raw in raws for option in self.catalog.options if option.dest == raw)
        return next((option.canonical.removeprefix("--") for option in found if option.deprecated is None), None)

    def env_flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a variable switches something on, as SGLang reads its own (``sglang/srt/environ.py``, EnvBool).

        Absent, or with a value that SGLang cannot read, it has its ``default``.
        """
        return default if (value := catalog.boolean(self.env.get(name, ""))) is None else value

    @property
    def attention_groups(self) -> int:
        """The groups into which data-parallel attention divides the tensor-parallel ranks; 1 without it.

        It has an option of its own since 0.5.22; before, and still, a switch makes ``dp-size`` mean it.
        """
        own = self.number("attn_dp_size")
        if own in (None, 1) and self.value("enable_dp_attention"):
            return self.number("dp_size") or 1
        return own or 1

    @property
    def algorithm(self) -> str | None:
        """The algorithm of speculative decoding in capitals, as SGLang reads it; None without any.

        Where it is not known what SGLang makes of it, it is the one that the profile asks for.
        """
        setting = self.setting(ALGORITHM)
        value = self.value(ALGORITHM) or (setting.value if setting else None)
        return value.upper() if isinstance(value, str) else None

    @property
    def speculates(self) -> bool:
        """Whether EAGLE speculates, under whichever of its names."""
        return self.algorithm in {"EAGLE", "EAGLE3", "NEXTN"}

    @property
    def builds_trees(self) -> bool:
        """Whether the algorithm is EAGLE or one that is set up like it."""
        return self.algorithm in _TREES

    @property
    def adapts(self) -> bool:
        """Whether LoRA adapters are served: paths switch the option on (``check_lora_server_args``, 0.5.10, 0.5.23)."""
        asked = self.value("enable_lora")
        return bool(asked) or (asked is None and bool(self.value("lora_paths")))

    @property
    def block_fp8(self) -> bool:
        """Whether the checkpoint's weights are known to be in FP8 by blocks, the format that DeepGEMM multiplies.

        GLM-5-FP8's are (#25551 shows the call), and those whose configuration names the blocks; GLM-4.5's are stored by
        compressed-tensors, which takes other ways.
        """
        named = self._model is not None and blocks.block(self._model) is not None
        return self.quantization == "fp8" and (self.architecture == GLM_DSA or named)

    @property
    def serves_with_deep_gemm(self) -> bool:
        """Whether the server multiplies matrices with DeepGEMM, as far as is known."""
        return (
            self.block_fp8
            and self.gpu.major in (HOPPER, BLACKWELL)
            and self.env_flag(JIT_DEEP_GEMM, default=True)
            and (self.value(FP8_GEMM) in _DEEP_GEMM or self.value("moe_runner_backend") == "deep_gemm")
        )

    @property
    def compiles_at_start(self) -> bool:
        """Whether a cold start has to compile DeepGEMM's kernels, because no stage has."""
        compiles_all = self.env_flag("SGLANG_JIT_DEEPGEMM_PRECOMPILE", default=True)
        quickly = self.env_flag("SGLANG_JIT_DEEPGEMM_FAST_WARMUP")
        return not self.profile.compile and compiles_all and not quickly and self.serves_with_deep_gemm

    @cached_property
    def _model(self) -> Model | None:
        if self.checkpoint is None:
            return model.known(self.profile.model.repo)
        try:
            return model.from_config(self.checkpoint.config, weights=self.checkpoint.weights)
        except model.UnknownModel:
            return None

    @property
    def model(self) -> Model | None:
        """The model's dimensions, where they ship with glmdeploy or its checkpoint is given."""
        if self._model is None:
            miss(Gap.MEMORY)
        return self._model

    @cached_property
    def _memory(self) -> tuple[Memory | None, frozenset[Gap]]:
        """The memory, with what was met on the way and is not known: it is met again by whoever asks."""
        with gaps() as met:
            known = self._model
            found = memory.memory(known, self.gpu, self.value, version=self.catalog.version) if known else None
        return found, frozenset(met)

    @property
    def memory(self) -> Memory | None:
        """The memory of one GPU, where everything that it depends on is known."""
        found, met = self._memory
        if Gap.REFUSED in met:
            refused()
            miss(Gap.MEMORY)
        if found is None and self.value("device") in (None, "cuda"):
            miss(Gap.MEMORY)
        return found

    @property
    def model_loaded(self) -> Model | None:
        """The model whose weights a start loads onto GPUs; None where not known, or SGLang runs on something else."""
        return self.model if self.value("device") in (None, "cuda") else None

    def cold_start(self, *, compiled: bool | None = None) -> tuple[Step, ...]:
        """The steps of a cold start; ``compiled`` defaults to whether the profile has kernels compiled beforehand."""
        return timeline.cold_start(
            self.model_loaded, compiled=not self.compiles_at_start if compiled is None else compiled, nodes=self.nodes
        )

    def named_paths(self, dest: str) -> tuple[str, ...]:
        """The paths or repositories that the profile's option names: one, a list, or adapters as SGLang reads them."""
        setting = self.settings.get(dest)
        value = setting.value if setting else None
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list | tuple):
            return ()
        named = (item.get("lora_path") if isinstance(item, dict) else item for item in value)
        # An adapter may be written NAME=PATH.
        return tuple(str(item).rpartition("=")[2] for item in named if item)

    @property
    def writes_weights(self) -> bool:
        """Whether SGLang writes into the model's folder: `presharded` does (from 0.5.17, PR #24256)."""
        return self.value("load_format") == "presharded"

    @property
    def weights_read_only(self) -> bool:
        """Whether the containers that serve mount the weights so that nothing can write there."""
        asked = self.profile.volumes.weights.read_only
        return not self.writes_weights if asked is None else asked


def _dests(path: KeyPath, release: Catalog) -> tuple[str, ...]:
    """The destination of the option that a path of the profile leads to, if it leads to one; of all to all."""
    if path in (ARGS[:1], ARGS):
        return tuple(option.dest for option in release.options)
    if path[:2] != ARGS or len(path) != 3:
        return ()
    try:
        return (release.find(str(path[2])).dest,)
    except (catalog.UnknownOption, catalog.AmbiguousOption):
        return ()


def _gpus(profile: Profile) -> tuple[str, ...]:
    return (profile.gpu,) if isinstance(profile.gpu, str) else profile.gpu
