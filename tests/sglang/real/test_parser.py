"""Our verdict on options against the real parser of every release: shipped profiles, and generated argument sets."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support import some

from glmdeploy.authoring import upgrade
from glmdeploy.plan.make import made
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog, command, json_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from glmdeploy.sglang.catalog import Catalog, Option
    from glmdeploy.sglang.real.oracle import Answers

VERSIONS = catalog.versions()
SETS = 400
"""Generated argument sets a release."""

STRANGE = ("", "x", "-1", "1.5", "64k", "128K", "true", "{", "[1]", "é", "a b", "--tp-size", "0", "1e3")
"""Values that are right for some options and wrong for most."""


@pytest.mark.parametrize("file", sorted(profiles_dir().glob("*.yaml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("version", some(VERSIONS, VERSIONS[0], "0.5.11", VERSIONS[-1]))
def test_the_command_of_every_profile(oracle: Callable[[str], Answers], file: Path, version: str) -> None:
    profile = load(str(file))
    upgraded = upgrade.upgraded(profile, version)
    if impossible := [one.key for one in upgraded.translation.impossible]:
        own = profile.data["sglang"]["args"]
        refused = oracle(version).parse([["--model-path", "m", *words({key: own[key]})] for key in impossible])
        assert {answer.code for answer in refused} == {2}
        return
    checked = check(read_text(json.dumps(upgraded.data), "upgraded.json"))
    subject, plan = checked.facts, made(checked)
    assert subject
    path, name, port = subject.model_path, subject.profile.model.served_name, subject.profile.server.port
    line = command.server_command(subject.settings, subject.catalog, model_path=path, served_name=name, port=port)
    # A rule may refuse the profile in this release; the parser does not.
    assert plan is None or plan.server.command == line

    [real] = oracle(version).parse([line[len(command.SERVER) :]])

    assert real.code == 0, real.stderr
    expected = {dest: setting.value for dest, setting in subject.settings.items()} | {
        "model_path": path,
        "served_model_name": name,
        "host": "0.0.0.0",
        "port": port,
    }
    values = real.values
    assert {dest: values[dest] for dest in expected} == expected
    defaults = json.loads(json.dumps(catalog.load(version).defaults()))
    others = {dest for dest, value in defaults.items() if values.get(dest, value) != value}
    assert others <= expected.keys(), "nothing else is set"


@pytest.mark.parametrize("version", some(VERSIONS, VERSIONS[0], "0.5.11", VERSIONS[-1]))
def test_generated_argument_sets(
    oracle: Callable[[str], Answers], version: str, record_testsuite_property: Callable[[str, Any], None]
) -> None:
    release = catalog.load(version)
    sets = list(generate(release, random.Random(2026)))
    # What argparse lets pass and SGLang reads as JSON only once it has started is refused before.
    options = [option for option in release.options if option.dest in json_options.LATER]
    later = {flag.removeprefix("--") for option in options for flag in option.flags}
    read = [command.read(args, release) for args in sets]
    ours = [(settings, [problem for problem in problems if problem.key not in later]) for settings, problems in read]
    real = oracle(version).parse([["--model-path", "m", *words(args)] for args in sets])
    wrong = [
        (args, [problem.message for problem in problems], answer.stderr[-300:])
        for args, (_, problems), answer in zip(sets, ours, real, strict=True)
        if bool(problems) != bool(answer.code)
    ]
    assert wrong == []
    for (settings, problems), answer in zip(ours, real, strict=True):
        if not problems:
            expected = {dest: setting.value for dest, setting in settings.items()}
            values = answer.values
            assert {dest: values[dest] for dest in expected} == expected
    accepted = sum(answer.code == 0 for answer in real)
    record_testsuite_property(
        f"generated argument sets of {version}", f"{accepted} accepted, {SETS - accepted} refused"
    )
    assert min(accepted, SETS - accepted) > SETS // 4, "both kinds are tested"


def generate(release: Catalog, generator: random.Random) -> Iterator[dict[str, Any]]:
    """Argument sets of one to four options, good and bad, without what a profile may not say at all."""
    options = [
        option
        for option in release.options
        if option.dest not in command.RESERVED and option.action in ("store", "store_true", "boolean_optional")
    ]
    for _ in range(SETS):
        chosen = {option.dest: option for option in generator.sample(options, generator.randint(1, 4))}
        yield {
            spelling(option, generator): good(option, generator)
            if generator.random() < 0.85
            else bad(option, generator)
            for option in chosen.values()
        }


def spelling(option: Option, generator: random.Random) -> str:
    flag = generator.choice([flag for flag in option.flags if flag.startswith("--") and flag[:5] != "--no-"])
    if generator.random() < 0.05:
        return flag.removeprefix("--") + "x"
    return flag.removeprefix("--")


def good(option: Option, generator: random.Random) -> Any:
    if not option.takes_value:
        return True
    if option.choices:
        value: Any = generator.choice(option.choices)
    else:
        value = {"int": 7, "human_readable_int": "64Ki", "float": 0.5, "json": "{}", "json_strict": "[]"}.get(
            option.type or "", "text"
        )
    return [value] * 2 if option.nargs in ("+", "*") else value


def bad(option: Option, generator: random.Random) -> Any:
    return generator.choice(STRANGE) if option.takes_value else generator.choice(("true", 1, "x"))


def words(args: dict[str, Any]) -> list[str]:
    """The plainest command line of the arguments, each value joined to its option as a profile's values are."""
    found = []
    for key, value in args.items():
        if value is True:
            found.append(f"--{key}")
        elif isinstance(value, list):
            found += [f"--{key}", *map(str, value)]
        else:
            found.append(f"--{key}={value}")
    return found
