"""What SGLang runs with, value by value, grouped by who decided; and the command with which it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy import redaction
from glmdeploy.report.page.figure import table
from glmdeploy.report.page.markup import Child, Markup, joined, prose, tag
from glmdeploy.report.view import clean, shown
from glmdeploy.report.words import counted
from glmdeploy.sglang.command import shell
from glmdeploy.sglang.effective import REPORTED, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.report.page.subject import Report, Subject
    from glmdeploy.sglang.explain import Row

_LONGEST = 200
"""Characters of a value that are shown."""


def values(report: Report) -> Markup:
    """A group for each source; open are those that matter most."""
    return joined(_groups(report.subject))


def _groups(subject: Subject) -> Iterator[Child]:
    if not subject.rows:
        why = "an option that SGLang does not take stands in the way" if subject.facts else "this is no profile yet"
        yield tag("p", f"What SGLang runs with is not known here: {why}.", class_="unknown")
        return
    speculates = any(row.name == "speculative_algorithm" and row.effective.value is not None for row in subject.rows)
    told = [row for row in subject.rows if speculates or not row.name.startswith("speculative_")]
    open_ = [row for row in told if not row.effective.known]
    decided = [row for row in told if row.effective.known and row.effective.origin is Origin.SGLANG]
    given = [row for row in told if row.effective.known and row.effective.origin in (Origin.PROFILE, Origin.CONTAINER)]
    default = [row for row in told if row.effective.known and row.effective.origin is Origin.DEFAULT]
    matter = [row for row in default if row.name in REPORTED]
    rest = [row for row in default if row.name not in REPORTED]
    yield _group("Decided by SGLang", decided, "from GPU, model and release", opened=True)
    yield _group("Set by the profile", given, "or by the container that it starts in", opened=True)
    yield _group("Not known before it starts", open_, "and so not judged", opened=False)
    yield _group("Defaults of what SGLang often decides", matter, "of the release", opened=False)
    yield _group("All other defaults", rest, "of the release", opened=False)


def _group(name: str, rows: Sequence[Row], about: str, *, opened: bool) -> Markup | None:
    if not rows:
        return None
    summary = tag("summary", tag("strong", name), f" {about}", tag("span", counted(len(rows), "value"), class_="count"))
    if any(row.effective.why or row.effective.basis for row in rows):
        body = table(name, ("option", "value", "why"), map(_reasoned, rows))
    else:
        items = (joined(tag("dt", _option(row)), tag("dd", _value(row))) for row in rows)
        body = tag("dl", (tag("div", item) for item in items), class_="dense")
    return tag("details", summary, body, open=opened, class_="group")


def _reasoned(row: Row) -> tuple[Child, ...]:
    found = row.effective
    source = ", ".join(str(each) for each in (found.basis, found.file) if each)
    return _option(row), _value(row), joined(prose(found.why or ""), tag("span", source, class_="more"))


def _option(row: Row) -> Markup:
    return tag("code", row.name.replace("_", "-"))


def _value(row: Row) -> Markup:
    if not row.effective.known:
        return tag("span", "not known", class_="unknown")
    text = clean(shown(row.effective.value))  # before it is cut: a part of a secret does not look like one
    return tag("code", text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def command(subject: Subject) -> Markup:
    """As `glmdeploy command` shows it: quoted for a shell, the key as a variable."""
    if subject.facts is None:
        return tag("p", "There is no command: this is no profile yet.", class_="unknown")
    key = subject.facts.profile.secrets.api_key
    text = redaction.mask(shell(subject.facts.command, key.keys[0] if key else None))
    # A line a child: escaped by itself, so that its end stays one.
    shown_lines = Markup("\n".join(joined(line).html for line in text.split("\n")))
    refused = sum(found.id == "sglang" for found in subject.findings)
    return joined(
        tag("p", prose(f"{counted(refused, 'option')} that SGLang refuses left out."), class_="bad")
        if refused
        else None,
        tag("pre", tag("code", shown_lines), tabindex="0", role="group", aria_label="The command of SGLang"),
        tag(
            "p",
            "One click marks all of it. The key is a variable here; in the container SGLang gets it through a pipe.",
            class_="aside",
        ),
    )
