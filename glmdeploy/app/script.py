"""Writes a Plan as one readable script for the stock ``modal deploy``: for whoever wants to leave, or to look inside.

The script declares the same app as ``glmdeploy.app.build`` builds (a test deploys both and compares what Modal got),
and carries the functions of ``glmdeploy.runtime`` in full. It needs no glmdeploy.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from glmdeploy import __version__
from glmdeploy.plan.autoscaler import COUNTS
from glmdeploy.plan.plan import (
    COMPILE_SCALEDOWN,
    DESCRIBE_TIMEOUT,
    LOCKED_INSTALL,
    PING_TIMEOUT,
    SMALL_STARTUP_TIMEOUT,
    STEPS,
    Made,
    app_tags,
    compiler_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.plan.plan import Plan, Stage

RUNTIME = Path(__file__).parents[1] / "runtime"
TEMPLATES = Path(__file__).parent / "templates"
TEMPLATE = "deploy.py.jinja"

LEFT_OUT = {
    *("mounted", "preflight", "preflight_image"),
    *("verify_answers", "verify_bench", "verify_canary", "verify_door", "verify_endpoint", "verify_events"),
    *("verify_http", "verify_load", "verify_site"),
}
"""Modules of ``glmdeploy.runtime`` that the script does not carry: it has the plan as a constant; ``apply`` and
``verify`` check."""


@dataclass(frozen=True)
class _Code:
    """Text that goes into the script as it is; everything else goes in as a Python literal."""

    text: str


def render(plan: Plan) -> str:
    """The script. It sets the tags that glmdeploy sets, so that ``apply`` recognises the deployment."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is Python, and _finalize quotes every value
    )
    imports, functions = _runtime()
    return environment.get_template(TEMPLATE).render(
        plan=plan,
        compile_scaledown=COMPILE_SCALEDOWN,
        describe_timeout=DESCRIBE_TIMEOUT,
        ping_timeout=PING_TIMEOUT,
        small_startup_timeout=SMALL_STARTUP_TIMEOUT,
        tags=app_tags(plan),
        name=_Code(plan.profile),
        version=_Code(__version__),
        data=_Code(block(plan.data())),
        arguments=partial(_arguments, clustered=plan.cluster is not None),
        volume=lambda role: _Code(_volume(plan, role)),
        locked=LOCKED_INSTALL,
        steps=_steps(plan),
        compilers=_compilers(plan),
        gpu_text={compiler_name(place): _Code(gpu) for place, gpu in enumerate(plan.gpus)},
        decorator="server" if plan.server.kind == "server" else "cls",
        code=_Code,
        imports=_Code(imports),
        functions=_Code(functions),
    )


def literal(value: Any) -> str:
    """Plain data as a Python expression that evaluates to it (tuples as lists), in double quotes where it can."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    text = repr(value)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def block(value: Any, indent: str = "") -> str:
    """The same over several lines: an entry of a mapping, an option with its values, or a package of a lock on each."""
    inner = indent + "    "
    if isinstance(value, dict) and value:
        lines = [f"{literal(key)}: {block(item, inner)}" for key, item in value.items()]
        return "{\n" + "".join(f"{inner}{line},\n" for line in lines) + indent + "}"
    if isinstance(value, list) and any(isinstance(word, str) and word.startswith("--") for word in value):
        lines = [", ".join(map(literal, words)) for words in _options(value) if words]
        return "[\n" + "".join(f"{inner}{line},\n" for line in lines) + indent + "]"
    if isinstance(value, list) and any(" --hash=" in str(word) for word in value):
        return "[\n" + "".join(f"{inner}{literal(line)},\n" for line in value) + indent + "]"
    return literal(value)


def _options(words: Sequence[str]) -> list[list[str]]:
    """A command's words, an option with its values in each list."""
    found: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            found.append([])
        found[-1].append(word)
    return found


def _finalize(value: Any) -> str:
    return value.text if isinstance(value, _Code) else literal(value)


def _arguments(stage: Stage, section: str, decorator: str, *, clustered: bool) -> list[tuple[_Code, _Code]]:
    """A decorator's keywords with the places of their values in the script's plan."""
    times = ' * PLAN["cluster"]["nodes"]' if clustered else ""
    return [
        (
            _Code(keyword),
            _Code(
                f"PLAN[{literal(section)}][{literal(name)}]{times}"
                if name in COUNTS
                else _argument(value, option.value, f"PLAN[{literal(section)}][{literal(name)}]")
            ),
        )
        for name, option in stage.options.items()
        for keyword, value in option.keywords.get(decorator, {}).items()
    ]


def _argument(value: Any, planned: Any, place: str) -> str:
    """A decorator's argument as what is made of the plan's value at a place."""
    if isinstance(value, Made):
        return f"modal.{value.name}(**{place})"
    if isinstance(value, tuple):  # a list in the plan, where Modal wants no list for all of them
        return f"tuple({place})"
    return place if value == planned else f"not {place}"


def _volume(plan: Plan, role: str) -> str:
    place = f"PLAN[{literal(role)}]"
    version = f', version={place}["version"]' if plan.data()[role].get("version") else ""
    return f'modal.Volume.from_name({place}["name"], create_if_missing=True{version})'


def _steps(plan: Plan) -> list[_Code]:
    """The calls that build on top of the serving image, in order."""
    return [
        _Code(f'{STEPS[name]}(*PLAN["server"]["image"]["steps"][{place}][{literal(name)}])')
        for place, step in enumerate(plan.server.image.steps)
        for name in step
    ]


def _compilers(plan: Plan) -> list[tuple[_Code, _Code]]:
    """The functions that compile, and their GPUs; the first GPU's comes last, because it takes the name of the code."""
    if isinstance(plan.gpu, str):
        return [(_Code(compiler_name(0)), _Code('PLAN["gpu"]'))]
    places = range(len(plan.gpu))
    return [(_Code(compiler_name(place)), _Code(f'PLAN["gpu"][{place}]')) for place in reversed(places)]


@cache
def _runtime() -> tuple[str, str]:
    """The imports and the code of the container side, each module after those that it imports."""
    imports: set[str] = {"import shlex"}  # the app's own lines, for the download image
    bodies = []
    for name, source in _in_order().items():
        tree = ast.parse(source)
        for node in tree.body:
            if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not _is_own(node)):
                imports |= {ast.unparse(_only(node, alias)) for alias in node.names}
        # What a module does by itself it does in a container of the app; the script has lines of its own for that.
        code = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom | ast.If)][1:]
        lines = source.splitlines(keepends=True)
        first = code[0].lineno - 1
        if decorated := getattr(code[0], "decorator_list", None):
            first = decorated[0].lineno - 1
        title = (ast.get_docstring(tree) or "").splitlines()[0]
        bodies.append(f"# {name}: {title}\n\n{''.join(lines[first : code[-1].end_lineno]).strip()}\n")
    imports_first = sorted(imports, key=lambda line: (line.startswith("from"), line))
    return "\n".join(imports_first), "\n\n".join(bodies)


def _in_order() -> dict[str, str]:
    """The sources of ``glmdeploy.runtime`` by module, in an order in which nothing is used before it is defined."""
    sources = {file.stem: file.read_text(encoding="utf-8") for file in sorted(RUNTIME.glob("[!_]*.py"))}
    needs = {
        name: {
            node.module.rpartition(".")[2]
            for node in ast.parse(source).body
            if isinstance(node, ast.ImportFrom) and _is_own(node) and node.module
        }
        & sources.keys()
        for name, source in sources.items()
    }
    return {name: sources[name] for name in TopologicalSorter(needs).static_order() if name not in LEFT_OUT}


def _is_own(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith(("glmdeploy", "__future__"))


def _only(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import(names=[alias])
    return ast.ImportFrom(module=node.module, names=[alias], level=0)
