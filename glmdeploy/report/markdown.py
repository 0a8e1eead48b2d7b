"""Guard rules as Markdown: docs/rules.md, and the help that code-scanning services show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.report.rule_text import EVERYTHING, command
from glmdeploy.rules.topics import CHECKS, by_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.rules.base import Rule

_HEAD = """\
<!-- Made by `glmdeploy rules --format markdown > docs/rules.md`: edit the rules, not this file. -->
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


def document(rules: Sequence[Rule], retired: Mapping[str, str], mended: Callable[[Rule], bool]) -> str:
    """docs/rules.md; ``mended`` says whether ``validate --fix`` may mend a rule."""
    checks = "\n".join(f"- `{name}`: {about}" for name, about in CHECKS.items())
    contents = ["| id | severity | what | holds for |", "|---|---|---|---|", *map(_row, rules)]
    parts = [_HEAD.format(checks=checks), "\n".join(contents) + "\n"]
    for name, group in by_topic(rules).items():
        parts.append(f"## {name[0].upper()}{name[1:]}\n")
        parts += [section(rule, mended=mended(rule)) for rule in group]
    if retired:
        parts.append("## Retired\n\nThese ids stay reserved.\n")
        parts.append("\n".join(f"- **{name}**: {escaped(story)}" for name, story in retired.items()) + "\n")
    return "\n".join(parts)


def _row(rule: Rule) -> str:
    scope = "" if str(rule.scope) == EVERYTHING else escaped(str(rule.scope))
    return f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {escaped(rule.title)} | {scope} |"


def section(rule: Rule, *, mended: bool) -> str:
    """One rule under its id, which is its anchor."""
    facts = [
        f"- Holds for: {escaped(str(rule.scope))}",
        f"- Fix: {escaped(rule.fix)}" + ("; `--fix` can do it" if mended else ""),
        *([] if rule.waivable else ["- It cannot be waived."]),
        *_sources(rule),
    ]
    examples = [
        "```sh",
        "# break it",
        *map(command, rule.fails),
        "# do not",
        *map(command, rule.passes),
        "```",
    ]
    head = f"### {rule.id}\n\n**{rule.severity}: {escaped(rule.title)}**"
    return "\n\n".join((head, escaped(rule.why), "\n".join(facts), "\n".join(examples))) + "\n"


def rule_help(rule: Rule) -> str:
    """Why and what to do, for those who see a finding far from a terminal."""
    parts = (escaped(rule.why), f"**Fix:** {escaped(rule.fix)}", "\n".join(_sources(rule)))
    return "\n\n".join((*parts, f"`glmdeploy rules {rule.id}` tells more."))


def _sources(rule: Rule) -> list[str]:
    written = (f"<{source}>" if source.startswith("https://") else escaped(source) for source in rule.sources)
    return [f"- Source: {source}" for source in written]


def escaped(text: str) -> str:
    """Plain text, with its `code` in backticks, as Markdown that reads the same, in a table too."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backtick alone is no code
        return _PLAIN.sub(r"\\\g<0>", text)
    escapes = (_PLAIN, _CODE) * len(pieces)
    return "`".join(escape.sub(r"\\\g<0>", piece) for escape, piece in zip(escapes, pieces, strict=False))
