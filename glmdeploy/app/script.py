"""Writes a Plan as one readable script for the stock ``modal deploy``: for whoever wants to leave, or to look inside.

The script declares the same app as ``glmdeploy.app.build`` builds (a test deploys both and compares what Modal got),
and carries the functions of ``glmdeploy.runtime`` in full. It needs no glmdeploy.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from glmdeploy import __version__
from glmdeploy.plan import plan as plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.plan.plan import Plan

PACKAGE = Path(__file__).parents[1]
TEMPLATE = "deploy.py.jinja"

INLINED = ("markers", "processes", "download", "engine", "kernels")
"""Modules of ``glmdeploy.runtime`` that know nothing of the plan's file or the embedded cloud, in reading order."""


@dataclass(frozen=True)
class _Code:
    """Text that goes into the script as it is; everything else goes in as a Python literal."""

    text: str


def render(plan: Plan) -> str:
    """The script. It sets the tags that glmdeploy sets, so that ``apply`` recognises the deployment."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
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
        plans=plans,
        tags=plans.app_tags(plan),
        name=_Code(plan.profile),
        version=_Code(__version__),
        packages=_Code(", ".join(map(literal, plan.download.image.pip))),
        imports=_Code(imports),
        functions=_Code(functions),
        server_command=_Code(_command(plan.server.command)),
        compile_command=_Code(_command(plan.compile.command)) if plan.compile else None,
    )


def literal(value: Any) -> str:
    """Plain data as a Python expression that evaluates to it (tuples as lists), in double quotes where it can."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    text = repr(value)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def _finalize(value: Any) -> str:
    return value.text if isinstance(value, _Code) else literal(value)


def _command(words: Sequence[str]) -> str:
    """The command as a list literal, an option with its values on each line."""
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(literal(word))
    return "[\n" + "".join(f"    {', '.join(line)},\n" for line in lines if line) + "]"


def _runtime() -> tuple[str, str]:
    """The imports and the code of the inlined modules."""
    imports: set[str] = set()
    bodies = []
    for name in INLINED:
        source = (PACKAGE / "runtime" / f"{name}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        for node in tree.body:
            if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not _is_own(node)):
                imports |= {ast.unparse(_only(node, alias)) for alias in node.names}
        code = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)][1:]
        title = (ast.get_docstring(tree) or "").splitlines()[0]
        bodies.append(f"# {title}\n\n{''.join(source.splitlines(keepends=True)[code[0].lineno - 1 :]).strip()}\n")
    imports_first = sorted(imports, key=lambda line: (line.startswith("from"), line))
    return "\n".join(imports_first), "\n\n".join(bodies)


def _is_own(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith(("glmdeploy", "__future__"))


def _only(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import(names=[alias])
    return ast.ImportFrom(module=node.module, names=[alias], level=0)
