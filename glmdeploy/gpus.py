"""GPU types as Modal names them, with what rules and SGLang's decisions need to know of each.

Compute capabilities: NVIDIA's CUDA GPU list. ``B200+`` lets Modal pick a B300 too (modal 1.6.4, GPU reference).
Memory: what ``nvidia-smi --query-gpu=memory.total`` reports, for the GPUs on which it was read.
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

_MEMORY_MIB = {
    **{"B200": 183359, "H200": 143771, "H100": 81559, "H100!": 81559, "RTX-PRO-6000": 97887},
    **{"A100-80GB": 81920, "A100": 40960, "A100-40GB": 40960, "L40S": 46068, "L4": 23034, "T4": 15360},
}
"""``H100`` may become an H200 at Modal's choice, ``A100`` the one of 80 GB; ``H100!`` stays what it is."""


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
    return Gpu(type=name, count=int(count or 1), major=_MAJOR[name], memory_mib=_MEMORY_MIB.get(name))
