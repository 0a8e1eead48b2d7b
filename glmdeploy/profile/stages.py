"""The sections ``download``, ``compile`` and ``server``: what Modal's decorators take for each stage.

A field stands here once, with its type, its words for the schema, and the keyword that it is in each decorator. From
there it reaches the JSON Schema, the Plan, the app, the script and every diff without being named again.

These are plain classes: :mod:`glmdeploy.profile.models` makes pydantic models of them, and :func:`options` reads the
table without pydantic. Names, types and limits: modal 1.6.4, ``modal/app.py``, ``modal/_partial_function.py`` and
``modal/_utils/name_utils.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, get_args, get_type_hints

from glmdeploy.profile.fields import (
    MAX_TIMEOUT,
    About,
    Cpu,
    Dollars,
    Env,
    Memory,
    OneOrMore,
    Seconds,
    Text,
    Timeout,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Decorator = Literal["function", "cls", "web_server", "concurrent", "server"]
"""``@app.function``, ``@app.cls``, ``@modal.web_server``, ``@modal.concurrent`` and ``@app.server``."""


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """A decorator's keyword: its name there, and whether it says the contrary of the profile's field."""

    name: str
    contrary: bool = False


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


Count = Annotated[int, Whole(0, 10_000)]
"""Of containers."""
Inputs = Annotated[int, Whole(1, 1000)]
Disk = Annotated[int, Whole(1, 3_145_728, "MiB")]
"""In MiB."""
Region = Annotated[str | tuple[str, ...], OneOrMore(Text("[a-z0-9-]{1,63}", "a region such as us-east"))]
Cloud = Annotated[str, Text("aws|gcp|oci|auto", "one of: aws, gcp, oci, auto")]
Label = Annotated[
    str,
    Text(
        "(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
        "up to 63 lower-case letters, digits and dashes, not digits alone and no dash at an end",
    ),
]

_CPU = About("CPU cores to request; left out: Modal's default.")
_MEMORY = About("Memory to request, in MiB; left out: Modal's default.")


class DownloadFields:
    """Stage 1, on a CPU: the model's files into the weights volume."""

    env: Annotated[Env, About("Environment variables of the download image.")] = {}  # noqa: RUF012 (pydantic copies it)
    timeout: Annotated[Timeout, modal("function"), About("Longest run, in seconds or as a duration.", ("2h",))] = 7200
    cpu: Annotated[Cpu | None, modal("function"), _CPU] = None
    memory: Annotated[Memory | None, modal("function"), _MEMORY] = None


class CompileFields:
    """Stage 2, on the serving GPU: DeepGEMM kernels into the kernels volume."""

    timeout: Annotated[Timeout, modal("function"), About("Longest run, in seconds or as a duration.", ("1h",))] = 3600


class HealthFields:
    """How a container watches its engine once that is ready; one that hangs is ended, and its container with it.

    The limits were tried on the real engine. SGLang's own watchdog sees neither a stopped process nor a hang while
    idle.
    """

    interval: Annotated[
        int,
        Seconds(1, 3600),
        About(
            "Pause between an answer of SGLang's `/health` and the next question, in seconds; a twelfth of `limit` at "
            "most."
        ),
    ] = 5
    timeout: Annotated[
        int, Seconds(2, 3600), About("Longest wait for one answer of `/health`, in seconds; above `limit`.")
    ] = 65
    limit: Annotated[
        int,
        Seconds(5, 3600),
        About(
            "Seconds without a sign of life after which the engine counts as hung and its container ends. SGLang gets "
            "it as `SGLANG_HEALTH_CHECK_TIMEOUT`. It must outlast the longest single pass.",
            (60,),
        ),
    ] = 60


class WarmupFields:
    """Requests that have SGLang compile its kernels before a container takes traffic.

    What is left out follows from the engine; all of it is cut down to what the context and the KV pool hold.
    """

    prompt_tokens: Annotated[
        int | None,
        Whole(1, 10_000_000),
        About("Tokens of the one long prompt. Left out: SGLang's prefill chunk.", (32768,)),
    ] = None
    batch: Annotated[
        int | None,
        Whole(1, 4096),
        About("Requests of the one batch of short prompts. Left out: as many as may run at a time."),
    ] = None
    output_tokens: Annotated[int | None, Whole(1, 4096), About("Tokens that each of them generates. Left out: 16.")] = (
        None
    )


class ServerFields:
    """Stage 3: the containers that serve."""

    port: Annotated[int, Whole(1, 65_535), modal("web_server", "server"), About("Port of SGLang in the container.")] = (
        8000
    )
    public: Annotated[
        bool, About("Must be true when there is no `secrets.api_key`: anyone may then use the endpoint.")
    ] = False
    min_containers: Annotated[
        Count, modal("cls", "server"), About("Containers that run even when idle; each one is billed.")
    ] = 0
    max_containers: Annotated[
        int,
        Whole(1, 10_000),
        modal("cls", "server"),
        About("Upper bound of containers, and so of the spending rate."),
    ] = 1
    buffer_containers: Annotated[
        Count | None,
        modal("cls", "server"),
        About("Containers to keep ready beside the busy ones; each one is billed. Left out: none."),
    ] = None
    spend_ceiling: Annotated[
        Dollars | None,
        About("Dollars an hour that `max_containers` may cost at most; more is a warning. Left out: 200.", (150,)),
    ] = None
    scaledown_window: Annotated[
        int,
        Seconds(2, 3600),
        modal("cls", "server"),
        About("How long an idle container is kept, in seconds or as a duration.", ("15m",)),
    ] = 900
    timeout: Annotated[
        Timeout, modal("cls"), About("Longest time that Modal gives one input, in seconds or as a duration.", ("24h",))
    ] = MAX_TIMEOUT
    # Of the class too: left out there, Modal would take `timeout`, a day, as the limit of a start.
    startup_timeout: Annotated[
        int,
        Seconds(60, MAX_TIMEOUT),
        modal("cls", "web_server", "server"),
        About("Longest time from a container's start until SGLang is healthy, in seconds or as a duration.", ("15m",)),
    ] = 900
    max_inputs: Annotated[
        Inputs,
        modal("concurrent"),
        About("Requests that one container takes at a time (`@modal.concurrent`)."),
    ] = 20
    target_inputs: Annotated[
        Inputs | None,
        modal("concurrent"),
        About("Requests a container at which Modal adds another; at most `max_inputs`. Left out: `max_inputs`."),
    ] = None
    region: Annotated[
        Region | None,
        modal("cls", server="compute_region"),
        About("Where the containers may run: a region, or a list; it raises the price.", ("us-east",)),
    ] = None
    cloud: Annotated[
        Cloud | None,
        modal("cls", "server"),
        About("Cloud provider of the containers. Left out: Modal's choice.", ("oci",)),
    ] = None
    ephemeral_disk: Annotated[
        Disk | None,
        modal("cls", "server"),
        About("Disk of a container, in MiB, beside its volumes. Left out: Modal's default."),
    ] = None
    label: Annotated[
        Label | None,
        modal("web_server"),
        About("Last part of the endpoint's host name (`WORKSPACE--LABEL.modal.run`). Left out: Modal's choice."),
    ] = None
    env: Annotated[Env, About("Environment variables of the SGLang process alone.")] = {}  # noqa: RUF012
    cpu: Annotated[Cpu | None, modal("cls", "server"), _CPU] = None
    memory: Annotated[Memory | None, modal("cls", "server"), _MEMORY] = None
