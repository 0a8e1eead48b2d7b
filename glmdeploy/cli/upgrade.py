"""``glmdeploy upgrade``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.authoring.upgrade import Difference, Upgrade


@click.command()
@click.argument("profile")
@click.option("--to", "target", required=True, metavar="VERSION", help="The SGLang release to pin.")
@click.option("--image", metavar="IMAGE", help="The image with that release; left out: suggested from the old tag.")
@click.option("--write", is_flag=True, help="Edit the profile's file, with comments and layout kept.")
@common.json_option
def upgrade(profile: str, target: str, image: str | None, write: bool, as_json: bool) -> int:
    """Pin a profile to another SGLang release: show what changes, and write it with --write.

    Exit code: 0 possible, 1 something cannot be translated.
    """
    from glmdeploy.authoring.upgrade import plan

    if write and profile == "-":
        raise UsageError("standard input cannot be edited: name a file")
    document = common.document(profile)
    result = plan(document, target, image)
    impossible = bool(result.translation.impossible)
    written = write and not impossible
    if written:
        from glmdeploy.authoring.upgrade import write as write_file

        write_file(document, result)
    if as_json:
        common.echo_json(_data(result, written=written))
    else:
        common.echo("\n".join(_text(result)))
        click.echo(_outcome(document.files[0], asked=write, impossible=impossible), err=True)
    return int(impossible)


def _outcome(file: str, *, asked: bool, impossible: bool) -> str:
    if impossible:
        return "Nothing was written: decide what cannot be translated first."
    return f"Wrote {file}." if asked else "Nothing was written: --write edits the profile."


def _data(upgrade: Upgrade, *, written: bool) -> dict[str, Any]:
    from glmdeploy.report.run import finding_data

    return {
        "profile": upgrade.name,
        "from": upgrade.source,
        "to": upgrade.target,
        "possible": not upgrade.translation.impossible,
        "written": written,
        "changes": [
            {"old": dict(change.old), "new": dict(change.new), "why": change.why, "source": change.source}
            for change in upgrade.translation.changes
        ],
        "impossible": [{"option": item.key, "message": item.message} for item in upgrade.translation.impossible],
        "defaults": [_difference_data(item) for item in upgrade.defaults],
        "effective": [_difference_data(item) for item in upgrade.effective],
        "findings": [finding_data(finding) for finding in upgrade.findings],
        "image": {"old": upgrade.old_image, "new": upgrade.new_image, "verified": False},
    }


def _difference_data(item: Difference) -> dict[str, Any]:
    return {"option": item.name, "old": item.old, "new": item.new}


def _text(upgrade: Upgrade) -> Iterable[str]:
    from glmdeploy.report.text import finding_text

    yield click.style(f"{upgrade.name}: SGLang {upgrade.source} -> {upgrade.target}", bold=True)
    translation = upgrade.translation
    if translation.changes:
        yield click.style("what the profile says", bold=True)
        for change in translation.changes:
            symbol, color = (
                ("~", "yellow") if change.new and change.old else ("+", "green") if change.new else ("-", "red")
            )
            sides = " -> ".join(_settings(side) for side in (change.old, change.new) if side)
            yield f"  {click.style(symbol, fg=color)} {sides}"
            yield f"      {change.why}"
    if translation.impossible:
        yield click.style("what cannot be translated", bold=True)
        yield from (f"  {click.style('!', fg='red', bold=True)} {item.message}" for item in translation.impossible)
    for title, differences in (
        ("SGLang's defaults, for what the profile leaves out", upgrade.defaults),
        ("SGLang's own decisions", upgrade.effective),
    ):
        if differences:
            yield click.style(title, bold=True)
            yield from (f"  ~ {item.name}: {_shown(item.old)} -> {_shown(item.new)}" for item in differences)
    if upgrade.findings:
        yield click.style("what the guard rules then find", bold=True)
        yield from map(finding_text, upgrade.findings)
    if upgrade.source != upgrade.target or upgrade.old_image != upgrade.new_image:
        yield click.style("image", bold=True)
        yield f"  ~ {upgrade.old_image} -> {_image(upgrade)}"
    if not (translation.changes or translation.impossible):
        yield "Every option is understood as it is."


def _image(upgrade: Upgrade) -> str:
    if upgrade.new_image is None:
        return "? (the tag does not name the release: give --image)"
    return upgrade.new_image + (" (suggested from the tag; not looked up)" if upgrade.guessed else "")


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.removeprefix('$')}: {_shown(value)}" for name, value in settings.items())


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
