"""Model families: which architecture a repository holds, where its name tells.

Sources: the ``config.json`` of the public checkpoints (facts of GLM-5.1: ``architectures: [GlmMoeDsaForCausalLM]``).
"""

from __future__ import annotations

import re

GLM_DSA = "GlmMoeDsaForCausalLM"
"""GLM-5 and 5.1: mixture of experts, latent attention (MLA) with DeepSeek's sparse attention (DSA)."""

GLM4_MOE = "Glm4MoeForCausalLM"

_PATTERNS = (
    (re.compile(r"/GLM-5(\.1)?(-(FP8|NVFP4|Base))*$", re.IGNORECASE), GLM_DSA),
    (re.compile(r"/GLM-4\.[567](-(Air|FP8|Base))*$", re.IGNORECASE), GLM4_MOE),
)


def architecture(repo: str) -> str | None:
    """The architecture's class name, or None when the repository's name does not tell."""
    return next((name for pattern, name in _PATTERNS if pattern.search(repo)), None)


def quantization(repo: str) -> str | None:
    """How the weights are stored (``fp8``, ``modelopt_fp4``, ``none``), or None when the name does not tell."""
    if architecture(repo) is None:
        return None
    upper = repo.upper()
    return "fp8" if "-FP8" in upper else "modelopt_fp4" if "-NVFP4" in upper else "none"
