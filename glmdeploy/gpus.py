"""GPU types as Modal names them, with what rules and SGLang's decisions need to know of each.

Compute capabilities: NVIDIA's CUDA GPU list. ``B200+`` lets Modal pick a B300 too (modal 1.6.4, GPU reference).
Memory: what ``nvidia-smi --query-gpu=memory.total`` reports, for the GPUs on which it was read.
"""

from __future__ import annotations

from dataclasses import dataclass

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

_TYPES: dict[str, tuple[int, int | None]] = {
    "T4": (7, 15360),
    "A10": (8, None),
    "A100": (8, 40960),
    "A100-40GB": (8, 40960),
    "A100-80GB": (8, 81920),
    "L4": (8, 23034),
    "L40S": (8, 46068),
    "H100": (9, 81559),
    "H100!": (9, 81559),
    "H200": (9, 143771),
    "B200": (10, 183359),
    "B200+": (10, None),
    "RTX-PRO-6000": (12, 97887),
}
"""By name: compute capability and memory in MiB.

``H100`` may become an H200 at Modal's choice, ``A100`` the one of 80 GB; ``H100!`` stays what it is.
"""


@dataclass(frozen=True, kw_only=True)
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
    major, memory_mib = _TYPES[name]
    return Gpu(type=name, count=int(count or 1), major=major, memory_mib=memory_mib)
