"""KServe: inference services whose server is a container of their own, or a runtime with arguments.

What each key means: https://kserve.github.io/website/docs/reference/crd-api; a model lies in ``/mnt/models``, fetched
from ``storageUri``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.pod import Pod
from glmdeploy.authoring.formats.stream import label, refused, several_nodes
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.formats.section import Section
    from glmdeploy.profile.text.foreign import Pair

GROUP = "serving.kserve.io"
MOUNT = "/mnt/models"

_SCALED = "Modal starts and ends containers by itself"
PREDICTOR_INFO: Mapping[str, str] = {
    **dict.fromkeys(("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType"), _SCALED),
    **dict.fromkeys(
        ("containerConcurrency", "timeout", "canaryTrafficPercent", "deploymentStrategy", "autoScaling"), _SCALED
    ),
    **dict.fromkeys(("logger", "batcher", "labels", "annotations"), "it is the cluster's own matter"),
}
RUNTIME_INFO: Mapping[str, str] = dict.fromkeys(
    (
        *("supportedModelFormats", "protocolVersions", "multiModel", "disabled", "builtInAdapter", "replicas"),
        *("grpcEndpoint", "grpcDataEndpoint", "httpDataEndpoint", "storageHelper", "annotations", "labels"),
    ),
    "which models a cluster gives to this runtime",
)
_MODEL_INFO = (
    ("modelFormat", "which runtime a cluster takes"),
    ("runtime", "which runtime a cluster takes"),
    ("protocolVersion", "the server speaks the API of OpenAI"),
    ("runtimeVersion", "the tag of the runtime's image, which is not in this text"),
)
_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?::([\w./-]+))?")


def launches(root: Section, kind: str, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    """The launches of an object of KServe's.

    :raises ProfileError: where its server is described elsewhere, or runs on several nodes.
    """
    if kind == "LLMInferenceService":
        entries = root.tree.entries or {}
        message = "this is an LLMInferenceService of KServe, which cannot be imported"
        raise refused(root.script, message, entries["kind"].value.span, fix="import the command of its server alone")
    spec = root.section("spec")
    if spec is None:
        return []
    if kind in ("ServingRuntime", "ClusterServingRuntime"):
        return Pod(spec=spec, configs=configs).launches(info=RUNTIME_INFO)
    predictor = spec.section("predictor") if kind == "InferenceService" else None
    if predictor is None:
        return []
    if "workerSpec" in predictor:
        raise several_nodes(root.script, 2, predictor.key("workerSpec").span)
    notes: list[Note] = []
    outer, predictor.notes = predictor.notes, notes
    model = predictor.section("model")
    pod = Pod(spec=predictor, configs=configs)
    found = pod.launches(info=PREDICTOR_INFO)
    if model is not None and not found:
        found = [replace(each, notes=(*notes, *each.notes)) for each in _of_model(model, pod)]
    predictor.notes = outer
    spec.close(warned=dict.fromkeys(("transformer", "explainer"), "only the server itself is deployed"))
    return found


def _of_model(model: Section, pod: Pod) -> list[Launch]:
    """A launch by a runtime, which has the image and the command."""
    runtime, uri, image = model.word("runtime"), model.word("storageUri"), model.take("image")
    form = model.section("modelFormat")
    names = [each.text for each in (runtime, form.word("name") if form else None) if each is not None]
    if image is None and names and not any("sglang" in each.lower() for each in names):
        raise refused(
            model.script,
            f"the server is the runtime {label(names[0])}, which is not in this text and is not known to be SGLang",
            runtime.span if runtime else model.tree.span,
            fix="import the ServingRuntime, or name a runtime of SGLang's",
        )
    storage: list[Note] = []
    found = pod.container(model, None, {}, *_MODEL_INFO)
    if not found:
        arguments = [model.text_of(each, "args") for each in model.items("args")]
        found = [Launch(words=tuple(arguments), place=(runtime.span if runtime else model.tree.span), env={})]
    if image is None and runtime is not None:
        message = f"the image is that of the runtime {label(runtime.text)}, which is not in this text"
        storage.append(Note(severity=Severity.WARNING, message=message, span=runtime.span))
    if uri is None:
        return [replace(each, notes=(*storage, *each.notes)) for each in found]
    repo = _HUB.fullmatch(uri.text)
    if repo is None:
        message = f"the model comes from {label(uri.text)}, from which nothing is downloaded"
        fix = "name the model's repository with --repo ORG/NAME"
        storage.append(Note(severity=Severity.WARNING, message=message, span=uri.span, fix=fix))
        return [replace(each, notes=(*storage, *each.notes)) for each in found]
    place = Word(text=repo[1], span=uri.span, raw=repo[1], offsets=uri.offsets[5 : 5 + len(repo[1])])
    return [replace(each, words=_with_model(each.words, place), notes=(*storage, *each.notes)) for each in found]


def _with_model(words: tuple[Word, ...], repo: Word) -> tuple[Word, ...]:
    """The arguments with the repository in the place of the folder to which KServe downloads it."""
    flag = Word(text="--model-path", span=repo.span)
    names = ("--model-path", "--model")
    for index, each in enumerate(words):
        name, equals, value = each.text.partition("=")
        if name in names and equals:
            return (*words[:index], flag, repo, *words[index + 1 :]) if value.rstrip("/") == MOUNT else words
        if name in names and index + 1 < len(words):
            if words[index + 1].text.rstrip("/") != MOUNT:
                return words
            return (*words[: index + 1], repo, *words[index + 2 :])
    return (flag, repo, *words)
