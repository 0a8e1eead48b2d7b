"""Rules about what may change under a deployment: code, weights and image that are not pinned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import Rule, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_COMMIT = re.compile(r"[0-9a-f]{40}")
"""The full hash: the download stage, too, takes nothing shorter for a commit (``glmdeploy/runtime/download.py``)."""

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_MOVING = re.compile(r"(?:^|-)(?:latest|dev|nightly|main|master)(?:$|-)")
_DATED = re.compile(r"20\d\d-?[01]\d-?[0-3]\d")

_PINNED = f"model.revision={'0123456789abcdef' * 2}01234567"
_PINNED_IMAGE = f"sglang.image=lmsysorg/sglang:v0.5.11-cu130@sha256:{'0123456789abcdef' * 4}"


def _tag(image: str) -> str | None:
    """The tag of an image reference; the colon of ``registry:5000/name`` is none."""
    name, colon, tag = image.partition("@")[0].rpartition(":")
    return tag if colon and name and "/" not in tag else None


def _is_moving(image: str) -> bool:
    tag = _tag(image)
    return not _DIGEST.search(image) and (tag is None or bool(_MOVING.search(tag.lower()) and not _DATED.search(tag)))


def _foreign_code(facts: Facts) -> Iterator[Violation]:
    revision = facts.profile.model.revision
    if facts.value("trust_remote_code") and not _COMMIT.fullmatch(revision):
        yield Violation(
            path=facts.path("trust_remote_code"),
            message=f"`trust-remote-code` runs whatever code `{revision}` of {facts.profile.model.repo} holds at the "
            "next download",
        )


def _not_pinned(facts: Facts) -> Iterator[Violation]:
    profile = facts.profile
    revision, image = profile.model.revision, profile.sglang.image
    if not _COMMIT.fullmatch(revision) and not facts.value("trust_remote_code"):
        yield Violation(
            path=("model", "revision"),
            message=f"the revision `{revision}` can become another commit by the next download",
        )
    if not _DIGEST.search(image) and not _is_moving(image):
        yield Violation(path=("sglang", "image"), message=f"the tag `{_tag(image)}` can be moved to another image")


def _moving_tag(facts: Facts) -> Iterator[Violation]:
    image = facts.profile.sglang.image
    if _is_moving(image):
        tag = _tag(image)
        what = f"the tag `{tag}` of the image is" if tag else f"the image `{image}` has no tag, and so is"
        yield Violation(
            path=("sglang", "image"),
            message=f"{what} whatever was pushed last, not SGLang {facts.profile.sglang.version} for good",
        )


FOREIGN_CODE = Rule(
    id="GLM068",
    title="trust-remote-code with a revision that is not pinned",
    severity=Severity.WARNING,
    why="`trust-remote-code` lets the model's repository bring Python code, which runs beside the API key and can "
    "write to the volumes. With a branch or a tag, whoever can push to the repository decides which code that is, at "
    "the next download. A commit's hash pins code and weights together.",
    fix="write the commit's 40 hexadecimal digits as `model.revision`, or remove `trust-remote-code`",
    sources=(
        "https://huggingface.co/docs/transformers/custom_models",
        "sglang/srt/server_args.py, trust_remote_code",
    ),
    check=_foreign_code,
    fails=(example(), example("model.revision=v1.0")),
    passes=(example(_PINNED), example("sglang.args.trust-remote-code=false")),
)

NOT_PINNED = Rule(
    id="GLM069",
    title="model or image that is not pinned",
    severity=Severity.INFO,
    why="Branches and tags can be moved, so that the same profile does not always deploy the same thing: the model is "
    "looked up at each run of the download stage, the image when Modal builds it. A commit's hash and an image's "
    "digest (`name:tag@sha256:...`) cannot. That is worth its trouble where a deployment has to be repeated exactly.",
    fix="write the commit's 40 hexadecimal digits as `model.revision`, and the image's digest behind its tag",
    sources=(
        "https://huggingface.co/docs/huggingface_hub/guides/download",
        "https://docs.docker.com/reference/cli/docker/image/pull/",
    ),
    check=_not_pinned,
    fails=(
        example(_PINNED),
        example(_PINNED_IMAGE, "sglang.args.trust-remote-code=false"),
        example("sglang.args.trust-remote-code=false"),
    ),
    passes=(example(_PINNED, _PINNED_IMAGE), example(_PINNED_IMAGE)),
)

MOVING_TAG = Rule(
    id="GLM070",
    title="image tag that moves",
    severity=Severity.WARNING,
    why="Tags like latest, dev or nightly, and a missing tag, which means latest, name whatever was pushed last, so "
    "that the image need not be the release for which the options were checked. Nor does Modal follow such a tag: it "
    "keeps the image that it built first until its definition changes or a build is forced, and two workspaces can "
    "run different releases under one name.",
    fix="write the release's own tag, for instance `lmsysorg/sglang:v0.5.11-cu130`, or a digest",
    sources=(
        "https://modal.com/docs/guide/images",
        "https://docs.docker.com/reference/cli/docker/image/pull/",
    ),
    check=_moving_tag,
    fails=(
        example("sglang.image=lmsysorg/sglang:latest"),
        example("sglang.image=lmsysorg/sglang"),
        example("sglang.image=registry.example:5000/sglang"),
        example("sglang.image=lmsysorg/sglang:dev-cu13"),
    ),
    passes=(
        example(),
        example("sglang.image=lmsysorg/sglang:nightly-dev-20260401-0a1b2c3d"),
        example(f"sglang.image=lmsysorg/sglang:latest@sha256:{'0123456789abcdef' * 4}"),
    ),
)

RULES = (FOREIGN_CODE, NOT_PINNED, MOVING_TAG)
