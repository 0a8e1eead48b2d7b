"""KServe: inference services whose server is a container of their own, or a runtime with arguments.

What each key means: https://kserve.github.io/website/docs/reference/crd-api; a model lies in ``/mnt/models``, fetched
from ``storageUri``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.pod import Pod
from glmdeploy.authoring.formats.stream import label, refused
from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.authoring.launch.servers import MODULE
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.formats.section import Section
    from glmdeploy.authoring.launch.launch import Launch
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
MODEL_INFO: Mapping[str, str] = {
    "protocolVersion": "the server speaks the API of OpenAI",
    "runtimeVersion": "it is the tag of the runtime's image, which is not in this text",
    "storage": "the download stage fetches the model into a volume",
}
WORKER_INFO: Mapping[str, str] = {"tensorParallelSize": "`tp-size` is what the launch itself gives SGLang"}
_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?::([\w./-]+))?")


def launches(root: Section, kind: str, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    """The launches of an object of KServe's.

    :raises ProfileError: where its server is described elsewhere.
    """
    if kind == "LLMInferenceService":
        entries = root.tree.entries or {}
        message = "this is an LLMInferenceService of KServe, which cannot be imported"
        raise refused(root.script, message, entries["kind"].value.span, fix="import the command of its server alone")
    spec = root.section("spec")
    if spec is None:
        return []
    if kind in ("ServingRuntime", "ClusterServingRuntime"):
        worker = _worker(spec, configs)
        return _of_nodes(Pod(spec=spec, configs=configs).launches(info=RUNTIME_INFO), worker)
    predictor = spec.section("predictor") if kind == "InferenceService" else None
    if predictor is None:
        return []
    worker = _worker(predictor, configs)
    pod = Pod(spec=predictor, configs=configs)
    model = predictor.section("model")
    found = pod.launches(
        info=PREDICTOR_INFO, beside=lambda product, _: _of_model(model, pod, product) if model is not None else []
    )
    spec.close(warned=dict.fromkeys(("transformer", "explainer"), "only the server itself is deployed"))
    return [_fetched(each) for each in _of_nodes(found, worker)]


def _worker(section: Section, configs: Mapping[str, Mapping[str, Pair]]) -> tuple[Word | None, list[Launch]]:
    """The number of nodes, and the launches of those behind the first one."""
    worker = section.section("workerSpec")
    if worker is None:
        return None, []
    nodes = worker.word("pipelineParallelSize")
    return nodes, Pod(spec=worker, configs=configs).launches(info=WORKER_INFO)


def _of_nodes(found: list[Launch], worker: tuple[Word | None, list[Launch]]) -> list[Launch]:
    nodes, more = worker
    return [replace(each, nodes=each.nodes or nodes) for each in (*found, *(more if found else ()))]


def _fetched(launch: Launch) -> Launch:
    """The launch with the repository that the variable of a container of one's own has KServe download."""
    uri = launch.env.get("STORAGE_URI")
    repo = _HUB.fullmatch(uri.text) if uri is not None else None
    if uri is None or repo is None:
        return launch
    env = {name: value for name, value in launch.env.items() if name != "STORAGE_URI"}
    return replace(launch, words=_with_model(launch.words, _repo(uri, repo)), env=env)


def _repo(uri: Word, repo: re.Match[str]) -> Word:
    return Word(text=repo[1], span=uri.span, raw=repo[1], offsets=uri.offsets[5 : 5 + len(repo[1])])


def _of_model(model: Section, pod: Pod, product: Word | None) -> list[Launch]:
    """The launch by a runtime, which has the image and the command."""
    runtime, uri = model.word("runtime"), model.word("storageUri")
    form = model.section("modelFormat")
    names = [each for each in (runtime, form.word("name") if form else None) if each is not None]
    name = next((each for each in names if "sglang" in each.text.lower()), None)
    if "command" not in model and name is None:
        shown = label(names[0].text) if names else "one that the cluster chooses"
        raise refused(
            model.script,
            f"the server is the runtime {shown}, which is not in this text and is not known to be SGLang",
            names[0].span if names else model.tree.span,
            fix="import the ServingRuntime, or name a runtime of SGLang's",
        )
    span = name.span if name is not None else model.tree.span
    command = [Word(text=each, span=span) for each in ("python3", "-m", MODULE)]
    found = pod.container(model, product, {}, info=MODEL_INFO, command=command)
    notes: list[Note] = []
    if form is not None:
        form.close(info=dict.fromkeys(("version",), MODEL_INFO["runtimeVersion"]))
    if name is not None:
        message = f"the image and the command are those of the runtime {label(name.text)}, which is not in this text"
        notes.append(Note(severity=Severity.WARNING, message=message, span=span))
    elif runtime is not None:
        message = "the runtime was left out: the command stands here"
        notes.append(Note(severity=Severity.INFO, message=message, span=runtime.span))
    repo = _HUB.fullmatch(uri.text) if uri is not None else None
    if uri is not None and repo is not None:
        found = [replace(each, words=_with_model(each.words, _repo(uri, repo))) for each in found]
    elif uri is not None:
        message = f"the model comes from {label(uri.text)}, from which nothing is downloaded"
        fix = "name the model's repository with --repo ORG/NAME"
        notes.append(Note(severity=Severity.WARNING, message=message, span=uri.span, fix=fix))
    return [replace(each, notes=(*notes, *each.notes)) for each in found]


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
