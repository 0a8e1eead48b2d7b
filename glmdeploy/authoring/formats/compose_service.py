"""One service of Docker Compose: what it runs, its environment and GPUs, and what is around it.

What each key means: the Compose specification, https://docs.docker.com/reference/compose-file/services/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import phrase
from glmdeploy.authoring.formats.interpolation import interpolated
from glmdeploy.authoring.formats.section import Section, passed_on, word
from glmdeploy.authoring.formats.stream import label
from glmdeploy.authoring.launch.find import in_image
from glmdeploy.authoring.launch.launch import Container, Launch, Note, Word
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Span

_MODALS = "Modal decides it for its containers"
_ALONE = "the endpoint is one container, reached by its URL"
_RUNS = "Modal starts, watches and ends its containers by itself"

INFO: Mapping[str, str] = {
    **dict.fromkeys(
        ("cap_add", "cap_drop", "cgroup", "cgroup_parent", "device_cgroup_rules", "group_add", "hostname", "isolation"),
        _MODALS,
    ),
    **dict.fromkeys(("privileged", "pid", "pids_limit", "security_opt", "sysctls", "ulimits", "userns_mode"), _MODALS),
    **dict.fromkeys(("logging", "oom_kill_disable", "oom_score_adj", "read_only", "runtime", "uts", "dns"), _MODALS),
    **dict.fromkeys(("cpus", "cpuset", "cpu_count", "cpu_shares", "cpu_quota", "cpu_period", "mem_limit"), _MODALS),
    **dict.fromkeys(("mem_reservation", "mem_swappiness", "memswap_limit", "domainname", "mac_address"), _MODALS),
    **dict.fromkeys(("networks", "network_mode", "links", "external_links", "expose"), _ALONE),
    **dict.fromkeys(("restart", "healthcheck", "stop_grace_period", "stop_signal", "init"), _RUNS),
    **dict.fromkeys(("scale", "profiles"), _RUNS),
    "depends_on": "no other container of this file is started beside the server",
    "labels": "they are read by other programs of the old machine",
    "annotations": "they are read by other programs of the old machine",
}
"""Keys of a service that have no place in a profile and need none, with the reason."""

WARNED: Mapping[str, str] = {
    "configs": "a Modal container does not have these files",
    "secrets": "a Modal container does not have these files; a secret of Modal's is an environment variable",
    "devices": "Modal gives its containers the GPUs, and no other device",
    "extra_hosts": "a Modal container asks the public DNS alone",
    "platform": "Modal runs containers of linux/amd64 alone",
    "user": "the server runs as the user that Modal starts, which is root",
    "working_dir": "the server starts in the folder that the image names",
    "post_start": "the command is not run",
    "pre_stop": "the command is not run",
}

NO_MATTER: Mapping[str, str] = {
    "container_name": "a name on the old machine",
    "pull_policy": "Modal builds an image once",
    "tty": "of the terminal only",
    "stdin_open": "of the terminal only",
    "attach": "of the terminal only",
    "develop": "for work on the sources only",
    "x-*": "ignored by Docker Compose",
}

_DEPLOY_INFO: Mapping[str, str] = {
    **dict.fromkeys(("replicas", "mode", "restart_policy", "update_config", "rollback_config", "endpoint_mode"), _RUNS),
    "placement": "Modal chooses the machine by the GPU",
    "labels": INFO["labels"],
}
_DEVICES = re.compile(r"[0-9]+(?:,[0-9]+)*")


@dataclass(kw_only=True)
class Service:
    """One service: what it runs, and what is around it."""

    section: Section
    name: str
    notes: list[Note] = field(default_factory=list)
    flags: list[tuple[str, Word]] = field(default_factory=list)
    gpu: Word | None = None
    image: Word | None = None

    def launches(self) -> list[Launch]:
        self.section.notes = self.notes
        argv = [*self._arguments("entrypoint"), *self._arguments("command")]
        env = self._environment()
        self.image = image = self._image()
        self._ports_and_volumes()
        self._gpus(env)
        for name in ("shm_size", "ipc"):
            if text := self.section.word(name):
                self.flags.append((name.replace("_", "-"), interpolated(text)))
        self.section.take("extends")
        self.section.close(info=INFO, warned=WARNED, no_matter=NO_MATTER)
        container = Container(image=image, flags=tuple(self.flags))
        try:
            found = in_image(argv, env, container)
        except ShellError:
            if "sglang" in "".join(each.text for each in (*argv, image)):
                raise
            return []
        notes = (*self.notes, *_of_environment(argv, env))
        return [replace(each, gpu=each.gpu or self.gpu, notes=(*notes, *each.notes)) for each in found]

    def _arguments(self, name: str) -> list[Word]:
        tree = self.section.take(name)
        if tree is None:
            return []
        if tree.items is not None:
            return [interpolated(self.section.text_of(each, name)) for each in tree.items]
        words, operator = phrase.split(interpolated(self.section.text_of(tree, name)))
        if operator is not None:
            message = f"Docker Compose starts no shell for this text: from {label(operator.text[:2])} on nothing is run"
            fix = "write it as a list: [bash, -c, the text]"
            self.section.note(Severity.ERROR, message, operator.span, fix)
        if self._is_shell_alone(words):
            message = "Docker Compose splits this text at its blanks, so that the shell gets only its first word"
            fix = "write it as a list of one text"
            self.section.note(Severity.ERROR, message, words[0].span, fix)
        return words

    def _is_shell_alone(self, words: list[Word]) -> bool:
        entrypoint = (self.section.tree.entries or {}).get("entrypoint")
        items = entrypoint.value.items if entrypoint else None
        shells = items and items[-1].text in ("-c", "-lc", "-ec") and len(words) > 1
        return bool(shells) and words[0].text != items[0].text if items else False

    def _image(self) -> Word:
        image = self.section.word("image")
        build = self.section.take("build")
        if build is not None:
            message = "the image is built from a Dockerfile, which is not in this text"
            fix = "import the Dockerfile where it has the command; name an image that a registry has"
            self.section.note(Severity.WARNING, message, self.section.key("build").span, fix)
        if image is not None:
            return interpolated(image)
        span = self.section.key("build").span if build is not None else self.section.tree.span
        return passed_on("IMAGE", span)

    def _environment(self) -> dict[str, Word]:
        env: dict[str, Word] = {}
        tree = self.section.take("environment")
        if tree is not None and tree.entries is not None:
            for name, pair in tree.entries.items():
                value = pair.value
                env[name] = (
                    passed_on(name, pair.key.span) if value.null else interpolated(self.section.text_of(value, name))
                )
        for item in self.section.items("environment") if tree is not None and tree.entries is None else ():
            text = interpolated(self.section.text_of(item, "environment"))
            name, equals, _ = text.text.partition("=")
            if equals:
                env[name] = phrase.cut(text, range(len(name) + 1, len(text.text)))
            else:
                env[name] = passed_on(name, text.span)
        for item in self.section.items("env_file"):
            path = item.entries["path"].value if item.entries and "path" in item.entries else item
            self.flags.append(("env-file", interpolated(self.section.text_of(path, "env_file"))))
        return env

    def _ports_and_volumes(self) -> None:
        for name, flag, source in (("ports", "publish", "published"), ("volumes", "volume", "source")):
            for item in self.section.items(name):
                if item.entries is None:
                    self.flags.append((flag, interpolated(self.section.text_of(item, name))))
                    continue
                parts = [item.entries[key].value.text or "" for key in (source, "target") if key in item.entries]
                self.flags.append(
                    (
                        flag,
                        interpolated(
                            Word(text=":".join(parts), span=item.span, offsets=(item.start,) * len(":".join(parts)))
                        ),
                    )
                )
        for item in self.section.items("tmpfs"):
            self.flags.append(("tmpfs", interpolated(self.section.text_of(item, "tmpfs"))))

    def _gpus(self, env: Mapping[str, Word]) -> None:
        deploy = self.section.section("deploy")
        resources = deploy.section("resources") if deploy else None
        reservations = resources.section("reservations") if resources else None
        if reservations:
            for device in reservations.sections("devices"):
                self._device(device)
            for resource in reservations.sections("generic_resources"):
                self._generic(resource)
            reservations.close(info=dict.fromkeys(("cpus", "memory"), _MODALS))
        if resources:
            resources.close(info={"limits": _MODALS})
        if deploy:
            deploy.close(info=_DEPLOY_INFO)
        tree = self.section.take("gpus")
        if tree is not None and tree.text is not None:
            self.flags.append(("gpus", word(tree)))
        elif tree is not None:
            for device in self.section.sections("gpus"):
                self._device(device)
        visible = env.get("NVIDIA_VISIBLE_DEVICES")
        if visible is not None and _DEVICES.fullmatch(visible.text) and self.gpu is None:
            self._count(len(visible.text.split(",")), visible.span)

    def _device(self, device: Section) -> None:
        """One entry of GPUs: their number, or which of the old machine's they are."""
        capabilities = [each.text for each in device.items("capabilities")]
        driver = device.word("driver")
        if driver is not None and driver.text not in ("nvidia", "cdi"):
            device.note(
                Severity.WARNING, f"the driver {label(driver.text)} is not that of a GPU of NVIDIA's", driver.span
            )
        ids = device.take("device_ids")
        count = device.word("count")
        device.close(info={"options": _MODALS})
        if capabilities and "gpu" not in capabilities:
            device.note(Severity.INFO, "a device that is no GPU was left out", device.tree.span)
        elif ids is not None and ids.items is not None:
            self._count(len(ids.items), ids.span, "device=" + ",".join(each.text or "" for each in ids.items))
        elif count is not None:
            filled = interpolated(count)
            if filled.text.isdecimal():
                self._count(int(filled.text), filled.span)
            else:
                self.flags.append(("gpus", filled))
        else:
            place = next(iter(device.tree.entries.values())).key.span if device.tree.entries else device.tree.span
            self.flags.append(("gpus", Word(text="all", span=place)))

    def _generic(self, resource: Section) -> None:
        spec = resource.section("discrete_resource_spec")
        kind, value = (spec.word("kind"), spec.word("value")) if spec else (None, None)
        if kind is not None and value is not None and value.text.isdecimal() and "gpu" in kind.text.lower():
            self._count(int(value.text), value.span)
        elif spec:
            resource.note(Severity.INFO, "a resource that is no GPU was left out", spec.tree.span)
        if spec:
            spec.close()
        resource.close()

    def _count(self, count: int, span: Span, devices: str | None = None) -> None:
        self.flags.append(("gpus", Word(text=devices or str(count), span=span)))
        self.gpu = Word(text=f":{count}", span=span)


def _of_environment(argv: list[Word], env: Mapping[str, Word]) -> list[Note]:
    """What looks as if Compose filled in variables of the container, which it does not."""
    return [
        Note(
            severity=Severity.WARNING,
            message=f"Docker Compose takes {label(raw)} from the shell or `.env`, not from `environment`",
            span=each.span,
            fix=f"write `$${name}` in a text that a shell in the container reads, or the value itself",
        )
        for each in argv
        for raw in each.unknown
        for name in each.variables
        if name in env and raw in (f"${name}", f"${{{name}}}")
    ]
