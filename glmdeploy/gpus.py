"""The GPUs that Modal rents: the one table of what is known of each type.

Names and counts: Modal's GPU guide (modal 1.6.4); ``B300`` from its guide to clusters and from its rates. Compute
capabilities: NVIDIA's CUDA GPU list. Memory: what ``nvidia-smi --query-gpu=memory.total`` reports, where it was read.
Prices: the pricing page, as transcribed on 2026-05-25; that of B300, and the names of all rates, from published
answers of ``modal billing rates`` (August and September 2026), with which the others agree. Modal multiplies base
rates for a chosen region and for containers that must not be preempted. Streaming multiprocessors: NVIDIA's papers on
the architectures (A100, RTX PRO 6000 Blackwell), and its data sheets of L4 and L40S, whose CUDA cores come 128 to one.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, SupportsFloat

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS_AN_HOUR = 3600

AMPERE, HOPPER, BLACKWELL, BLACKWELL_RTX = 8, 9, 10, 12
"""Major numbers of compute capabilities."""

GENERATIONS = {
    7: "Turing",
    AMPERE: "Ampere and Ada",
    HOPPER: "Hopper",
    BLACKWELL: "Blackwell",
    BLACKWELL_RTX: "Blackwell (RTX)",
}
"""What NVIDIA calls the GPUs of each major compute capability that Modal rents."""


@record
class Price:
    """Dollars for one GPU and hour, as read from ``source`` on ``date`` (YYYY-MM-DD)."""

    dollars: float
    date: str
    source: str


@record
class Simulation:
    """How CUDA describes the GPU: what a process sees that shall believe to run on one."""

    name: str
    capability: tuple[int, int]
    memory_mib: int
    processors: int
    """Streaming multiprocessors."""


@record
class Type:
    """A type of GPU. ``memory_mib`` is None where it is not known."""

    capability: tuple[int, int]
    memory_mib: int | None
    rate: str
    """What Modal calls its price in ``billing.rates()``."""
    price: Price
    most: int = 8
    """GPUs that a container can have."""
    cuda_name: str | None = None
    processors: int | None = None

    @property
    def simulation(self) -> Simulation | None:
        """None where not everything is known that CUDA tells of it."""
        if self.cuda_name is None or self.processors is None or self.memory_mib is None:
            return None
        return Simulation(
            name=self.cuda_name, capability=self.capability, memory_mib=self.memory_mib, processors=self.processors
        )


def _page(dollars_a_second: float) -> Price:
    return Price(
        dollars=round(dollars_a_second * SECONDS_AN_HOUR, 4),
        date="2026-05-25",
        source="https://modal.com/pricing, as transcribed in https://github.com/api-evangelist/modal-com",
    )


_A100_40 = Type(capability=(8, 0), memory_mib=40960, rate="gpu_hour_cost_a100_40gb", price=_page(0.000583))
_H100 = Type(
    capability=(9, 0),
    memory_mib=81559,
    rate="gpu_hour_cost_h100",
    price=_page(0.001097),
    cuda_name="NVIDIA H100 80GB HBM3",
    processors=132,
)

TYPES: Mapping[str, Type] = {
    "T4": Type(capability=(7, 5), memory_mib=15360, rate="gpu_hour_cost_t4", price=_page(0.000164)),
    "L4": Type(
        capability=(8, 9),
        memory_mib=23034,
        rate="gpu_hour_cost_l4",
        price=_page(0.000222),
        cuda_name="NVIDIA L4",
        processors=58,
    ),
    "A10": Type(capability=(8, 6), memory_mib=None, rate="gpu_hour_cost_a10g", price=_page(0.000306), most=4),
    "L40S": Type(
        capability=(8, 9),
        memory_mib=46068,
        rate="gpu_hour_cost_l40s",
        price=_page(0.000542),
        cuda_name="NVIDIA L40S",
        processors=142,
    ),
    "A100": _A100_40,
    "A100-40GB": _A100_40,
    "A100-80GB": Type(
        capability=(8, 0),
        memory_mib=81920,
        rate="gpu_hour_cost_a100_80gb",
        price=_page(0.000694),
        cuda_name="NVIDIA A100-SXM4-80GB",
        processors=108,
    ),
    "RTX-PRO-6000": Type(
        capability=(12, 0),
        memory_mib=97887,
        rate="gpu_hour_cost_rtx6000",
        price=_page(0.000842),
        cuda_name="NVIDIA RTX PRO 6000 Blackwell Server Edition",
        processors=188,
    ),
    "H100": _H100,
    "H100!": _H100,
    "H200": Type(
        capability=(9, 0),
        memory_mib=143771,
        rate="gpu_hour_cost_h200",
        price=_page(0.001261),
        cuda_name="NVIDIA H200",
        processors=132,
    ),
    "B200": Type(
        capability=(10, 0),
        memory_mib=183359,
        rate="gpu_hour_cost_b200",
        price=_page(0.001736),
        cuda_name="NVIDIA B200",
        processors=148,
    ),
    # A B200 or a B300, at the price of a B200: of its memory only the smaller is certain, so none is claimed.
    "B200+": Type(capability=(10, 0), memory_mib=None, rate="gpu_hour_cost_b200", price=_page(0.001736)),
    "B300": Type(
        capability=(10, 3),
        memory_mib=275040,
        rate="gpu_hour_cost_b300",
        price=Price(dollars=7.1, date="2026-08-15", source="`modal billing rates`, as published in public code"),
        cuda_name="NVIDIA B300 SXM6 AC",
        processors=148,
    ),
}
"""By Modal's name.

``H100`` may become an H200 at Modal's choice, ``A100`` the one of 80 GB, at the same price; ``H100!`` stays what it is.
"""

WITHOUT_NVLINK = frozenset({"T4", "L4", "A10", "L40S", "RTX-PRO-6000"})
"""Types whose GPUs reach each other over PCIe alone (NVIDIA's data sheets of them)."""

RDMA: Mapping[str, int] = {"H100": 3200, "H100!": 3200, "H200": 3200, "B200": 3200, "B200+": 3200, "B300": 6400}
"""Gigabits a second between the hosts of a cluster, by types that have RDMA there; a B200+ may have more.

Modal's guide (multi-node-clusters), which names GB200 too and a profile cannot have.
"""

PRICES: Mapping[str, Price] = {name: each.price for name, each in TYPES.items()}
"""By Modal's name."""


@record
class Gpu:
    """``count`` GPUs of one type; ``major`` is the compute capability's major number (9 Hopper, 10 Blackwell).

    ``memory_mib`` is the memory of one in MiB, None where it is not known.
    """

    type: str
    count: int
    major: int
    memory_mib: int | None

    def __str__(self) -> str:
        return f"{self.type}:{self.count}"


def parse(text: str) -> Gpu:
    """``B200:8`` or ``B200``. The profile's models have checked the form."""
    name, _, count = text.partition(":")
    found = TYPES[name]
    return Gpu(type=name, count=int(count or 1), major=found.capability[0], memory_mib=found.memory_mib)


_MEMORY: Mapping[str, tuple[int, ...]] = {
    "T4": (15, 16),
    "L4": (24,),
    "A10": (24,),
    "A10G": (24,),
    "L40S": (48,),
    "A100": (40, 80),
    "RTXPRO6000": (96,),
    "H100": (80,),
    "H200": (141, 144),
    "B200": (180, 183, 192),
    "B300": (268, 270, 288),
}
"""The gigabytes by which others call a type, in their spelling of its name without separators."""

_MADE_FOR = re.compile(r"NVIDIA|TESLA|GPU|SXM[0-9]?|PCIE|HBM[0-9]E?|BLACKWELL|SERVER|EDITION|TENSOR|CORE|AC")
"""Parts of other spellings that make no other type of it."""

_CALLED: Mapping[str, str] = {"A10G": "A10", "RTXPRO6000": "RTX-PRO-6000", "A10080": "A100-80GB", "A10040": "A100-40GB"}


def named(text: str) -> str | None:
    """Modal's name of a type as schedulers, other clouds and NVIDIA spell it; None for what Modal does not rent.

    ``h100``, ``nvidia-h100-80gb-hbm3``, ``A100-SXM4-80GB``, ``rtx_pro_6000``. Not ``H100-NVL``, ``GB200`` or ``H20``:
    those are other GPUs.
    """
    if text.upper() in TYPES:
        return text.upper()
    parts = [part for part in re.split(r"[-_ .]+", text.upper()) if part and not _MADE_FOR.fullmatch(part)]
    sizes = [part for part in parts if re.fullmatch(r"[0-9]+G(?:I?B)?", part)]
    name = "".join(part for part in parts if part not in sizes)
    if name not in _MEMORY or len(sizes) > 1:
        return None
    size = int(sizes[0].rstrip("GIB")) if sizes else None
    if size is not None and size not in _MEMORY[name]:
        return None
    return _CALLED.get(f"{name}{size}") or _CALLED.get(name) or name


def pattern() -> str:
    """A regular expression (ECMA-262 and Python) of what :func:`parse` takes, up to the GPUs that a container has."""
    by_count: dict[int, list[str]] = {}
    for name, each in TYPES.items():
        by_count.setdefault(each.most, []).append(name.replace("+", "[+]"))
    return "|".join(f"(?:{'|'.join(names)})(?::[1-{most}])?" for most, names in sorted(by_count.items(), reverse=True))


def prices(rates: Mapping[str, SupportsFloat], *, source: str, date: str) -> dict[str, Price]:
    """The prices in a workspace's rates, by Modal's GPU name; without those that it does not list.

    ``rates`` are what ``Workspace.billing.rates()`` of the SDK answers (modal 1.6.4): decimal dollars by names that
    the SDK does not tell. ``date`` is the day on which they were read, YYYY-MM-DD.
    """
    listed = {gpu: float(rates[each.rate]) for gpu, each in TYPES.items() if each.rate in rates}
    return {
        gpu: Price(dollars=dollars, date=date, source=source)
        for gpu, dollars in listed.items()
        if math.isfinite(dollars) and dollars >= 0
    }


def rented(gpu: object, nodes: int) -> str:
    """The GPUs of one replica, of so many containers with ``gpu`` each: ``B200:8``, ``2 × B200:8``."""
    return f"{nodes} × {gpu}" if nodes > 1 else str(gpu)


def replica(nodes: int) -> str:
    """What serves a request, starts and ends as a whole: ``container``, or ``cluster`` where several are one."""
    return "cluster" if nodes > 1 else "container"
