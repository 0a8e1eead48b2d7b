"""Guard rules as text for people, as JSON data, and as Markdown, for docs/rules.md and code-scanning services."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.findings import CHECKS, RenameKey, SetValue, Severity, dotted
from glmdeploy.gpus import GENERATIONS
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.text import COLORS
from glmdeploy.report.view import clean, shown, view
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from glmdeploy.findings import Edit, Finding
    from glmdeploy.rules.rule import Example, Rule

_KINDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}

EXAMPLES = 3
"""Of each kind, where not all are wanted."""

EVERYTHING = "everything"
"""What a scope without limits says."""

_HEAD = """\
<!-- Made by `glmdeploy rules --write`: edit the rules, not this file. -->
# Guard rules

What is known to go wrong, judged by `glmdeploy validate` and before every deployment. Rules look at effective values:
what SGLang will really run with, after inheritance, defaults, and SGLang's own decisions from GPU and model. A value
that is not known breaks no rule.

An **error** will fail, or lose money or data, or be open to strangers, and nothing is deployed. A **warning** is
probably wrong or costly; with `--strict` it fails too. An **info** is worth knowing and never fails.

`--select` and `--ignore` take ids and their beginnings (`GLM`, `GLM02`, `GLM021`), and the ids of the checks that come
before the rules:

{checks}

`waive:` in a profile switches a rule off there, with a reason and until a date:

<!-- over: b200-eagle-bf16kv -->
```yaml
waive:
- {{rule: GLM004, reason: measured on our traffic, until: 2027-01-31}}
```
"""

_PLAIN = re.compile(r"[\\`*<>\[\]|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_CODE = re.compile(r"\|")
"""What Markdown would take for its own in plain text, and in code in a table. In words underscores mean nothing."""


def overview(rules: Sequence[Rule], width: int = UNLIMITED) -> str:
    """How many rules there are of each topic, and which ids they have."""
    rows = []
    for name, group in by_topic(rules).items():
        counts = Counter(rule.severity for rule in group)
        kinds = ", ".join(counted(counts[each], _KINDS[each]) for each in COLORS if counts[each])
        rows.append([click.style(name, bold=True), f"{len(group):>3}", kinds])
    return "\n".join([f"{counted(len(rules), 'guard rule')}, by topic:", *table(rows, width)])


def listing(rules: Sequence[Rule], width: int = UNLIMITED) -> str:
    """A row for each rule, under its topic: id, severity, title, and what it holds for where that is not everything."""
    blocks = []
    for name, group in by_topic(rules).items():
        rows = table([_row(rule) for rule in group], width)
        blocks.append("\n".join((click.style(name[0].upper() + name[1:], bold=True), *rows)))
    return "\n\n".join(blocks)


def matching(rules: Sequence[Rule], text: str) -> list[Rule]:
    """The rules that a text means: those of a topic, those whose ids begin so, or those that have it in their words."""
    wanted = text.lower()
    topics = [rule for rule in rules if str(rule.topic).startswith(wanted)]
    ids = [rule for rule in rules if len(wanted) > len("glm") and rule.id.lower().startswith(wanted)]
    return topics or ids or [rule for rule in rules if wanted in f"{rule.title} {rule.why} {rule.scope}".lower()]


def by_topic(rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """The rules of each topic, in their order."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.topic, []).append(rule)
    return groups


def _row(rule: Rule) -> list[str]:
    scope = "" if str(rule.scope) == EVERYTHING else click.style(f" [{rule.scope}]", dim=True)
    return [
        click.style(rule.id, bold=True),
        click.style(str(rule.severity), fg=COLORS[rule.severity]),
        f"{rule.title}{scope}",
    ]


def page(rule: Rule, *, mended: bool, until: date, width: int, everything: bool = True) -> str:
    """The whole rule, in lines of at most ``width`` columns where they are prose; the first examples of many.

    ``mended`` says whether ``validate --fix`` may mend it; ``until`` is the end of the waiver to paste.
    """
    severity = click.style(str(rule.severity), fg=COLORS[rule.severity], bold=True)
    sections = [
        ("Holds for", _prose(str(rule.scope), width)),
        ("Why", _prose(rule.why, width)),
        ("Fix", _prose(rule.fix, width)),
        ("", _prose(_mended(mended), width)),
        ("Waiver", _waiver(rule, until, width)),
        ("Sources", "\n".join(_prose(source, width) for source in rule.sources)),
        ("Examples that break it", _examples(rule.fails, everything=everything)),
        ("Examples that do not", _examples(rule.passes, everything=everything)),
    ]
    head = wrapped(f"{click.style(rule.id, bold=True)} {severity}: {rule.title}", width)
    return "\n".join((head, *(f"{click.style(name, bold=True)}\n{text}" if name else text for name, text in sections)))


def _examples(examples: Sequence[Example], *, everything: bool) -> str:
    shown = examples if everything or len(examples) <= EXAMPLES + 1 else examples[:EXAMPLES]
    lines = [f"  {command(example)}" for example in shown]
    if len(shown) < len(examples):
        lines.append(f"  and {len(examples) - len(shown)} more (--all shows them)")
    return "\n".join(lines)


def _prose(text: str, width: int) -> str:
    return wrapped(f"  {text}", width, indent=2)


def _mended(mended: bool) -> str:
    return f"`glmdeploy validate --fix` {'can do this' if mended else 'does not do this: it needs a decision'}"


def _waiver(rule: Rule, until: date, width: int) -> str:
    if not rule.waivable:
        return "  It cannot be waived."
    line = f"  - {{rule: {rule.id}, reason: why it does not hold here, until: {until}}}"
    if len(line) > width:  # to be pasted, so it has lines of YAML
        line = f"  - rule: {rule.id}\n    reason: why it does not hold here\n    until: {until}"
    return f"  waive:\n{line}"


def command(example: Example) -> str:
    """The example as a command for a shell."""
    sets = (word for value in example.sets for word in ("--set", value))
    return shlex.join(("glmdeploy", "validate", example.profile, *sets))


def places(rules: Sequence[Rule], tried: Callable[[Rule, Example], Iterable[Finding]]) -> str:
    """What each rule finds in its examples: the path, what a caret underlines there, severity, message and edits."""
    return "".join(
        f"{rule.id} | {' '.join((example.profile, *example.sets))} | {seen.path} | {seen.text[seen.start : seen.end]}"
        f" | {seen.severity} | {seen.message}{''.join(f' | {_changed(edit)}' for edit in found.edits)}\n"
        for rule in rules
        for example in rule.fails
        for found in tried(rule, example)
        for seen in (view(found),)
    )


def _changed(edit: Edit) -> str:
    path = dotted(edit.path)
    match edit:
        case SetValue():
            return clean(f"{path} = {shown(edit.value)}")
        case RenameKey():
            return clean(f"{path} -> {edit.name}")
    return clean(f"no {path}")


def rule_data(rule: Rule, *, mended: bool) -> dict[str, Any]:
    """The whole rule as JSON data."""
    scope = rule.scope
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": str(rule.severity),
        "topic": str(rule.topic),
        "scope": {
            "text": str(scope),
            "since": scope.since,
            "until": scope.until,
            "open_ended": rule.open_ended,
            "gpus": [GENERATIONS[major] for major in scope.gpu_majors],
            "architectures": list(scope.architectures),
        },
        "why": rule.why,
        "fix": rule.fix,
        "fixable": mended,
        "waivable": rule.waivable,
        "looked": {"date": rule.looked.date, "release": rule.looked.release},
        "sources": list(rule.sources),
        "fails": [command(example) for example in rule.fails],
        "passes": [command(example) for example in rule.passes],
    }


def markdown(rules: Sequence[Rule], retired: Mapping[str, str], mended: Callable[[Rule], bool]) -> str:
    """docs/rules.md; ``mended`` says whether ``validate --fix`` may mend a rule."""
    checks = "\n".join(f"- `{name}`: {about}" for name, about in CHECKS.items())
    contents = ["| id | severity | what | holds for |", "|---|---|---|---|", *map(_markdown_row, rules)]
    parts = [_HEAD.format(checks=checks), "\n".join(contents) + "\n"]
    for name, group in by_topic(rules).items():
        parts.append(f"## {name[0].upper()}{name[1:]}\n")
        parts += [markdown_section(rule, mended=mended(rule)) for rule in group]
    if retired:
        parts.append("## Retired\n\nThese ids stay reserved.\n")
        parts.append("\n".join(f"- **{name}**: {markdown_text(story)}" for name, story in retired.items()) + "\n")
    return "\n".join(parts)


def _markdown_row(rule: Rule) -> str:
    scope = "" if str(rule.scope) == EVERYTHING else markdown_text(str(rule.scope))
    return f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {markdown_text(rule.title)} | {scope} |"


def markdown_section(rule: Rule, *, mended: bool) -> str:
    """One rule under its id, which is its anchor."""
    facts = [
        f"- Holds for: {markdown_text(str(rule.scope))}",
        f"- Fix: {markdown_text(rule.fix)}" + ("; `--fix` can do it" if mended else ""),
        *([] if rule.waivable else ["- It cannot be waived."]),
        *_markdown_sources(rule),
    ]
    examples = [
        "```sh",
        "# break it",
        *map(command, rule.fails),
        "# do not",
        *map(command, rule.passes),
        "```",
    ]
    head = f"### {rule.id}\n\n**{rule.severity}: {markdown_text(rule.title)}**"
    return "\n\n".join((head, markdown_text(rule.why), "\n".join(facts), "\n".join(examples))) + "\n"


def markdown_help(rule: Rule) -> str:
    """Why and what to do, for those who see a finding far from a terminal."""
    parts = (markdown_text(rule.why), f"**Fix:** {markdown_text(rule.fix)}", "\n".join(_markdown_sources(rule)))
    return "\n\n".join((*parts, f"`glmdeploy rules {rule.id}` tells more."))


def _markdown_sources(rule: Rule) -> list[str]:
    written = (f"<{source}>" if source.startswith("https://") else markdown_text(source) for source in rule.sources)
    return [f"- Source: {source}" for source in written]


def markdown_text(text: str) -> str:
    """Plain text, with its `code` in backticks, as Markdown that reads the same, in a table too."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backtick alone is no code
        return _PLAIN.sub(r"\\\g<0>", text)
    escapes = (_PLAIN, _CODE) * len(pieces)
    return "`".join(escape.sub(r"\\\g<0>", piece) for escape, piece in zip(escapes, pieces, strict=False))
