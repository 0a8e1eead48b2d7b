"""RoleBasedGroup, of SGLang's own project: a server of one pod, or of a first pod and further ones.

What each key means: ``api/workloads`` (``v1alpha1`` and ``v1alpha2``) and ``examples/inference`` of
https://github.com/sgl-project/rbg; the variables of several pods: ``api/workloads/constants/env.go`` there, and those
of LeaderWorkerSet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.pod import Pod, metadata
from glmdeploy.authoring.formats.section import Section
from glmdeploy.authoring.formats.stream import label, refused
from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.profile.text.foreign import Pair, Tree

KIND = "RoleBasedGroup"
GROUP = "workloads.x-k8s.io"

_SCALED = "Modal starts and ends containers by itself"
ROLE_INFO: Mapping[str, str] = {
    **dict.fromkeys(("replicas", "rolloutStrategy", "scalingAdapter", "restartPolicy", "dependencies"), _SCALED),
    **dict.fromkeys(("engineRuntimes", "servicePorts", "labels", "annotations", "minReadySeconds"), _SCALED),
}
SPEC_INFO: Mapping[str, str] = dict.fromkeys(("podGroupPolicy", "coordination", "coordinationRequirements"), _SCALED)
_NAMES = ("LWS", "RBG_LWP")
_PATCHES = ("patchLeaderTemplate", "patchWorkerTemplate", "leaderTemplatePatch", "workerTemplatePatch")


def launches(root: Section, configs: Mapping[str, Mapping[str, Pair]]) -> list[Launch]:
    """The launches of the one role that serves; roles that launch no SGLang are told.

    :raises ProfileError: where several roles serve, as prefill and decode apart do, or where a template is patched.
    """
    spec = root.section("spec")
    if spec is None:
        return []
    templates = {name: each for each in spec.sections("roleTemplates") if (name := each.called)}
    found: list[tuple[Section, list[Launch]]] = []
    others: list[Launch] = []
    for role in spec.sections("roles"):
        of_role = _of_role(role, templates, configs)
        if any(each.engine is None for each in of_role):
            found.append((role, of_role))
            continue
        others += of_role
        message = f"the role {label(role.called or '?')} was left out: it does not launch SGLang"
        root.note(Severity.INFO, message, role.place)
    named = {name for role in spec.items("roles") for name in _references(role)}
    for name, each in templates.items():
        each.take("name")
        if name in named:
            each.take("template")
        else:
            each.left_out("template", "no role of the group has it")
        each.close()
    spec.close(info=SPEC_INFO)
    if len(found) > 1:
        message = f"{len(found)} roles of this group launch SGLang, which a profile, with one server, cannot have"
        raise refused(root.script, message, found[1][0].place, fix="import a group with the role that is to serve")
    return found[0][1] if found else others


def _of_role(
    role: Section, templates: Mapping[str, Section], configs: Mapping[str, Mapping[str, Pair]]
) -> list[Launch]:
    notes: list[Note] = []
    role.notes = notes
    role.take("name")
    size: Word | None = None
    holder, patterns = role, []
    if workload := role.section("workload"):
        workload.close(no_matter=dict.fromkeys(("apiVersion", "kind"), "which kind of object starts the pods"))
    for key in ("leaderWorkerSet", "leaderWorkerPattern", "standalonePattern"):
        if inner := role.section(key):
            size = inner.word("size") or size
            holder = inner if "template" in inner or "templateRef" in inner else holder
            for patch in _PATCHES:
                _patched(inner, patch)
            patterns.append(inner)
    tree = _template(holder, templates)
    template = Section(script=role.script, tree=tree, notes=notes) if tree is not None else None
    pod = template.section("spec") if template is not None else None
    given = {f"{name}_GROUP_SIZE": size for name in _NAMES} if size is not None else {}
    if size is None or size.text == "1":
        given |= {f"{name}_WORKER_INDEX": Word(text="0", span=role.tree.span) for name in _NAMES}
    found = Pod(spec=pod, configs=configs, given=given).launches() if pod is not None else []
    if template is not None:
        metadata(template)
        template.close()
    for each in patterns:
        each.close(info={"restartPolicyConfig": _SCALED})
    role.close(info=ROLE_INFO)
    return [replace(each, nodes=each.nodes or size, notes=(*notes, *each.notes)) for each in found]


def _template(holder: Section, templates: Mapping[str, Section]) -> Tree | None:
    """The template of a role's pods: its own, or one of those that the group has for several roles."""
    tree = holder.take("template")
    reference = holder.section("templateRef")
    if reference is None:
        return tree
    name = reference.word("name")
    if "patch" in reference:
        message = "what changes the template of a role is not read: which command it runs is not known"
        raise refused(holder.script, message, reference.key("patch").span, fix="write the role's template out")
    reference.close()
    found = templates.get(name.text if name else "")
    return found.take("template") if found is not None else None


def _patched(section: Section, key: str) -> None:
    """Tell that what changes some of a role's pods is left out; a warning where it changes what they run."""
    patch = (section.tree.entries or {}).get(key)
    runs = patch is not None and _has(patch.value, frozenset({"command", "args", "env", "image"}))
    section.left_out(key, "all nodes of a cluster are alike", Severity.WARNING if runs else Severity.INFO)


def _references(tree: Tree) -> Iterator[str]:
    """The names of the shared templates that a role has."""
    for name, pair in (tree.entries or {}).items():
        held = (pair.value.entries or {}).get("name") if name == "templateRef" else None
        yield from [held.value.text or ""] if held is not None else _references(pair.value)


def _has(tree: Tree, names: frozenset[str]) -> bool:
    """Whether one of the keys stands anywhere in a tree."""
    entries = tree.entries or {}
    below = [pair.value for pair in entries.values()] + list(tree.items or ())
    return not names.isdisjoint(entries) or any(_has(each, names) for each in below)
