"""Commands that show what a profile means and deploy nothing: diff, render, command, schema, completion."""

from __future__ import annotations

import json
from pathlib import Path

import click

from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError


@click.command()
@click.argument("old")
@click.argument("new")
@common.json_option
def diff(old: str, new: str, as_json: bool) -> int:
    """Show what changes from profile OLD to profile NEW. Exit code: 0 the same, 1 different, 2 trouble."""
    from glmdeploy.plan.diff import diff as compare
    from glmdeploy.report.values import change_data, changes_text

    try:
        before, after = (common.plan(profile, (), ()) for profile in (old, new))
    except GlmdeployError as error:
        error.exit_code = 2
        raise
    changes = compare(before.data(), after.data())
    if as_json:
        data = {
            "same": not changes,
            "old": before.digest,
            "new": after.digest,
            "changes": [change_data(change) for change in changes],
        }
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        click.echo(changes_text(changes) if changes else "No changes.")
    return int(bool(changes))


@click.command()
@click.argument("profile")
@common.profile_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def render(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], output: Path | None) -> None:
    """Write the profile's Modal app as a standalone script for `modal deploy`."""
    from glmdeploy.app.script import render as write

    script = write(common.plan(profile, overlays, sets))
    if output is None:
        click.echo(script, nl=False)
        return
    common.write(output, script)


@click.command()
@click.argument("profile")
@common.profile_options
@common.json_option
def command(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...], as_json: bool) -> None:
    """Show the profile's SGLang command, quoted for a shell, the API key as $API_KEY."""
    from glmdeploy.sglang.command import shell

    plan = common.plan(profile, overlays, sets)
    key = plan.api_key.keys[0] if plan.api_key else None
    if as_json:
        click.echo(json.dumps({"command": list(plan.server.command), "api_key_env": key}, ensure_ascii=False))
    else:
        click.echo(shell(plan.server.command, key))


@click.command()
def schema() -> None:
    """Show the JSON Schema of profiles (draft 2020-12), for editors."""
    from glmdeploy.profile.schema import generate

    click.echo(generate(), nl=False)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Show the shell's completion script.

    For bash: eval "$(glmdeploy completion bash)"
    """
    from click.shell_completion import get_completion_class

    from glmdeploy.cli import group

    cls = get_completion_class(shell)
    assert cls is not None
    click.echo(cls(group, {}, "glmdeploy", "_GLMDEPLOY_COMPLETE").source())
