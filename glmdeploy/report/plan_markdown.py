"""What ``apply`` would change, as Markdown: a comment on a pull request. Times are in UTC, for it is read anywhere."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.plan import drift_text, header, summary
from glmdeploy.report.plan_rows import grouped
from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.plan.plan import Plan


def preview_markdown(data: Mapping[str, Any], plan: Plan) -> str:
    """A heading, what sums it up, drift as a list, and the values that differ as a table."""
    return "\n".join(_lines(data, plan))


def _lines(data: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    yield f"### {_plain(header(data, UTC))}"
    yield ""
    yield f"**{_plain(summary(data))}**"
    drift = drift_text(data["drift"], UNLIMITED, UTC, style=False)
    if listed := [f"- **drift**: {_plain(' '.join(line.strip(' !').split()))}" for line in drift]:
        yield ""
        yield from listed
    for outage in data["outages"]:
        yield f"- **outage** (`{outage['field']}`): {_plain(clean(outage['text']))}"
    for each in data["missing_secrets"]:
        how = " (made up, with a random value)" if each["made"] else ""
        yield f"- **missing**: the secret `{clean(each['name'])}`{how}"
    rows = [*grouped(data, plan)]
    if rows:
        yield ""
        yield "| | | | | cost |"
        yield "|---|---|---|---|---|"
    for row in rows:
        cells = (row.group, _code(row.name), _code(row.value), _plain(row.costs))
        yield f"| {row.symbol.strip()} | {' | '.join(cells)} |"
    unknown = (data.get("estimate") or {}).get("unknown", ()) if data["acts"] else ()
    if unknown:
        yield ""
        yield from (f"Not known: {_plain(clean(text))}." for text in unknown)


def _code(text: str) -> str:
    """In a cell of a table, as code where there is any: nothing in it is markup."""
    text = redaction.mask(clean(text)).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text else ""


def _plain(text: str) -> str:
    for sign in "\\*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return redaction.mask(text)
