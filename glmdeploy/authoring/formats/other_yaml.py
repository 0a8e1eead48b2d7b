"""Files in YAML or JSON that are refused by their name: what shows them, and what to import instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.stream import documents, mappings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.profile.text.foreign import Pair, Tree

    Entries: TypeAlias = Mapping[str, Pair]

_HELM_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:/\*|\(?\s*(?:(?:if|with|range|else if|and|or|not|toYaml|tpl|required|default|quote|eq|printf)\s+)*"
    r"\(?\s*\$?\.(?:Values|Release|Chart|Capabilities|Files|Template)\b|(?:include|template|define)\s+\")"
)
_OBJECT = re.compile(r"^(?:apiVersion|kind):", re.MULTILINE)
_HELM_VALUES = frozenset(
    {
        *("replicaCount", "nameOverride", "fullnameOverride", "imagePullSecrets", "podAnnotations", "podLabels"),
        *("podSecurityContext", "serviceAccount", "ingress", "autoscaling", "nodeSelector", "tolerations", "affinity"),
        *("livenessProbe", "readinessProbe", "extraArgs", "extraEnv", "extraEnvVars", "persistence", "pvc"),
        *("resources", "service"),
    }
)
"""Keys of the values that `helm create` writes, and of charts for model servers; two of them show such a file."""

_OWN_COMMAND = "import the command that it runs, as a shell text"


def helm_template(script: Script) -> Span | None:
    """The first action of a template of Helm's, which is no YAML."""
    if not script.file.endswith((".yaml", ".yml", ".tpl")) and not _OBJECT.search(script.text):
        return None
    found = _HELM_TEMPLATE.search(script.text)
    return found.span() if found else None


def helm_values(script: Script) -> Span | None:
    """An image by its repository and tag, or several keys that charts have."""
    for entries in mappings(script)[:1]:
        if entries.keys() & {"apiVersion", "services", "run", "docker_server", "containerDefinitions"}:
            return None
        for name, pair in entries.items():
            image = pair if name == "image" else (pair.value.entries or {}).get("image")
            if image is not None and "repository" in (image.value.entries or {}):
                return image.key.span
        if "servingEngineSpec" in entries:  # of the chart that the vLLM production stack has
            return entries["servingEngineSpec"].key.span
        found = [entries[name] for name in entries if name in _HELM_VALUES]
        if len(found) > 1 and "type" not in entries:
            return found[0].key.span
    return None


def _with(*names: str, one_of: frozenset[str] = frozenset()) -> Callable[[Script], Span | None]:
    """Shows a mapping that has all of the keys, and one of the others; its place is the first of them."""

    def shows(script: Script) -> Span | None:
        for entries in mappings(script)[:1]:
            if all(name in entries for name in names) and (not one_of or one_of & entries.keys()):
                return entries[names[0]].key.span
        return None

    return shows


def _ray_serve(script: Script) -> Span | None:
    for entries in mappings(script)[:1]:
        if "import_path" in entries and "apiVersion" not in entries:
            return entries["import_path"].key.span
        applications = entries.get("applications")
        for item in (applications.value.items or ()) if applications else ():
            if {"import_path", "route_prefix", "deployments"} & (item.entries or {}).keys() and applications:
                return applications.key.span
    return None


def _gitlab(script: Script) -> Span | None:
    for entries in mappings(script)[:1]:
        for name, pair in entries.items():
            job = pair.value.entries or {}
            if "script" in job and (len(job) > 1 or "stages" in entries or name.startswith(".")):
                return job["script"].key.span
    return None


def _ansible(script: Script) -> Span | None:
    for document in documents(script)[:1]:
        for item in document.items or ():
            found = _play(item)
            if found:
                return found
    return None


def _play(item: Tree) -> Span | None:
    entries = item.entries or {}
    if "hosts" in entries and entries.keys() & {"tasks", "roles", "pre_tasks", "handlers", "become", "gather_facts"}:
        return entries["hosts"].key.span
    module = next((name for name in entries if name.startswith(("ansible.", "community."))), None)
    module = module or next((name for name in ("shell", "command", "docker_container") if name in entries), None)
    return entries[module].key.span if module and "name" in entries else None


def _compose_1(script: Script) -> Span | None:
    """Services that stand at the top, as Docker Compose had them before its version 2."""
    for entries in mappings(script)[:1]:
        services = [pair.value.entries or {} for pair in entries.values()]
        keys = {"command", "entrypoint", "ports", "volumes", "environment", "restart"}
        if services and all(("image" in each or "build" in each) and keys & each.keys() for each in services):
            return next(iter(entries.values())).key.span
    return None


def _steps(script: Script) -> Span | None:
    for entries in mappings(script)[:1]:
        steps = entries.get("steps")
        if (
            steps is not None
            and steps.value.items
            and entries.keys() & {"pool", "trigger", "pr", "substitutions", "kind"}
        ):
            return steps.key.span
    return None


_KUSTOMIZE = frozenset({"images", "patches", "configMapGenerator", "namePrefix", "helmCharts"})
_PROFILE = frozenset({"model", "gpu", "app", "server"})

FORMATS: tuple[Format, ...] = (
    Format(
        name="a profile of glmdeploy",
        shows=_with("schema", "sglang", one_of=_PROFILE),
        advice="it needs no import: run `glmdeploy validate` on it",
    ),
    Format(
        name="a GitHub Actions workflow",
        shows=_with("jobs", "on"),
        advice="import the command in its `run`, as a shell text",
    ),
    Format(name="a CircleCI configuration", shows=_with("jobs", "workflows"), advice=_OWN_COMMAND),
    Format(name="a GitLab CI file", shows=_gitlab, advice="import the command in its `script`, as a shell text"),
    Format(name="a pipeline of a build service", shows=_steps, advice=_OWN_COMMAND),
    Format(name="an Ansible playbook", shows=_ansible, advice=_OWN_COMMAND),
    Format(
        name="a Docker Compose file of version 1",
        shows=_compose_1,
        advice="write the services under `services:`, as Docker Compose reads them since its version 2",
    ),
    Format(
        name="a Kustomize file",
        shows=_with("resources", one_of=_KUSTOMIZE),
        advice="import what `kubectl kustomize` prints",
    ),
    Format(name="a Ray Serve configuration", shows=_ray_serve, advice=_OWN_COMMAND),
    Format(
        name="a Ray cluster configuration",
        shows=_with("cluster_name", one_of=frozenset({"provider", "available_node_types", "head_start_ray_commands"})),
        advice=_OWN_COMMAND,
    ),
    Format(
        name="a Helm chart's description",
        shows=_with("apiVersion", "name", "version"),
        advice="import what `helm template` prints",
    ),
    Format(name="a CloudFormation template", shows=_with("AWSTemplateFormatVersion"), advice=_OWN_COMMAND),
    Format(name="a Cog configuration", shows=_with("predict", "build"), advice=_OWN_COMMAND),
    Format(
        name="a BentoML build file",
        shows=_with("service", one_of=frozenset({"include", "python", "docker", "conda"})),
        advice=_OWN_COMMAND,
    ),
    Format(
        name="a LiteLLM configuration", shows=_with("model_list"), advice="import the command of the server behind it"
    ),
    Format(
        name="a conda environment",
        shows=_with("dependencies", one_of=frozenset({"channels", "prefix"})),
        advice=_OWN_COMMAND,
    ),
    Format(name="an OpenAPI description", shows=_with("openapi", "paths"), advice=_OWN_COMMAND),
    Format(
        name="a file of Helm values",
        shows=helm_values,
        advice="import what `helm template` prints with it: that has the command",
    ),
)
"""Those that show as YAML. What a template is shows before the text is read as YAML."""

TEMPLATE = Format(
    name="a Helm template",
    shows=helm_template,
    advice="import what `helm template` prints: its braces are filled in there",
)
