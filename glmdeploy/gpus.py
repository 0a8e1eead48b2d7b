"""GPU types as Modal names them, with what the rules need to know of each.

Compute capabilities: NVIDIA's CUDA GPU list. ``B200+`` lets Modal pick a B300 too (modal 1.6.4, GPU reference).
"""

from __future__ import annotations

from dataclasses import dataclass

_MAJOR = {
    **dict.fromkeys(("T4",), 7),
    **dict.fromkeys(("A10", "A100", "A100-40GB", "A100-80GB"), 8),
    **dict.fromkeys(("L4", "L40S"), 8),
    **dict.fromkeys(("H100", "H100!", "H200"), 9),
    **dict.fromkeys(("B200", "B200+"), 10),
    **dict.fromkeys(("RTX-PRO-6000",), 12),
}


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """``count`` GPUs of one type; ``major`` is the compute capability's major number (9 Hopper, 10 Blackwell)."""

    type: str
    count: int
    major: int

    def __str__(self) -> str:
        return f"{self.type}:{self.count}"


def parse(text: str) -> Gpu:
    """``B200:8`` or ``B200``. The profile's models have checked the form."""
    name, _, count = text.partition(":")
    return Gpu(type=name, count=int(count or 1), major=_MAJOR[name])
