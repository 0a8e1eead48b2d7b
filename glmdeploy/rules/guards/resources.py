"""Rules about what Modal gives to containers: amounts, volumes, secrets, registries, GPUs to fall back to."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from glmdeploy import redaction
from glmdeploy.findings import Remove, Severity
from glmdeploy.rules.rule import PULLS, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

REGISTRIES: Mapping[str, tuple[frozenset[str], ...]] = {
    "AWS ECR": (
        frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}),
        frozenset({"AWS_ROLE_ARN", "AWS_REGION"}),
    ),
    "Google's Artifact Registry": (frozenset({"SERVICE_ACCOUNT_JSON"}),),
    "any other registry": (frozenset({"REGISTRY_USERNAME", "REGISTRY_PASSWORD"}),),
}
"""The keys by which Modal knows what kind of registry a secret is for (``_REGISTRY_AUTH_KEY_SETS``)."""

_NAMED = (
    re.compile(r"(?:^|(?<=[\s;&|('\"-]))([A-Za-z_][A-Za-z0-9_-]*)=['\"]?([^\s'\";&|]+)"),
    re.compile(r"(?:^|(?<=\s))--([A-Za-z][A-Za-z0-9_-]*)\s+['\"]?([^\s'\";&|]+)"),
)
"""``NAME=value`` and ``--name value`` in a shell command."""

_HEADER = re.compile(r"(?i)\b(?:authorization|x-api-key)\s*:\s*(?:(?:bearer|basic|token)\s+)?([^\s'\"]+)")

_HARMLESS = re.compile(r"[$`/.~<].*|-.*|[0-9]{1,4}|(?i:true|false|yes|no|none|null|\*+)", re.DOTALL)
"""What stands for a secret, or is none: a variable, a command, a file, an option, a switch."""

_VOLUMES = "https://modal.com/docs/guide/volumes"
_SDK = "modal/_resources.py (modal 1.6.4)"


def _amounts(facts: Facts) -> Iterator[Violation]:
    profile = facts.profile
    for section, stage in (("download", profile.download), ("compile", profile.compile), ("server", profile.server)):
        for name, unit in (("cpu", " cores"), ("memory", " MiB")):
            amount = getattr(stage, name, None)
            if isinstance(amount, tuple) and amount[1] < amount[0]:
                yield Violation(
                    path=(section, name),
                    message=f"the limit of {amount[1]:g}{unit} is below the {amount[0]:g} that are asked for",
                )


def _volume_version(facts: Facts) -> Iterator[Violation]:
    for path, volume in facts.volumes.items():
        if volume.version == 2:
            yield Violation(
                path=(*path, "version"),
                message=f"the volume {volume.name} must be new, or of version 2 already: Modal changes none",
            )


def _read_only(facts: Facts) -> Iterator[Violation]:
    if facts.profile.volumes.weights.read_only and facts.writes_weights:
        path = ("volumes", "weights", "read_only")
        yield Violation(
            path=path,
            message="`load-format: presharded` writes into the model's folder, which is mounted read-only",
            edits=(Remove(path=path),),
        )


def _registry(facts: Facts) -> Iterator[Violation]:
    secret = facts.profile.secrets.registry
    if secret is None:
        return
    keys = set(secret.keys)
    kinds = [kind for kind, sets in REGISTRIES.items() if any(each <= keys for each in sets)]
    if len(kinds) != 1:
        found = f"are for {' and '.join(kinds)}" if kinds else "are for no kind of registry"
        yield Violation(path=("secrets", "registry", "keys"), message=f"the keys {', '.join(secret.keys)} {found}")


def _same_keys(facts: Facts) -> Iterator[Violation]:
    given = {path: secret for path, secret in facts.secrets.items() if path[1] in ("api_key", "further")}
    for (_, first), (path, second) in combinations(given.items(), 2):
        if shared := sorted({*first.keys} & {*second.keys}):
            yield Violation(
                path=(*path, "keys"),
                message=f"{shared[0]} is of the secrets {first.name} and {second.name}: one hides the other",
            )
    hidden = {name for secret in given.values() for name in secret.keys} & set(facts.profile.sglang.env)
    for name in sorted(hidden):
        yield Violation(
            path=("sglang", "env", name), key=True, message=f"{name} is also a key of a secret, which hides this value"
        )


def _same_gpu(facts: Facts) -> Iterator[Violation]:
    seen: set[str] = set()
    for place, gpu in enumerate(map(str, facts.gpus)):
        if gpu in seen:
            yield Violation(path=("gpu", place), message=f"{gpu} is tried already")
        seen.add(gpu)


def _nonpreemptible(facts: Facts) -> Iterator[Violation]:
    if facts.profile.download.nonpreemptible:
        yield Violation(
            path=("download", "nonpreemptible"),
            message="a container that Modal must not take away costs three times as much; the download resumes anyway",
        )


def _secret_in_step(facts: Facts) -> Iterator[Violation]:
    for place, step in enumerate(facts.profile.sglang.image_steps):
        for name, words in step:
            for index, text in enumerate(words or ()):
                if not redaction.find(text) and any(_secrets(text)):  # what is known by its form is GLM063's
                    path = ("sglang", "image_steps", place, name, index)
                    yield Violation(
                        path=path, secret=True, message=f"a value in this step (`{name}`) stands under a secret's name"
                    )


def _secrets(text: str) -> Iterator[str]:
    named = (found.groups() for pattern in _NAMED for found in pattern.finditer(text))
    yield from (value for name, value in named if redaction.is_secret_name(name) and not _HARMLESS.fullmatch(value))
    yield from (found[1] for found in _HEADER.finditer(text) if not _HARMLESS.fullmatch(found[1]))


AMOUNTS = Rule(
    id="GLM136",
    title="limit below what is asked for",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A pair of `cpu` or `memory` is what a container is sure to have, and what it never exceeds. Modal's SDK "
    "refuses a limit below the request.",
    fix="write the larger number last, or the request alone",
    sources=(_SDK, "https://modal.com/docs/guide/resources"),
    check=_amounts,
    fails=(example("server.cpu=[16, 8]"), example("download.memory=[4096, 2048]")),
    passes=(example("server.cpu=[8, 16]"), example("compile.memory=[65536, 65536]"), example("server.memory=65536")),
    waivable=False,
)

VOLUME_VERSION = Rule(
    id="GLM137",
    title="volume that must be of version 2",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="A volume keeps the version of Modal's file system that it was made with, and nothing moves its files to the "
    "other. Where one of this name exists with version 1, Modal refuses the deployment.",
    fix="give a new name, let `apply` download into it, and delete the old volume when nothing runs on it any more; "
    "without `version` either is taken",
    sources=("modal/volume.py, _validate_volume_version (modal 1.6.4)", _VOLUMES),
    check=_volume_version,
    fails=(example("volumes.weights.version=2"), example("volumes.further=[{name: logs, mount: /logs, version: 2}]")),
    passes=(example(), example("volumes.weights.version=1")),
)

READ_ONLY = Rule(
    id="GLM138",
    title="read-only weights that SGLang would write to",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Containers that serve see the weights read-only, so that nothing of theirs can damage what all of them load. "
    "The load format `presharded` keeps its shards in the model's folder, and cannot start without writing there.",
    fix="leave `read_only` out: it is false then, and true for other load formats",
    sources=(f"{PULLS}24256", "modal/volume.py, with_mount_options (modal 1.6.4)"),
    check=_read_only,
    fails=(
        example(
            "volumes.weights.read_only=true", "sglang.args.load-format=presharded", profile="b200-eagle-bf16kv-0.5.23"
        ),
    ),
    passes=(
        example("volumes.weights.read_only=true"),
        example("volumes.weights.read_only=false"),
        example("sglang.args.load-format=presharded", profile="b200-eagle-bf16kv-0.5.23"),
    ),
)

SECRET_IN_STEP = Rule(
    id="GLM139",
    title="secret in a step of the image",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="What builds an image is kept in it and in Modal's logs, and shown in plans. Found are values of variables and "
    "options whose names say secret (TOKEN, KEY, PASSWORD), and of the header Authorization; a variable in its place "
    "is left alone.",
    fix="build the image elsewhere and name it as `sglang.image`, with `secrets.registry` where it is private; and "
    "replace the secret",
    sources=("https://modal.com/docs/guide/secrets", "https://modal.com/docs/guide/private-registries"),
    check=_secret_in_step,
    fails=(
        example('sglang.image_steps=[{run: ["export MY_TOKEN=not-a-real-token && make"]}]'),
        example('sglang.image_steps=[{run: ["tool login --password not-a-real-one"]}]'),
        example("sglang.image_steps=[{run: [\"curl -H 'Authorization: Bearer not-a-real-one' https://acme.com\"]}]"),
    ),
    passes=(
        example('sglang.image_steps=[{apt: [git]}, {pip: ["nvtx==0.2.13"]}, {run: ["mkdir -p /opt/key"]}]'),
        example('sglang.image_steps=[{run: ["tool login --token $TOKEN", "MAX_KEYS=12 make"]}]'),
    ),
)

REGISTRY = Rule(
    id="GLM160",
    title="registry secret of no kind, or of two",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="Modal learns from the keys of the secret how to log in to the registry: AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY and AWS_REGION (or AWS_ROLE_ARN and AWS_REGION) for AWS ECR, SERVICE_ACCOUNT_JSON for "
    "Google's Artifact Registry, REGISTRY_USERNAME and REGISTRY_PASSWORD for any other. It refuses a secret with the "
    "keys of none, or of two of them.",
    fix="name the keys of one kind of registry, all of them",
    sources=("modal/image.py, _infer_registry_auth_type (modal 1.6.4)",),
    check=_registry,
    fails=(
        example("secrets.registry={name: registry, keys: [DOCKER_PASSWORD]}"),
        example("secrets.registry={name: registry, keys: [AWS_ROLE_ARN, AWS_REGION, SERVICE_ACCOUNT_JSON]}"),
    ),
    passes=(
        example("secrets.registry={name: registry, keys: [REGISTRY_USERNAME, REGISTRY_PASSWORD]}"),
        example("secrets.registry={name: registry, keys: [AWS_ROLE_ARN, AWS_REGION]}"),
    ),
    waivable=False,
)

NONPREEMPTIBLE = Rule(
    id="GLM162",
    title="container that must not be taken away",
    severity=Severity.INFO,
    topic=Topic.SECURITY,
    why="Modal asks three times the price for CPU containers that it must not preempt, and has none with GPUs, "
    "which is why only the stage on a CPU has the field. A download that is interrupted goes on where it was.",
    fix="nothing, if that is meant; else leave it out",
    sources=("https://modal.com/docs/guide/preemption", "https://modal.com/pricing"),
    check=_nonpreemptible,
    fails=(example("download.nonpreemptible=true"),),
    passes=(example(), example("download.nonpreemptible=false")),
)

SAME_GPU = Rule(
    id="GLM163",
    title="GPU that is listed twice",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="Modal tries the GPUs of the list in its order. One that was not to be had is not tried again for standing "
    "there twice. Every rule is judged for each GPU of the list.",
    fix="remove it",
    sources=("https://modal.com/docs/guide/gpu",),
    check=_same_gpu,
    fails=(example("gpu=[B200:8, B200:8]"),),
    passes=(example("gpu=[B200:8]"), example()),
)

SAME_KEYS = Rule(
    id="GLM164",
    title="secrets that hide each other",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="The keys of a container's secrets are its environment variables. Of two with the same name the last one "
    "counts, which can be another than the key that clients must send. A secret's key hides a variable of the image "
    "as well.",
    fix="give the key another name in one of the secrets",
    sources=("https://modal.com/docs/guide/secrets",),
    check=_same_keys,
    fails=(
        example("secrets.further=[{name: others, keys: [API_KEY]}]"),
        example("secrets.further=[{name: others, keys: [SGLANG_ENABLE_SPEC_V2]}]"),
    ),
    passes=(example("secrets.further=[{name: aws, keys: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]}]"),),
)

RULES = (
    AMOUNTS,
    VOLUME_VERSION,
    READ_ONLY,
    SECRET_IN_STEP,
    REGISTRY,
    NONPREEMPTIBLE,
    SAME_GPU,
    SAME_KEYS,
)
