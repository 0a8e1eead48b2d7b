"""Commands that only start another one, and what their options say about it.

Where the inner command begins is found by looking for a launch behind them, so that no table of all their options is
needed; here is what those mean that matter to a launch: its environment, image, GPUs, nodes and release.
Sources: the manual pages of each; pyxis for ``--container-image`` (README of NVIDIA/pyxis), Apptainer's user guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import requirement, slurm
from glmdeploy.authoring.launch.launch import Container, Note, Word
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SILENT = frozenset({"exec", "command", "builtin", "time", "$", "#", "%", "!", "eval"})
"""A shell's own words, and prompts that were copied too."""

_ENV = {
    "sudo": (),
    "doas": (),
    "systemd-run": ("--setenv", "-E"),
    "tmux": ("-e",),
    "mpirun": ("-x",),
    "apptainer": ("--env",),
    "singularity": ("--env",),
    "docker": ("-e", "--env"),
    "docker-compose": ("-e", "--env"),
    "podman": ("-e", "--env"),
    "nerdctl": ("-e", "--env"),
    "kubectl": ("--env",),
    "srun": ("--export",),
    "modal": ("--env",),
}
"""Options that set variables, by program. ``sudo`` and ``doas`` take them as words of their own."""
_KEYS = re.compile(r"C-m|Enter|KPEnter|C-j")

WRAPPERS = frozenset(
    {
        *SILENT,
        *_ENV,
        *("accelerate", "chroot", "chrt", "conda", "daemonize", "dumb-init", "flock", "gosu", "hatch", "ionice"),
        *("kubectl", "mamba", "micromamba", "mpiexec", "nice", "nohup", "nsys", "numactl", "oc", "parallel", "pdm"),
        *("clush", "parallel-ssh", "pdsh", "pssh"),
        *("pipenv", "pipx", "pixi", "poetry", "prlimit", "rye", "runuser", "screen", "script", "setsid", "ssh"),
        *("stdbuf", "strace", "su", "su-exec", "taskset", "time", "timeout", "tini", "torchrun", "unbuffer", "uv"),
        *("uvx", "watch", "apptainer", "singularity", "enroot", "srun", "salloc", "sbatch", "systemd-inhibit"),
        *("deepspeed", "ncu", "py-spy", "dotenv", "direnv", "chpst", "caffeinate", "cgexec", "ltrace", "gdb"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What stands around a launch and means something to it."""

    env: Mapping[str, Word]
    container: Container | None = None
    job: slurm.Job = field(default_factory=slurm.Job)
    releases: tuple[Word, ...] = ()
    notes: tuple[Note, ...] = ()
    name: str = ""
    target: str = ""
    """The container that the launch is started in, where it was made by another command."""


def around(before: Sequence[Word], behind: Sequence[Word], env: Mapping[str, Word]) -> Around:
    """What the words in front of a launch, and those behind a text that holds one, say about it."""
    if not before:
        return Around(env=env, notes=tuple(_left_out("", behind)))
    name = before[0].text.rpartition("/")[2]
    known = name in WRAPPERS
    behind = [word for word in behind if not (name == "tmux" and _KEYS.fullmatch(word.text))]
    found = Around(env=_environment(name, before[1:], env), name=name if known else "")
    found = replace(found, releases=tuple(requirement.releases(before)))
    if name in ("srun", "salloc", "sbatch"):
        found = _slurm(found, before)
    elif name in ("apptainer", "singularity", "enroot"):
        found = _image_file(found, before)
    elif name in ("kubectl", "oc") and (image := dict(slurm.options(before[1:])).get("--image")):
        found = _with_image(found, image, [])
    elif name in ("docker", "docker-compose", "podman", "nerdctl", "kubectl", "oc"):
        found = replace(found, target=_target(before))
    if name in SILENT and len(before) == 1 and not behind:
        return found
    taken = [
        what
        for what, is_taken in (
            ("image", found.container is not None),
            ("GPUs", found.job.gpu is not None),
            ("variables", found.env != env),
            ("release of SGLang", bool(found.releases)),
        )
        if is_taken
    ]
    return replace(found, notes=(*found.notes, *_left_out(found.name, [*before, *behind], taken)))


def _left_out(name: str, words: Sequence[Word], taken: Sequence[str] = ()) -> Iterator[Note]:
    if not words or (len(words) == 1 and words[0].unknown):  # $PYTHON -m ...
        return
    if name:
        options = " with its options" if len(words) > 1 else ""
        message = f"{shown(name)}{options} only starts the launch, and was left out: on Modal, a container starts it"
        if taken:
            message = f"{shown(name)} only starts the launch: of it, {' and '.join(taken)} taken, the rest left out"
        severity = Severity.INFO
    else:
        message, severity = "what stands around the launch was left out", Severity.WARNING
    for first, last in _runs(words):
        yield Note(severity=severity, message=message, span=(first.span[0], max(last.span[1], first.span[1])))


def _runs(words: Sequence[Word]) -> Iterator[tuple[Word, Word]]:
    """The first and last of words that stand side by side."""
    first = last = words[0]
    for word in words[1:]:
        if word.span[0] - last.span[1] > 2 or word.span[0] < last.span[0]:
            yield first, last
            first = word
        last = word
    yield first, last


def _environment(name: str, words: Sequence[Word], env: Mapping[str, Word]) -> Mapping[str, Word]:
    own = dict(env)
    if name in ("sudo", "doas"):
        for word in words:
            key, equals, _ = word.text.partition("=")
            if equals and key.isidentifier():
                own[key] = word.after(len(key) + 1)
        return own
    flags = _ENV.get(name, ())
    for option, value in slurm.options(words):
        if option in flags:
            own.update(_assignments(value, lists=option == "--export" or name in ("apptainer", "singularity")))
    return own


def _assignments(value: Word, *, lists: bool) -> Iterator[tuple[str, Word]]:
    at = 0
    for item in value.text.split(",") if lists else [value.text]:
        key, equals, text = item.partition("=")
        if equals and key.isidentifier():
            begin = at + len(key) + 1
            yield key, replace(value.after(begin), text=text, offsets=value.offsets[begin : begin + len(text)])
        at += len(item) + 1


def _slurm(found: Around, before: Sequence[Word]) -> Around:
    flags: list[tuple[str, Word]] = []
    image: Word | None = None
    for option, value in slurm.options(before[1:]):
        if option == "--container-image":
            image = value
        elif option == "--container-mounts":
            flags.append(("volume", value))
    found = replace(found, job=slurm.of_options(before[1:]))
    return _with_image(found, image, flags) if image else found


def _image_file(found: Around, before: Sequence[Word]) -> Around:
    """``apptainer exec --nv --bind A:B X.sif``: the last word is the image."""
    flags = [
        ("volume", value) for option, value in slurm.options(before[1:-1]) if option in ("--bind", "-B", "--mount")
    ]
    return _with_image(found, before[-1], flags) if len(before) > 2 else found


def _with_image(found: Around, image: Word, flags: Sequence[tuple[str, Word]]) -> Around:
    text = image.text
    for scheme in ("docker://", "dockerd://", "podman://", "oras://"):
        text = text.removeprefix(scheme)
    is_file = text.endswith((".sif", ".sqsh", ".squashfs", ".img")) or text.startswith(("/", "./", "../", "~"))
    if not is_file:
        cut = len(image.text) - len(text)
        text = text.replace("#", "/", 1)  # enroot: REGISTRY#IMAGE:TAG
        named = replace(image, text=text, offsets=image.offsets[cut:])
        return replace(found, container=Container(image=named, flags=tuple(flags)))
    release = requirement.of_file(image)
    message = f"{shown(text.rpartition('/')[2])} is a file on the old machine, and no image for Modal"
    note = Note(
        severity=Severity.WARNING, message=message, span=image.span, fix="set `sglang.image` to one of a registry"
    )
    releases = (*found.releases, *([release] if release else ()))
    notes = [note]
    for _, word in flags:
        message = "a folder of the old machine was left out: a Modal container does not have it"
        notes.append(Note(severity=Severity.WARNING, message=message, span=word.span))
    return replace(found, releases=releases, notes=(*found.notes, *notes))


_WITH_VALUE = frozenset(
    {
        *("-e", "--env", "-u", "--user", "-w", "--workdir", "--env-file", "--detach-keys", "-f", "--file", "-p"),
        *("--project-name", "--index", "-n", "--namespace", "-c", "--container", "--context", "--kubeconfig"),
    }
)


def _target(before: Sequence[Word]) -> str:
    """The container in ``docker exec [OPTIONS] NAME``; nothing where it is not that."""
    texts = [word.text for word in before]
    if "exec" not in texts:
        return ""
    rest = texts[texts.index("exec") + 1 :]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _WITH_VALUE else rest[1:]
    return rest[0] if rest else ""
