"""What a shell completes: profiles, files, rules, releases, GPUs, apps, values to set.

Everything comes from this machine's disk, and from files that are quick to read: nobody waits who presses a key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[str]]

PART, FILES, FOLDERS = "part", "files", "folders"
"""Types beside click's own, which say a whole word (``plain``): the beginning of one; files that end in the item's
``ending``, a folder on the way included."""
YAML = (".yaml", ".yml")


def item(value: str, kind: str = "plain", meaning: str | None = None, **more: str) -> CompletionItem[str]:
    # Only whoever completes needs click's module.
    from click.shell_completion import CompletionItem

    return CompletionItem(value, kind, meaning, **more)


def _words(values: Iterable[str] | Mapping[str, str], incomplete: str, *, kind: str = "plain") -> Items:
    """Those that begin so; of a mapping each with what it means."""
    meanings = values if isinstance(values, dict) else {}
    return [item(each, kind, meanings.get(each)) for each in values if each.startswith(incomplete)]


def _files(incomplete: str, *endings: str) -> Items:
    return [item(incomplete, FILES, ending=ending) for ending in endings or ("",)]


# Profiles and files ---------------------------------------------------------------------------------------------------


def files(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Any file."""
    return _files(incomplete)


def profiles(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Bare names of profiles, and YAML files."""
    return [*_words(_profile_names(), incomplete), *_files(incomplete, *YAML)]


def profiles_or_plans(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Bare names of profiles, and files: a saved plan may have any name."""
    return [*_words(_profile_names(), incomplete), *_files(incomplete)]


def overlays(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """YAML files."""
    return _files(incomplete, *YAML)


def _profile_names() -> list[str]:
    from glmdeploy.resources import profiles_dir

    return sorted({path.stem for folder in (Path("profiles"), profiles_dir()) for path in folder.glob("*.yaml")})


def profile_text(name: str) -> str:
    """Of the profile that is named, as far as that is seen without reading YAML; empty where there is none."""
    from glmdeploy.resources import profiles_dir

    bare = [folder / f"{name}.yaml" for folder in (Path("profiles"), profiles_dir())]
    for path in [Path(name)] if name.endswith(YAML) else bare:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
    return ""


# Apps -----------------------------------------------------------------------------------------------------------------


def apps(context: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Names of apps, and what :func:`profiles` has."""
    return [*_words(_app_names(context), incomplete), *profiles(context, _, incomplete)]


def sides(context: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """What ``diff`` compares: ``live:APP``, ``live:APP@VERSION``, ``git:``, profiles and folders."""
    if incomplete.startswith("live:"):
        app, at, _version = incomplete.partition("@")
        if at:
            numbers = _versions(context, app.removeprefix("live:"))
            return _words([f"{app}@{number}" for number in numbers], incomplete)
        return _words([f"live:{name}" for name in _app_names(context)], incomplete)
    named = {"live:": "what runs", "git:": "a revision of this repository"}
    return [*_words(named, incomplete, kind=PART), *profiles(context, _, incomplete)]


def versions(context: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Numbers of the named app's versions, the newest first."""
    # After an option that lacks its value nothing is taken from the arguments yet.
    named = context.params.get("named") or next(iter(context.args), "")
    return _words(_versions(context, _app_of(profile_text(named)) or named.removeprefix("live:")), incomplete)


def secrets(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Names of the embedded cloud's secrets."""
    from glmdeploy.local.home import Home, default_home
    from glmdeploy.local.state import names

    return _words(names.secrets(Home(root=default_home()).database), incomplete)


def _app_names(context: click.Context) -> list[str]:
    """Of the embedded cloud those that are deployed there. Modal is not asked: those that were changed from this
    machine, and those of the profiles here.
    """
    if _is_local(context):
        return sorted(_deployed())
    from glmdeploy.local.home import default_home

    locks = (path.stem.rpartition(" on ") for path in (default_home() / "locks").glob("* on modal.lock"))
    found = {name for name, _, _ in locks}
    here = [*Path().glob("*.yaml"), *Path("profiles").glob("*.yaml")]
    return sorted(found | {_app_of(profile_text(str(path))) for path in here} - {""})


def _versions(context: click.Context, app: str) -> list[str]:
    return [str(number) for number in _deployed().get(app, ())] if _is_local(context) else []


def _is_local(context: click.Context) -> bool:
    return (context.params.get("where") or os.environ.get("GLMDEPLOY_TARGET")) == "local"


def _deployed() -> dict[str, list[int]]:
    from glmdeploy.local.home import Home, default_home
    from glmdeploy.local.state import names

    return names.deployed(Home(root=default_home()).database)


def _app_of(text: str) -> str:
    import re

    found = re.search(r"^app: *[\"']?([\w.-]+)", text, re.MULTILINE)
    return found[1] if found else ""


# What is known --------------------------------------------------------------------------------------------------------


def rules(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """An id of a rule, or of a check before the rules."""
    return _words(_rules(), incomplete)


def rules_with_commas(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """The same behind the last comma, without what is named before."""
    before, comma, last = incomplete.rpartition(",")
    left = {name: title for name, title in _rules().items() if name not in before.split(",")}
    return [item(f"{before}{comma}{each.value}", meaning=each.help) for each in _words(left, last)]


def _rules() -> dict[str, str]:
    from glmdeploy.cli.rule_titles import titles
    from glmdeploy.findings import CHECKS

    return {**titles(), **CHECKS}


def releases(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """SGLang's releases, the newest first."""
    from glmdeploy.sglang.catalog import versions

    return _words(reversed(versions()), incomplete)


def options(context: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Options and variables of the release that the command names, options with or without their dashes."""
    from glmdeploy.sglang.catalog import UnknownVersion, load

    try:
        catalog = load(str(context.params.get("version")))
    except UnknownVersion:
        return []
    flags = [flag for option in catalog.options for flag in option.flags if flag.startswith("--")]
    named = flags if incomplete.startswith("-") else [flag.removeprefix("--") for flag in flags]
    return _words([*named, *catalog.env], incomplete)


def gpus(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Types of GPUs, and how many: ``H200``, ``H200:8``."""
    from glmdeploy.gpus import TYPES

    kind, colon, _count = incomplete.partition(":")
    if colon:
        most = TYPES[kind].most if kind in TYPES else 0
        return _words([f"{kind}:{count}" for count in range(1, most + 1)], incomplete)
    told = {name: f"${each.price.dollars:.2f} an hour" for name, each in TYPES.items()}
    return _words(told, incomplete)
