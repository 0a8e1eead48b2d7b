"""The sections ``download`` and ``compile``, and what Modal's decorators take of any stage.

A field stands here once, with its form, its words for the schema, and the keyword that it is in each decorator. From
there it reaches the JSON Schema, the Plan, the app, the script and every diff without being named again.

The section ``server`` is :mod:`glmdeploy.profile.serving`. Names and limits: modal 1.6.4, ``modal/app.py``,
``modal/_partial_function.py`` and ``modal/_utils/name_utils.py``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.profile.decorators import Keyword, modal
from glmdeploy.profile.fields import (
    CORES,
    ENV,
    FLAG,
    MEBIBYTES,
    TIMEOUT,
    Number,
    OneOrMore,
    Record,
    Text,
    Whole,
    one_of,
)
from glmdeploy.profile.section import Section, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.profile.decorators import Decorator


@cache
def options(section: type[Section]) -> Mapping[str, Mapping[Decorator, Keyword]]:
    """The keywords of a section's fields: by field, by decorator. Fields that Modal does not take are left out."""
    return {name: each.option.keywords(name) for name, each in section.declared.items() if each.option}


CPU = "CPU cores to request, or a list of request and limit; left out: Modal's default."
CPU_EXAMPLES = (8, [8, 16])
MEMORY = "Memory to request, in MiB, or a list of request and limit; left out: Modal's default."
MEMORY_EXAMPLES = (65_536, [65_536, 131_072])
DISK_SIZE = Whole(1, 3_145_728, "MiB")
DISK = "Disk of a container, in MiB, beside its volumes. Left out: Modal's default."
REGION_NAMES = OneOrMore(Text("[a-z0-9-]{1,63}", "a region such as us-east"))
REGION = "Where the containers may run: a region, or a list; it raises the price."
CLOUD_NAME = one_of("aws", "gcp", "oci", "auto")
CLOUD = "Cloud provider of the containers. Left out: Modal's choice."

RETRIES = Record(
    ("max_retries", Whole(0, 10), "How often a failed run is started again."),
    ("backoff_coefficient", Number(10, 1), "What each pause is multiplied by; 1 keeps them equal. Default: 2."),
    ("initial_delay", Number(60, 0), "Seconds before the first retry. Default: 1."),
    ("max_delay", Number(60, 1), "Seconds that a pause may reach. Default: 60."),
    needed=("max_retries",),
)
"""``modal.Retries`` (1.6.4, ``modal/retries.py``); how often is not limited there."""


class Download(Section):
    """Stage 1, on a CPU: the model's files into the weights volume."""

    env: dict[str, str] = field(ENV, "Environment variables of the download image.", default={})
    timeout: int = field(
        TIMEOUT, "Longest run, in seconds or as a duration.", modal("function"), default=7200, examples=("2h",)
    )
    cpu: float | tuple[float, float] | None = field(CORES, CPU, modal("function"), default=None, examples=CPU_EXAMPLES)
    memory: int | tuple[int, int] | None = field(
        MEBIBYTES, MEMORY, modal("function"), default=None, examples=MEMORY_EXAMPLES
    )
    ephemeral_disk: int | None = field(DISK_SIZE, DISK, modal("function"), default=None)
    retries: dict[str, Any] | None = field(
        RETRIES,
        "What Modal does when the stage fails. Left out: nothing; the download itself resumes after each fault.",
        modal(function=Keyword(name="retries", made="Retries")),
        default=None,
    )
    region: str | tuple[str, ...] | None = field(
        REGION_NAMES, REGION, modal("function"), default=None, examples=("us-east",)
    )
    cloud: str | None = field(CLOUD_NAME, CLOUD, modal("function"), default=None, examples=("oci",))
    nonpreemptible: bool | None = field(
        FLAG,
        "Whether Modal may not take the container away; three times the price, and for CPUs alone.",
        modal("function"),
        default=None,
    )


class Compile(Section):
    """Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume."""

    timeout: int = field(
        TIMEOUT, "Longest run, in seconds or as a duration.", modal("function"), default=3600, examples=("1h",)
    )
    cpu: float | tuple[float, float] | None = field(CORES, CPU, modal("function"), default=None, examples=CPU_EXAMPLES)
    memory: int | tuple[int, int] | None = field(
        MEBIBYTES, MEMORY, modal("function"), default=None, examples=MEMORY_EXAMPLES
    )
    ephemeral_disk: int | None = field(DISK_SIZE, DISK, modal("function"), default=None)
    region: str | tuple[str, ...] | None = field(
        REGION_NAMES, REGION, modal("function"), default=None, examples=("us-east",)
    )
    cloud: str | None = field(CLOUD_NAME, CLOUD, modal("function"), default=None, examples=("oci",))
