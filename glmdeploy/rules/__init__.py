"""Guard rules: what is known to go wrong, judged on effective values.

A rule is one constant in the module of its subject; this table is the only registry. Ids are never reused.
"""

from glmdeploy.rules import consistency, kv_cache, security
from glmdeploy.rules.base import Rule

RULES: tuple[Rule, ...] = (
    kv_cache.FP8_WITH_EAGLE,
    kv_cache.IMPLICIT_FP8,
    kv_cache.FP8_SLOWER,
    consistency.TENSOR_PARALLEL,
    consistency.KERNELS_VOLUME,
    consistency.MOUNTS,
    consistency.SCALING,
    consistency.SCHEDULE,
    security.PUBLIC_ENDPOINT,
)
"""All rules, by id."""
