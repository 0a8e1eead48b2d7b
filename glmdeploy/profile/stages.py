"""What Modal's decorators take for each stage, and the sections ``download`` and ``compile``.

A field stands here once, with its type, its words for the schema, and the keyword that it is in each decorator. From
there it reaches the JSON Schema, the Plan, the app, the script and every diff without being named again.

These are plain classes: :mod:`glmdeploy.profile.models` makes pydantic models of them, and :func:`options` reads the
table without pydantic. The section ``server`` is :mod:`glmdeploy.profile.serving`. Names, types and limits: modal
1.6.4, ``modal/app.py``, ``modal/_partial_function.py`` and ``modal/_utils/name_utils.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, get_args, get_type_hints

from glmdeploy.profile.fields import About, Cpu, Env, Memory, Number, OneOrMore, Record, Text, Timeout, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

Decorator = Literal["function", "cls", "web_server", "concurrent", "server"]
"""``@app.function``, ``@app.cls``, ``@modal.web_server``, ``@modal.concurrent`` and ``@app.server``."""


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """A decorator's keyword: its name there, and whether it says the contrary of the profile's field.

    ``made`` names the class of :mod:`modal` that is made of the field's mapping.
    """

    name: str
    contrary: bool = False
    made: str | None = None


@dataclass(frozen=True)
class ModalOption:
    """Says that a field is an option of Modal: in ``same`` decorators by its own name, in the others by theirs."""

    same: tuple[Decorator, ...]
    other: Mapping[Decorator, Keyword]


def modal(*same: Decorator, **other: str | Keyword) -> ModalOption:
    """``modal("cls", server="compute_region")``: the decorators that take the field, where by another name."""
    renamed = {name: Keyword(name=word) if isinstance(word, str) else word for name, word in other.items()}
    return ModalOption(same=same, other=renamed)  # type: ignore[arg-type]


@cache
def options(section: type) -> Mapping[str, Mapping[Decorator, Keyword]]:
    """The keywords of a section's fields: by field, by decorator. Fields that Modal does not take are left out."""
    found: dict[str, Mapping[Decorator, Keyword]] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        for mark in get_args(hint):
            if isinstance(mark, ModalOption):
                found[name] = {decorator: Keyword(name=name) for decorator in mark.same} | dict(mark.other)
    return found


CPU = About("CPU cores to request, or a list of request and limit; left out: Modal's default.", (8, [8, 16]))
MEMORY = About(
    "Memory to request, in MiB, or a list of request and limit; left out: Modal's default.", (65_536, [65_536, 131_072])
)


Disk = Annotated[int, Whole(1, 3_145_728, "MiB")]
"""In MiB."""
Region = Annotated[str | tuple[str, ...], OneOrMore(Text("[a-z0-9-]{1,63}", "a region such as us-east"))]
Cloud = Annotated[str, Text("aws|gcp|oci|auto", "one of: aws, gcp, oci, auto")]

DISK = About("Disk of a container, in MiB, beside its volumes. Left out: Modal's default.")
REGION = About("Where the containers may run: a region, or a list; it raises the price.", ("us-east",))
CLOUD = About("Cloud provider of the containers. Left out: Modal's choice.", ("oci",))

Retries = Annotated[
    dict[str, float],
    Record(
        (
            ("max_retries", Whole(0, 10), "How often a failed run is started again."),
            ("backoff_coefficient", Number(10, 1), "What each pause is multiplied by; 1 keeps them equal. Default: 2."),
            ("initial_delay", Number(60, 0), "Seconds before the first retry. Default: 1."),
            ("max_delay", Number(60, 1), "Seconds that a pause may reach. Default: 60."),
        ),
        needed=("max_retries",),
    ),
]
"""``modal.Retries`` (1.6.4, ``modal/retries.py``); how often is not limited there."""


class DownloadFields:
    """Stage 1, on a CPU: the model's files into the weights volume."""

    env: Annotated[Env, About("Environment variables of the download image.")] = {}  # noqa: RUF012 (pydantic copies it)
    timeout: Annotated[Timeout, modal("function"), About("Longest run, in seconds or as a duration.", ("2h",))] = 7200
    cpu: Annotated[Cpu | None, modal("function"), CPU] = None
    memory: Annotated[Memory | None, modal("function"), MEMORY] = None
    ephemeral_disk: Annotated[Disk | None, modal("function"), DISK] = None
    retries: Annotated[
        Retries | None,
        modal(function=Keyword(name="retries", made="Retries")),
        About("What Modal does when the stage fails. Left out: nothing; the download itself resumes after each fault."),
    ] = None
    region: Annotated[Region | None, modal("function"), REGION] = None
    cloud: Annotated[Cloud | None, modal("function"), CLOUD] = None
    nonpreemptible: Annotated[
        bool | None,
        modal("function"),
        About("Whether Modal may not take the container away; three times the price, and for CPUs alone."),
    ] = None


class CompileFields:
    """Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume."""

    timeout: Annotated[Timeout, modal("function"), About("Longest run, in seconds or as a duration.", ("1h",))] = 3600
    cpu: Annotated[Cpu | None, modal("function"), CPU] = None
    memory: Annotated[Memory | None, modal("function"), MEMORY] = None
    ephemeral_disk: Annotated[Disk | None, modal("function"), DISK] = None
    region: Annotated[Region | None, modal("function"), REGION] = None
    cloud: Annotated[Cloud | None, modal("function"), CLOUD] = None
