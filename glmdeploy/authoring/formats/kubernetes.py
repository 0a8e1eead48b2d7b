"""Kubernetes manifests: the objects of a file, and the pods that they start.

The kinds of Kubernetes itself (https://kubernetes.io/docs/reference/kubernetes-api/), of Knative
(https://knative.dev/docs/serving/), of LeaderWorkerSet (https://lws.sigs.k8s.io/docs/reference/leaderworkerset.v1/).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import kserve, ome, rbg
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.pod import Pod, metadata
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import documents, finished, label, mappings, refused
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.profile.text.foreign import Pair, Tree

NAME = "a Kubernetes manifest"

WORKLOADS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "DeploymentConfig"),
        ("spec", "template"),
    ),
    "Service": ("spec", "template"),  # Knative's; the one of Kubernetes has no template
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
    "Pod": (),
}
"""Kinds that start pods, and where the pod stands in them."""

FOREIGN: Mapping[str, str] = {
    "ray.io": "a Ray cluster's manifest (KubeRay)",
    "argoproj.io": "an Argo manifest",
    "kubeflow.org": "a Kubeflow manifest",
    "batch.volcano.sh": "a Volcano job",
    "jobset.x-k8s.io": "a JobSet",
    "tekton.dev": "a Tekton manifest",
    "nvidia.com": "a manifest of NVIDIA's operators",
    "ome.io": "a manifest of OME whose server is described elsewhere",
    "kustomize.config.k8s.io": "a Kustomize file",
    "helm.toolkit.fluxcd.io": "a Helm release of Flux",
    "helm.cattle.io": "a Helm chart of K3s",
    "source.toolkit.fluxcd.io": "a manifest of Flux",
    "workload.codeflare.dev": "a CodeFlare manifest",
    "kaito.sh": "a KAITO workspace",
    "inference.llmaz.io": "a manifest of llmaz",
    "orchestration.aibrix.ai": "a manifest of AIBrix",
}
"""API groups of other programs, whose kinds are refused by their name where nothing else launches SGLang."""

_URL = "Modal gives a URL of its own"
_SCALED = "Modal starts and ends containers by itself"
_CLUSTER = "it is the cluster's own matter"
LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(("Service", "Ingress", "IngressClass", "Gateway", "HTTPRoute", "VirtualService", "Route"), _URL),
    **dict.fromkeys(
        ("HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget", "VerticalPodAutoscaler"), _SCALED
    ),
    **dict.fromkeys(
        ("Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), _CLUSTER
    ),
    **dict.fromkeys(("NetworkPolicy", "PriorityClass", "ResourceQuota", "LimitRange", "ServiceMonitor"), _CLUSTER),
    **dict.fromkeys(("PersistentVolumeClaim", "PersistentVolume", "StorageClass"), "a Modal Volume takes its place"),
    "ConfigMap": "what of it is a variable of the server stands there, and its files are not in a Modal container",
    "Secret": "put its values into a Modal Secret",
    "PodMonitor": _CLUSTER,
    "RuntimeClass": _CLUSTER,
}
"""Kinds beside the launch, with the reason why nothing of them is in a profile."""

ROOT_NO_MATTER: Mapping[str, str] = {
    "apiVersion": "which kind of object this is",
    "kind": "which kind of object this is",
    "status": "the cluster's own record",
}
SPEC_INFO: Mapping[str, str] = {
    **dict.fromkeys(("replicas", "strategy", "updateStrategy", "minReadySeconds", "progressDeadlineSeconds"), _SCALED),
    **dict.fromkeys(("backoffLimit", "completions", "parallelism", "ttlSecondsAfterFinished"), _SCALED),
    **dict.fromkeys(("activeDeadlineSeconds", "suspend", "completionMode", "podManagementPolicy"), _SCALED),
    **dict.fromkeys(("schedule", "concurrencyPolicy", "successfulJobsHistoryLimit", "traffic", "paused"), _SCALED),
    **dict.fromkeys(("failedJobsHistoryLimit", "revisionHistoryLimit", "triggers", "rolloutStrategy"), _SCALED),
    **dict.fromkeys(("startupPolicy", "networkConfig", "ordinals", "podFailurePolicy"), _SCALED),
    "volumeClaimTemplates": "a Modal Volume takes its place",
    "persistentVolumeClaimRetentionPolicy": "a Modal Volume takes its place",
    "serviceName": _URL,
}
SPEC_NO_MATTER: Mapping[str, str] = {"selector": "which pods are the object's own"}
KNATIVE_INFO: Mapping[str, str] = dict.fromkeys(
    ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"), _SCALED
)


def shows(script: Script) -> Span | None:
    """The place of the first `kind` beside an `apiVersion`."""
    for entries in mappings(script):
        if "apiVersion" in entries and "kind" in entries and entries["kind"].value.text is not None:
            return entries["apiVersion"].key.span
    return None


def launches(script: Script) -> list[Launch]:
    """The launches of all pods in the file.

    :raises ProfileError: where there are none.
    """
    notes: list[Note] = []
    objects = [each for tree in documents(script) for each in _objects(script, tree, notes)]
    configs = {_name(each): data for each in objects if _text(each, "kind") == "ConfigMap" and (data := _data(each))}
    found: list[Launch] = []
    for tree in objects:
        of_object = _of_object(script, tree, configs)
        if not of_object and (note := _left_out(tree)):
            notes.append(note)
        found += of_object
    if not found:
        _refuse_kinds(script, objects)
        notes += _scripts(configs)
    return finished(script, found, notes, what=NAME, span=shows(script) or (0, 1))


def _refuse_kinds(script: Script, objects: list[Tree]) -> None:
    """Refuse what may launch SGLang in a way that is not read, by the name of its kind."""
    for tree in objects:
        kind, group = _text(tree, "kind"), _group(tree)
        if not kind or (group not in FOREIGN and (kind in WORKLOADS or kind in LEFT_OUT)) or group == kserve.GROUP:
            continue
        if kind != "LeaderWorkerSet":
            name = FOREIGN.get(group, f"a Kubernetes object of the kind {shown(kind)}")
            raise refused(
                script,
                f"this is {name}, which cannot be imported",
                (tree.entries or {})["kind"].value.span,
                fix="import the command that its server runs, as a shell text",
            )


def _objects(script: Script, tree: Tree, notes: list[Note]) -> Iterator[Tree]:
    """The objects of a document: those in a List, or itself."""
    if tree.items is not None:
        for item in tree.items:
            yield from _objects(script, item, notes)
    elif tree.entries is not None:
        items = tree.entries.get("items")
        if _text(tree, "kind").endswith("List") and items is not None and items.value.items is not None:
            for item in items.value.items:
                yield from _objects(script, item, notes)
            root = Section(script=script, tree=tree, notes=notes)
            metadata(root)
            root.close(no_matter={**ROOT_NO_MATTER, "items": "the objects, each of which is read"})
        else:
            yield tree


def _of_object(script: Script, tree: Tree, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    notes: list[Note] = []
    root = Section(script=script, tree=tree, notes=notes)
    kind = _text(tree, "kind")
    if _group(tree) == kserve.GROUP:
        found = kserve.launches(root, kind, configs)
    elif _group(tree) == ome.GROUP:
        found = ome.launches(root, kind, configs)
    elif kind == rbg.KIND:
        found = rbg.launches(root, configs)
    elif kind == "LeaderWorkerSet":
        found = _leader_and_workers(root, configs)
    elif kind in WORKLOADS and _group(tree) not in FOREIGN:
        found = _workload(root, WORKLOADS[kind], configs)
    else:
        return []
    metadata(root)
    root.close(no_matter=ROOT_NO_MATTER)
    return [replace(each, notes=(*notes, *each.notes)) for each in found]


def _workload(root: Section, path: tuple[str, ...], configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    if path and (path[0] not in root or (root.tree.entries or {})[path[0]].value.entries is None):
        return []
    section = root
    opened: list[Section] = []
    for name in path:
        if name not in section:
            return []
        inner = section.section(name)
        if inner is None:
            return []
        section = inner
        opened.append(section)
    found = template(section, configs, is_root=not path)
    for each in opened[:-1]:
        metadata(each)
        each.close(info=SPEC_INFO, no_matter=SPEC_NO_MATTER)
    return found


def template(
    section: Section,
    configs: Mapping[str, Mapping[str, Pair]],
    *,
    is_root: bool = False,
    given: Mapping[str, Word] | None = None,
) -> list[Launch]:
    """The launches of a pod template, or with ``is_root`` of a pod; ``given`` are variables that the cluster sets."""
    spec = section.section("spec")
    if not is_root:
        metadata(section)
        section.close(no_matter=ROOT_NO_MATTER)
    return Pod(spec=spec, configs=configs, given=given or {}).launches(info=KNATIVE_INFO) if spec else []


def _leader_and_workers(root: Section, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    spec = root.section("spec")
    group = spec.section("leaderWorkerTemplate") if spec else None
    if spec is None or group is None:
        return []
    size = group.word("size")
    leader, worker = group.section("leaderTemplate"), group.section("workerTemplate")
    several = size is not None and size.text.isdecimal() and int(size.text) > 1
    # https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
    given = {"LWS_GROUP_SIZE": size} if size is not None else {}
    first = {"LWS_WORKER_INDEX": Word(text="0", span=size.span)} if size is not None else {}
    found = template(leader, configs, given={**given, **first}) if leader else []
    if worker and several:  # without a template of its own, the first one is as the others
        found += template(worker, configs, given=given)
    elif worker and not found:
        found = template(worker, configs, given={**given, **first})
    elif worker:
        group.left_out("workerTemplate", "a group of one has no workers")
    found = [replace(each, nodes=each.nodes or size) for each in found]
    group.close(info=dict.fromkeys(("restartPolicy", "subGroupPolicy", "volumeClaimTemplates"), _SCALED))
    spec.close(info=SPEC_INFO)
    return found


def _left_out(tree: Tree) -> Note | None:
    """That an object has no launch, with the reason for its kind."""
    entries = tree.entries or {}
    if "kind" not in entries:
        severity, message = Severity.WARNING, "what stands here is no object of Kubernetes, and was left out"
        return Note(severity=severity, message=message, span=next(iter(entries.values())).key.span) if entries else None
    kind = _text(tree, "kind")
    if _group(tree) not in FOREIGN and kind in WORKLOADS and kind != "Service":
        reason, severity = "it does not launch SGLang", Severity.INFO
    elif kind in LEFT_OUT:
        reason, severity = LEFT_OUT[kind], Severity.INFO
    else:
        reason, severity = "this kind of object is not known to start a server", Severity.WARNING
    message = f"the {shown(kind)} {label(_name(tree))} was left out: {reason}"
    return Note(severity=severity, message=message, span=entries["kind"].value.span)


def _scripts(configs: Mapping[str, Mapping[str, Pair]]) -> Iterator[Note]:
    for name, data in configs.items():
        for key, pair in data.items():
            if "sglang" in (pair.value.text or ""):
                message = f"the text {label(key)} of the ConfigMap {label(name)} names SGLang"
                fix = "import that text alone, if it is the server's script"
                yield Note(severity=Severity.ERROR, message=message, span=pair.key.span, fix=fix)


def _data(tree: Tree) -> Mapping[str, Pair] | None:
    pair = (tree.entries or {}).get("data")
    return pair.value.entries if pair else None


def _text(tree: Tree, key: str) -> str:
    pair = (tree.entries or {}).get(key)
    return (pair.value.text or "") if pair else ""


def _group(tree: Tree) -> str:
    return _text(tree, "apiVersion").partition("/")[0]


def _name(tree: Tree) -> str:
    pair = (tree.entries or {}).get("metadata")
    return _text(pair.value, "name") if pair else ""


FORMAT = Format(name=NAME, shows=shows, launches=launches)
