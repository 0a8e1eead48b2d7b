"""OME, the operator of SGLang's own project: runtimes and inference services whose engine has a container of its own,
or one for the first of several nodes and one for each of the others.

What each key means: ``config/runtimes/srt`` of https://github.com/sgl-project/ome; of several nodes ``LeaderSpec`` and
``WorkerSpec`` in ``pkg/apis/ome/v1beta1/inference_service.go``, which become a LeaderWorkerSet. ``PARALLELISM_SIZE`` is
the GPUs of all nodes (``components/engine.go``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.pod import GPU, Pod
from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.formats.section import Section
    from glmdeploy.authoring.launch.launch import Launch
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
    """The launches of the engine of an object; none where it is described elsewhere."""
    spec = root.section("spec")
    engine = spec.section(ENGINES[kind]) if spec is not None and kind in ENGINES else None
    if spec is None or engine is None:
        return []
    if "leader" in engine or "worker" in engine:
        found = _of_nodes(engine, configs)
        engine.close(info=ENGINE_INFO)
    else:
        found = _of_pod(engine, configs, _size(engine, 1), info=ENGINE_INFO)
    spec.close(info=SPEC_INFO, warned=dict.fromkeys(("decoderConfig", "decoder", "routerConfig", "router"), _ALONE))
    return found


def _of_nodes(engine: Section, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    """The launches of the first node and of the others, of which there is one where the file does not say how many."""
    leader, worker = engine.section("leader"), engine.section("worker")
    size = worker.word("size") if worker is not None else None
    count = 1 + (int(size.text) if size is not None and size.text.isdecimal() else 1) if worker is not None else 1
    place = size.span if size is not None else engine.key("worker" if worker is not None else "leader").span
    # https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
    group = {"LWS_GROUP_SIZE": Word(text=str(count), span=place)}
    first = {"LWS_WORKER_INDEX": Word(text="0", span=place)}
    found: list[Launch] = []
    for section, index in ((leader, first), (worker, {})):
        if section is not None and (count > 1 or section is leader):
            found += _of_pod(section, configs, {**group, **index, **_size(section, count)})
    return [replace(each, nodes=each.nodes or group["LWS_GROUP_SIZE"]) for each in found]


def _of_pod(
    section: Section,
    configs: Mapping[str, Mapping[str, Pair]],
    given: Mapping[str, Word],
    *,
    info: Mapping[str, str] | None = None,
) -> list[Launch]:
    runner = section.section("runner")
    pod = Pod(spec=section, configs=configs, given=given)

    def of_runner(product: Word | None, volumes: Mapping[str, Section]) -> list[Launch]:
        return pod.container(runner, product, volumes) if runner is not None else []

    return pod.launches(info=info, beside=of_runner)


def _size(section: Section, nodes: int) -> dict[str, Word]:
    """``PARALLELISM_SIZE``, where the runner says how many GPUs it has."""
    tree = (section.tree.entries or {}).get("runner")
    for key in ("resources", "limits", GPU):
        tree = (tree.value.entries or {}).get(key) if tree is not None else None
    if tree is None or not (tree.value.text or "").isdecimal():
        return {}
    return {"PARALLELISM_SIZE": Word(text=str(int(tree.value.text or 0) * nodes), span=tree.value.span)}
