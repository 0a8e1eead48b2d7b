"""OME, the operator of SGLang's own project: runtimes and inference services whose engine has a container of its own.

What each key means: ``config/runtimes/srt`` of https://github.com/sgl-project/ome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.pod import Pod
from glmdeploy.authoring.formats.stream import several_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.formats.section import Section
    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.profile.text.foreign import Pair

GROUP = "ome.io"
ENGINES: Mapping[str, str] = {
    "ServingRuntime": "engineConfig",
    "ClusterServingRuntime": "engineConfig",
    "InferenceService": "engine",
}
"""Kinds that describe an engine, and their key for it."""

_SCALED = "Modal starts and ends containers by itself"
ENGINE_INFO: Mapping[str, str] = dict.fromkeys(
    ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "containerConcurrency", "timeout", "annotations"),
    _SCALED,
)
SPEC_INFO: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("supportedModelFormats", "protocolVersions", "modelSizeRange", "disabled", "acceleratorRequirements"),
            *("runtime", "acceleratorSelector", "labels", "annotations"),
        ),
        "which models a cluster gives to this runtime",
    ),
    "model": "the launch has the model, or --repo names it",
}
_ALONE = "only the engine is deployed"


def launches(root: Section, kind: str, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    """The launches of the engine of an object; none where it is described elsewhere.

    :raises ProfileError: where the engine runs on several nodes.
    """
    spec = root.section("spec")
    engine = spec.section(ENGINES[kind]) if spec is not None and kind in ENGINES else None
    if spec is None or engine is None:
        return []
    for key in ("leader", "worker"):
        if key in engine:
            raise several_nodes(root.script, 2, engine.key(key).span)
    runner = engine.section("runner")
    pod = Pod(spec=engine, configs=configs)

    def of_runner(product: Word | None, volumes: Mapping[str, Section]) -> list[Launch]:
        return pod.container(runner, product, volumes) if runner is not None else []

    found = pod.launches(info=ENGINE_INFO, beside=of_runner)
    spec.close(info=SPEC_INFO, warned=dict.fromkeys(("decoderConfig", "decoder", "routerConfig", "router"), _ALONE))
    return found
