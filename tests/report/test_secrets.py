"""No format prints a secret, wherever in a profile it stands: as value, key, comment, or in a line that is no YAML."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reporting import FORMATS, TOKEN, call
from support import examples, some

from glmdeploy.resources import profiles_dir

BODY = "aB3dE6gH9jKlMnO4pQ"
SECRETS = {
    "hub": TOKEN,
    "openai": f"sk-proj-{BODY * 3}_x-9",
    "github": f"ghp_{BODY * 2}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJ{BODY}.{BODY * 2}",
    "url": f"http://me:{BODY}@proxy:80",
    "key": f"-----BEGIN PRIVATE KEY-----\\n{BODY * 3}\\n{BODY}\\n-----END PRIVATE KEY-----",
}
"""What none of the outputs may have: more than a few characters of what comes behind a prefix."""

PARTS = ("aB3dE6gH9j", BODY)
LINES = (profiles_dir() / "b200-eagle-bf16kv.yaml").read_text().splitlines()
ENTRIES = [number for number, line in enumerate(LINES) if re.match(r" *[\w-]+: [^#{\[|>]", line)]
IMAGE = next(number for number in ENTRIES if LINES[number].startswith("  image:"))
ENV_NAME = 46
"""A variable's name, which another is suggested for."""
NAME = next(number for number in ENTRIES if LINES[number].startswith("name:"))
BESIDE = (
    ("command", "a.yaml"),
    ("command", "a.yaml", "--json"),
    ("render", "a.yaml"),
    ("diff", "b200-eagle-bf16kv", "a.yaml"),
    ("diff", "a.yaml", "b200-eagle-bf16kv", "--json"),
    ("upgrade", "a.yaml", "--to", "0.5.16", "--json"),
    ("explain", "a.yaml"),
    ("explain", "a.yaml", "--json"),
    ("size", "a.yaml"),
    ("size", "a.yaml", "--json"),
    ("upgrade", "a.yaml", "--to", "0.5.16"),
    ("apply", "a.yaml", "--dry-run"),
    ("report", "a.yaml", "--compare", "b200-eagle-bf16kv"),
    ("report", "b200-eagle-bf16kv", "--compare", "a.yaml", "--format", "markdown"),
    ("report", "a.yaml", "--json"),
)
"""Other commands that read a profile."""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("secrets"))
    yield
    os.chdir(before)


def with_secret(number: int, how: str, secret: str) -> str:
    """The shipped profile with the secret in or behind one of its lines."""
    line = LINES[number]
    indent, key, value = re.match(r"( *)([\w-]+): (.*)", line).groups()  # type: ignore[union-attr]
    quoted = f'"{secret}"'
    changed = {
        "plain value": f"{indent}{key}: {secret}",
        "value": f"{indent}{key}: {quoted}",
        "in a value": f'{indent}{key}: "some text before {secret} and behind"',
        "value in a list": f"{indent}{key}: [{quoted}]",
        "value in a mapping": f"{indent}{key}: {{a: {quoted}}}",
        "key": f"{indent}{quoted}: {value}",
        "unknown key": f"{line}\n{indent}{quoted}: 1",
        "key with the same": f"{line}\n{indent}{quoted}: {quoted}",
        "twice": f"{line}\n{indent}{quoted}: 1\n{indent}{quoted}: 2",
        "comment on a faulty line": f"{indent}{key}-x: {value.partition(' #')[0]}  # {secret}",
        "open quote": f'{indent}{key}: "{secret}',
        "open bracket": f"{indent}{key}: [{quoted}, 1",
        "no colon": f"{line}\n{indent}{secret}",
        "no space": f"{indent}{key}:{secret}",
        "tag": f"{indent}{key}: !{BODY} {quoted}",
        "alias": f"{indent}{key}: *{secret}",
        "extends": f"extends: {quoted}\n{line}",
        "block": f"{indent}{key}: |\n{indent}  {secret}",
        "lines": f"{indent}{key}: |\n" + "\n".join(f"{indent}  {part}" for part in secret.split("\\n")),
        "lines that are no block": f"{indent}{key}: " + "\n".join(secret.split("\\n")),
    }[how]
    return "\n".join((*LINES[:number], changed, *LINES[number + 1 :])) + "\n"


WAYS = (
    *("plain value", "value", "in a value", "value in a list", "value in a mapping", "key", "unknown key"),
    *("key with the same", "twice", "comment on a faulty line", "open quote", "open bracket", "no colon", "no space"),
    *("alias", "extends", "block", "lines", "lines that are no block"),
)


def assert_hidden(*arguments: str, stdin: str = "") -> None:
    _, out, err = call(*arguments, stdin=stdin)
    for part in PARTS:
        assert part not in out + err


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=examples(150))
@given(
    st.sampled_from(ENTRIES),
    st.sampled_from(WAYS),
    st.sampled_from(sorted(SECRETS)),
    st.sampled_from([*(("validate", "a.yaml", "--format", form) for form in FORMATS), *BESIDE]),
)
@example(NAME, "plain value", "github", ("upgrade", "a.yaml", "--to", "0.5.16"))
@example(ENV_NAME, "key", "jwt", ("validate", "a.yaml", "--format", "pretty"))
@example(IMAGE, "plain value", "url", ("validate", "a.yaml", "--format", "pretty"))
@example(IMAGE, "plain value", "url", ("report", "a.yaml", "--compare", "b200-eagle-bf16kv"))
def test_anywhere_in_a_profile(number: int, how: str, kind: str, command: tuple[str, ...]) -> None:
    Path("a.yaml").write_text(with_secret(number, how, SECRETS[kind]))
    assert_hidden(*command)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", some(SECRETS, "url"))
@pytest.mark.parametrize("how", WAYS)
def test_each_way_in_each_format(form: str, kind: str, how: str) -> None:
    number = next(number for number in ENTRIES if LINES[number].lstrip().startswith("description:"))
    assert_hidden("validate", "-", "--format", form, stdin=with_secret(number, how, SECRETS[kind]))


@pytest.mark.parametrize("form", FORMATS)
def test_on_the_command_line(form: str) -> None:
    assert_hidden("validate", "b200-eagle-bf16kv", "--set", f"description={TOKEN}", "--format", form)
    assert_hidden("validate", "b200-eagle-bf16kv", "--set", f"sglang.args.{TOKEN}={TOKEN}", "--format", form)
    assert_hidden("validate", "b200-eagle-bf16kv", "--set", TOKEN, "--format", form)
    assert_hidden("validate", "b200-eagle-bf16kv", f"--{TOKEN}")
    assert_hidden("validate", TOKEN, "--format", form)
    assert_hidden("validate", "b200-eagle-bf16kv", "--select", TOKEN, "--format", form)
    assert_hidden("rules", TOKEN, "--json")


def test_a_token_among_the_fixes() -> None:
    text = f"extends: b200-eagle-bf16kv\nsglang:\n  args:\n    tp: 8\n    api-key: {TOKEN} # {TOKEN}\n"
    for form in FORMATS:
        Path("a.yaml").write_text(text)
        assert_hidden("validate", "a.yaml", "--diff", "--format", form)
        assert_hidden("validate", "a.yaml", "--fix", "--format", form)
