"""Guard rules as text for people, as JSON data, and as Markdown, for docs/rules.md and code-scanning services."""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.findings import CHECKS
from glmdeploy.gpus import GENERATIONS
from glmdeploy.report.text import COLORS
from glmdeploy.report.view import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from glmdeploy.findings import Finding
    from glmdeploy.rules.rule import Example, Rule

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

```yaml
waive:
- {{rule: GLM004, reason: measured on our traffic, until: 2027-01-31}}
```
"""

_PLAIN = re.compile(r"[\\`*<>\[\]|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_CODE = re.compile(r"\|")
"""What Markdown would take for its own in plain text, and in code in a table. In words underscores mean nothing."""


def table(rules: Sequence[Rule], width: int | None) -> str:
    """One line a rule, under its topic: id, severity, title, and what it holds for where that is not everything.

    ``width`` is the terminal's, in columns: longer lines are cut there. None is for files and pipes, which cut nothing.
    """
    severities = max(len(rule.severity) for rule in rules)
    titles = max(len(rule.title) for rule in rules)
    blocks = []
    for name, group in by_topic(rules).items():
        rows = [_row(rule, severities, titles, width) for rule in group]
        blocks.append("\n".join((click.style(name[0].upper() + name[1:], bold=True), *rows)))
    return "\n\n".join(blocks)


def by_topic(rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """The rules of each topic, in their order."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.topic, []).append(rule)
    return groups


def _row(rule: Rule, severities: int, titles: int, width: int | None) -> str:
    scope = "" if str(rule.scope) == EVERYTHING else str(rule.scope)
    row = f"{rule.id}  {rule.severity:{severities}}  {rule.title:{titles}}  {scope}".rstrip()
    if width is not None and len(row) > width:
        row = f"{row[: width - 1].rstrip()}…"
    # Escape codes have no width, so they come last.
    head = len(rule.id) + 2
    end = head + len(rule.severity)
    after = end + severities - len(rule.severity) + 2 + titles
    severity = click.style(row[head:end], fg=COLORS[rule.severity])
    scope = click.style(row[after:], dim=True) if row[after:] else ""
    return f"{click.style(row[:head], bold=True)}{severity}{row[end:after]}{scope}"


def page(rule: Rule, *, mended: bool, until: date, width: int) -> str:
    """The whole rule, in lines of at most ``width`` columns where they are prose.

    ``mended`` says whether ``validate --fix`` may mend it; ``until`` is the end of the waiver to paste.
    """
    severity = click.style(str(rule.severity), fg=COLORS[rule.severity], bold=True)
    sections = [
        ("Holds for", f"  {rule.scope}"),
        ("Why", _prose(rule.why, width)),
        ("Fix", _prose(rule.fix, width)),
        ("", _mended(mended)),
        ("Waiver", _waiver(rule, until)),
        ("Sources", "\n".join(f"  {source}" for source in rule.sources)),
        ("Examples that break it", "\n".join(f"  {command(example)}" for example in rule.fails)),
        ("Examples that do not", "\n".join(f"  {command(example)}" for example in rule.passes)),
    ]
    head = f"{click.style(rule.id, bold=True)} {severity}: {rule.title}"
    return "\n".join((head, *(f"{click.style(name, bold=True)}\n{text}" if name else text for name, text in sections)))


def _prose(text: str, width: int) -> str:
    # Not at hyphens: options are copied from here.
    return textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def _mended(mended: bool) -> str:
    return f"  `glmdeploy validate --fix` {'can do this' if mended else 'does not do this: it needs a decision'}"


def _waiver(rule: Rule, until: date) -> str:
    if not rule.waivable:
        return "  It cannot be waived."
    return f"  waive:\n  - {{rule: {rule.id}, reason: why it does not hold here, until: {until}}}"


def command(example: Example) -> str:
    """The example as a command for a shell."""
    sets = (word for value in example.sets for word in ("--set", value))
    return shlex.join(("glmdeploy", "validate", example.profile, *sets))


def places(rules: Sequence[Rule], tried: Callable[[Rule, Example], Iterable[Finding]]) -> str:
    """Where each rule finds what is wrong in its examples: the path, and what a caret underlines there."""
    return "".join(
        f"{rule.id} | {' '.join((example.profile, *example.sets))} | {seen.path} | {seen.text[seen.start : seen.end]}\n"
        for rule in rules
        for example in rule.fails
        for seen in map(view, tried(rule, example))
    )


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
