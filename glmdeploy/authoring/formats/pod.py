"""The containers of a Kubernetes pod: commands, environment, GPUs, and what is around them.

What each key means: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/; ``$(NAME)`` in
commands: https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.references import expanded, without_template
from glmdeploy.authoring.formats.section import Section, passed_on, word
from glmdeploy.authoring.formats.stream import label
from glmdeploy.authoring.launch.find import in_image
from glmdeploy.authoring.launch.launch import Container, Launch, Word
from glmdeploy.authoring.launch.variables import Scope
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Note
    from glmdeploy.profile.text.foreign import Pair, Tree

_MODALS = "Modal decides it for its containers"
_RUNS = "Modal starts, watches and ends its containers by itself"
_CHOSEN = "Modal chooses the machine by the GPU"
_CLUSTER = "it is the cluster's own matter"

POD_INFO: Mapping[str, str] = {
    **dict.fromkeys(
        ("securityContext", "hostIPC", "hostPID", "hostNetwork", "shareProcessNamespace", "dnsPolicy"), _MODALS
    ),
    **dict.fromkeys(("runtimeClassName", "dnsConfig", "setHostnameAsFQDN", "hostUsers", "overhead"), _MODALS),
    **dict.fromkeys(
        ("restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "readinessGates"), _RUNS
    ),
    **dict.fromkeys(("tolerations", "topologySpreadConstraints", "nodeName", "schedulerName", "affinity"), _CHOSEN),
    **dict.fromkeys(("priorityClassName", "priority", "preemptionPolicy", "schedulingGates", "os"), _CHOSEN),
    **dict.fromkeys(("serviceAccountName", "serviceAccount", "automountServiceAccountToken"), _CLUSTER),
    **dict.fromkeys(("hostname", "subdomain", "enableServiceLinks"), _CLUSTER),
    "imagePullSecrets": "an image of a private registry needs a Modal Secret of its own",
}
"""Keys of a pod that have no place in a profile and need none, with the reason."""

POD_WARNED: Mapping[str, str] = {
    "hostAliases": "a Modal container asks the public DNS alone",
    "resourceClaims": "name the GPU with --gpu",
    "ephemeralContainers": "they are not started",
}

CONTAINER_INFO: Mapping[str, str] = {
    **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe", "restartPolicy", "resizePolicy"), _RUNS),
    "securityContext": _MODALS,
}

CONTAINER_WARNED: Mapping[str, str] = {
    "lifecycle": "its commands are not run",
    "workingDir": "the server starts in the folder that the image names",
    "volumeDevices": "a Modal container does not have them",
}

CONTAINER_NO_MATTER: Mapping[str, str] = {
    "name": "a name in the cluster",
    "imagePullPolicy": "Modal builds an image once",
    "stdin": "of the terminal only",
    "stdinOnce": "of the terminal only",
    "tty": "of the terminal only",
    "terminationMessagePath": "where the cluster reads of an end",
    "terminationMessagePolicy": "where the cluster reads of an end",
}

METADATA_NO_MATTER: Mapping[str, str] = {
    **dict.fromkeys(("name", "namespace", "generateName"), "a name in the cluster"),
    **dict.fromkeys(("creationTimestamp", "uid", "resourceVersion", "generation"), "the cluster's own record"),
    **dict.fromkeys(("managedFields", "ownerReferences", "finalizers", "selfLink"), "the cluster's own record"),
}
METADATA_INFO: Mapping[str, str] = dict.fromkeys(
    ("labels", "annotations"), "they are read by other programs of the cluster"
)

GPU = "nvidia.com/gpu"
PRODUCTS = frozenset(
    {
        *("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"),
        *("k8s.amazonaws.com/accelerator", "gpu.nvidia.com/class", "gpu.nvidia.com/model", "accelerator"),
    }
)
"""Labels of nodes that name their GPU: of NVIDIA's feature discovery, Google, Karpenter, CoreWeave."""

_OTHER_DEVICE = re.compile(
    r"nvidia\.com/mig-.*|(?!nvidia\.com/gpu$).*/(?:x?gpu|tpu|neuron\w*|Ascend\w*|npu|.*gpu.*)", re.IGNORECASE
)


@dataclass(kw_only=True)
class Pod:
    """``spec`` is the pod's; ``configs`` has the data of the file's ConfigMaps by their names.

    ``given`` are variables that the cluster sets in all containers.
    """

    spec: Section
    configs: Mapping[str, Mapping[str, Pair]] = field(default_factory=dict)
    given: Mapping[str, Word] = field(default_factory=dict)

    def launches(
        self,
        *,
        info: Mapping[str, str] | None = None,
        beside: Callable[[Word | None, Mapping[str, Section]], list[Launch]] | None = None,
    ) -> list[Launch]:
        """The launches of all containers.

        ``info`` is of keys that only this kind of pod has. ``beside`` finds launches that are no containers of it, and
        is given what the pod says of GPUs, and its volumes.
        """
        outer = self.spec.notes
        notes: list[Note] = []
        self.spec.notes = notes
        product = self._product()
        volumes = {name: each for each in self.spec.sections("volumes") if (name := each.called)}
        found: list[Launch] = []
        for container in self.spec.sections("containers"):
            of_container = self.container(container, product, volumes)
            if not of_container:
                message = f"the container {label(container.called or '?')} was left out: it does not launch SGLang"
                self.spec.note(Severity.INFO, message, container.place)
            found += of_container
        for container in self.spec.sections("initContainers"):
            message = f"the init container {label(container.called or '?')} was left out: what it prepares is not there"
            self.spec.note(Severity.WARNING, message, container.place)
        if beside is not None and not found:
            found = beside(product, volumes)
        self.spec.close(info={**POD_INFO, **(info or {})}, warned=POD_WARNED)
        self.spec.notes = outer
        return [replace(each, notes=(*notes, *each.notes)) for each in found]

    def container(
        self,
        container: Section,
        product: Word | None,
        volumes: Mapping[str, Section],
        *,
        info: Mapping[str, str] | None = None,
        command: Sequence[Word] = (),
    ) -> list[Launch]:
        """The launches of one container.

        ``info`` is of keys that only this kind of container has, ``command`` what runs where it has none.
        """
        notes: list[Note] = []
        container.notes = notes
        env = self._environment(container)
        argv = [
            expanded(container.text_of(each, name), {**self.given, **env})
            for name in ("command", "args")
            for each in container.items(name)
        ]
        argv = argv if "command" in container else [*command, *argv]
        image = container.word("image") or passed_on("IMAGE", container.tree.span)
        flags: list[tuple[str, Word]] = []
        for port in container.sections("ports"):
            if number := port.word("containerPort"):
                flags.append(("publish", number))
            port.close(no_matter=dict.fromkeys(("name", "protocol", "hostPort", "hostIP"), "of the cluster's network"))
        for mount in container.sections("volumeMounts"):
            flags += self._mount(mount, volumes)
        gpu = self._gpu(container, product)
        container.close(info={**CONTAINER_INFO, **(info or {})}, warned=CONTAINER_WARNED, no_matter=CONTAINER_NO_MATTER)
        try:
            scope = Scope(ambient=self.given)
            found = in_image(argv, env, Container(image=without_template(image), flags=tuple(flags)), scope=scope)
        except ShellError:
            if "sglang" in "".join(each.text for each in (*argv, image)):
                raise
            return []
        return [replace(each, gpu=each.gpu or gpu, notes=(*notes, *each.notes)) for each in found]

    def _environment(self, container: Section) -> dict[str, Word]:
        env: dict[str, Word] = {}
        for source in container.sections("envFrom"):
            self._from(source, env)
        for entry in container.sections("env"):
            name, value, origin = entry.word("name"), entry.take("value"), entry.take("valueFrom")
            entry.close()
            if name is None:
                continue
            if value is not None:
                env[name.text] = expanded(entry.text_of(value, name.text), env)
            elif origin is None:
                env[name.text] = Word(text="", span=name.span)
            else:
                env[name.text] = self._referred(origin) or passed_on(name.text, name.span)
        return env

    def _referred(self, origin: Tree) -> Word | None:
        """The value in a ConfigMap that the file has."""
        reference = (origin.entries or {}).get("configMapKeyRef")
        entries = (
            {name: pair.value.text or "" for name, pair in (reference.value.entries or {}).items()} if reference else {}
        )
        pair = self.configs.get(entries.get("name", ""), {}).get(entries.get("key", ""))
        return word(pair.value) if pair is not None and pair.value.text is not None else None

    def _from(self, source: Section, env: dict[str, Word]) -> None:
        prefix = source.word("prefix")
        for kind, what in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            reference = source.section(kind)
            if reference is None:
                continue
            name = reference.word("name")
            reference.close(no_matter={"optional": "whether it must be there"})
            data = self.configs.get(name.text if name else "")
            if kind == "configMapRef" and data is not None:
                for key, pair in data.items():
                    if pair.value.text is not None:
                        env[(prefix.text if prefix else "") + key] = word(pair.value)
            else:
                message = f"the variables of the {what} {label(name.text if name else '')} are not in this text"
                fix = "put secrets into a Modal Secret, and the others under `sglang.env`"
                source.note(Severity.WARNING, message, name.span if name else reference.tree.span, fix)
        source.close()

    def _mount(self, mount: Section, volumes: Mapping[str, Section]) -> Iterator[tuple[str, Word]]:
        path, name = mount.word("mountPath"), mount.word("name")
        mount.close(
            no_matter=dict.fromkeys(("readOnly", "subPath", "subPathExpr", "mountPropagation"), "of its folder")
        )
        if path is None:
            return
        volume = volumes.get(name.text if name else "")
        kinds = [key for key in volume.names() if key != "name"] if volume else []
        if path.text == "/dev/shm":
            yield "shm-size", path
        elif kinds and kinds[0] in ("configMap", "secret", "projected", "downwardAPI"):
            message = f"the files in {label(path.text)} were left out: a Modal container does not have them"
            mount.note(Severity.WARNING, message, path.span)
        else:
            yield "volume", replace(path, text=f"{name.text if name else ''}:{path.text}", offsets=())

    def _gpu(self, container: Section, product: Word | None) -> Word | None:
        """The number of GPUs, with what the pod says of their kind."""
        resources = container.section("resources")
        if resources is None:
            return product
        count: Word | None = None
        for name in ("requests", "limits"):
            part = resources.section(name)
            if part is None:
                continue
            count = part.word(GPU) or count
            for key in part.names():
                if key != GPU and _OTHER_DEVICE.fullmatch(key):
                    part.left_out(key, "Modal has whole GPUs of NVIDIA's alone", Severity.WARNING)
            part.close(info=dict.fromkeys(part.names(), "Modal gives what the server needs beside its GPUs"))
        resources.close(warned={"claims": "name the GPU with --gpu"})
        if count is None or not count.text.isdecimal():
            return product
        if product is None:
            return replace(count, text=f":{count.text}", offsets=(count.span[0], *count.offsets))
        offsets = (*product.offsets, count.span[0], *count.offsets)
        return replace(count, text=f"{product.text}:{count.text}", offsets=offsets)

    def _product(self) -> Word | None:
        """The GPU that the pod wants its node to have."""
        found: Word | None = None
        selector = self.spec.section("nodeSelector")
        for key in selector.names() if selector else ():
            assert selector is not None
            if key in PRODUCTS:
                found = selector.word(key)
            else:
                selector.left_out(key, _CHOSEN)
        affinity = (self.spec.tree.entries or {}).get("affinity")
        return found or (_preferred(affinity.value) if affinity else None)


def metadata(section: Section) -> None:
    """What a cluster calls an object, of which nothing is in a profile."""
    if inner := section.section("metadata"):
        inner.close(info=METADATA_INFO, no_matter=METADATA_NO_MATTER)


def _preferred(tree: Tree) -> Word | None:
    """The first GPU that an affinity names, wherever in it."""
    entries = tree.entries or {}
    key, values = entries.get("key"), entries.get("values")
    if key is not None and key.value.text in PRODUCTS and values is not None and values.value.items:
        first = values.value.items[0]
        return word(first) if first.text is not None else None
    below = [pair.value for pair in entries.values()] + list(tree.items or ())
    return next((found for each in below if (found := _preferred(each))), None)
