"""A file in YAML or JSON that no other format claims: a --config file of SGLang's, or refused.

It is taken for a --config file if one of its keys is an option of some release, and none is a key by which other
programs describe containers.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.stream import ENDINGS, documents, fault_of, label, refused
from glmdeploy.authoring.launch import config
from glmdeploy.sglang import releases

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script

OTHERS = frozenset(
    {
        *(
            "apiVersion",
            "args",
            "command",
            "commands",
            "container",
            "containerDefinitions",
            "containers",
            "deploy",
            "entrypoint",
            "env",
        ),
        *("environment", "envs", "extraArgs", "hosts", "image", "jobs", "kind", "metadata", "model_name", "num_nodes"),
        *(
            "pipeline",
            "ports",
            "replicas",
            "resources",
            "run",
            "script",
            "services",
            "setup",
            "spec",
            "stages",
            "steps",
        ),
        *("tasks", "template", "type", "volumes", "workdir"),
    }
)
"""Keys by which other programs describe what they run; none is an option of SGLang's."""

EXPECTED = (
    "a Docker Compose file, a Kubernetes manifest, a SkyPilot task, a dstack or Truss configuration, or a --config"
    " file, whose keys are options of SGLang's"
)


@cache
def options() -> frozenset[str]:
    """The names of all options of all releases, without dashes at their begin."""
    return frozenset(flag.lstrip("-") for flag in releases.flags())


def foreign_key(script: Script) -> Span | None:
    """The place at which a text shows that it is YAML, but no --config file; None where it is one, or no YAML."""
    named = script.file.endswith(ENDINGS)
    if not named and not config.is_config(script):
        return None
    found = documents(script)
    if fault_of(script) is not None or not found:
        return (0, 1)
    first = found[0]
    if first.entries is None or len(found) > 1:
        return found[-1].span
    other = next((pair.key for name, pair in first.entries.items() if name in OTHERS), None)
    names = [name.replace("_", "-") for name in first.entries]
    # `tp` is what argparse takes for `tp-size`, and what most people write.
    known = [name for name in names if name in options() or f"{name}-size" in options()]
    if other is None and known:
        return None
    place = other or next((pair.key for pair in first.entries.values()), first)
    return place.span


def launches(script: Script) -> list[Launch]:
    """Never any.

    :raises ProfileError: always, with why the text is none that could be read.
    """
    if (error := fault_of(script)) is not None:
        raise error
    found = documents(script)
    span = foreign_key(script) or (0, 1)
    if not found or found[0].entries is None:
        what = found[0].kind if found else "nothing"
        raise refused(script, f"the file holds {what}, where a mapping is expected", span, expected=EXPECTED)
    key = next((name for name, pair in found[0].entries.items() if pair.key.span == span), None)
    why = f": {label(key)} is no option of SGLang's" if key is not None else ""
    raise refused(script, f"this is no file that is known to launch SGLang{why}", span, expected=EXPECTED)


FORMAT = Format(name="a file in YAML", shows=foreign_key, launches=launches)
