"""The text of a profile: read, judged, shown, planned and mended."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.places import hidden, in_text, lines_of, seemly
from fuzz.target import ROOT, TOKEN, Target, words
from glmdeploy.authoring.fix import fix
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.plan.body import body, read_body
from glmdeploy.plan.make import made
from glmdeploy.profile.text.load import load
from glmdeploy.report.github import workflow_commands
from glmdeploy.report.junit import suites
from glmdeploy.report.run import Judged, Run, run_data
from glmdeploy.report.sarif import log
from glmdeploy.report.validation import told, validation_text
from glmdeploy.rules.check import check as judge
from glmdeploy.rules.registry import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import Finding
    from glmdeploy.rules.check import Checked

NAME = "profile.yaml"


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """The current folder, with a file of the profile's name and those that it can extend."""
    folder = tempfile.TemporaryDirectory(prefix="glmdeploy-fuzz-")
    for file in (ROOT / "tests/examples/base.yaml", *(ROOT / "profiles").glob("*.yaml")):
        shutil.copy(file, folder.name)
    (Path(folder.name) / NAME).touch()
    os.chdir(folder.name)
    return folder


def check(data: bytes) -> None:
    _folder()
    try:
        document = load(NAME, own=data)
    except ProfileError as error:
        assert error.findings, "refused without a finding"
        _shown(data, error.findings, judged=False)
        return
    assert json.loads(json.dumps(document.data)) == document.data, "a value that JSON has not"
    checked = judge(document)
    _shown(data, checked.findings, judged=checked.facts is not None)
    _planned(data, checked)
    _mended(data)


def _shown(data: bytes, findings: tuple[Finding, ...] | list[Finding], *, judged: bool) -> None:
    in_text(findings, NAME, lines_of(data))
    one = Judged(profile=NAME, findings=tuple(findings), judged=judged)
    run = Run(profiles=(one,), strict=False)
    text = validation_text([told(one, run, 100, everything=True, alone=True)], 100)
    texts = [text, workflow_commands(run), suites(run)]
    for each in texts:
        seemly(each)
    named = {found.id for found in findings}
    sarif = log(run, [rule for rule in rules() if rule.id in named])
    shown = "\n".join([*texts, json.dumps(run_data(run)), json.dumps(sarif)])
    hidden(data.decode("utf-8", "replace"), shown)


def _planned(data: bytes, checked: Checked) -> None:
    """An error keeps a plan from being made, and nothing else does; the same text gives the same plan."""
    plan = made(checked)
    errors = [found for found in checked.findings if found.severity is Severity.ERROR and found.waived is None]
    assert (plan is None) == bool(errors), f"a plan in spite of {errors}" if plan else "no plan, and no error"
    if plan is None:
        return
    if len(data) % 8 == 0:  # twice the work of one plan
        again = made(judge(load(NAME, own=data)))
        assert again is not None
        assert again.digest == plan.digest, "the same text gives two plans"
    back = read_body(body(plan))
    assert back.digest == plan.digest, "a plan that was written is another when it is read"


def _mended(data: bytes) -> None:
    """What is mended can be read, says what the edits say, is no worse, and has nothing more to mend."""
    text = data.decode("utf-8")
    outcome = fix(OwnFile(name=NAME, saved=text, text=text))
    before, after = (
        sum(found.severity is Severity.ERROR and found.waived is None for found in each.findings)
        for each in (outcome.before, outcome.after)
    )
    if not outcome.fixed:
        assert outcome.file.text == text, "edited without a finding"
        return
    assert after <= before or outcome.before.facts is None, f"{before} errors have become {after}"
    file = replace(outcome.file, saved=outcome.file.text)
    again = fix(file)
    assert not again.fixed, f"mended twice: {[found.id for found in again.fixed]}"
    hidden(text, "\n".join(f"{each.reason} {each.advice}" for each in outcome.not_fixed))


def seeds() -> Iterator[bytes]:
    for folder in ("profiles", "tests/examples/bad", "tests/examples/good", "tests/profile", "tests/editor"):
        for file in sorted((ROOT / folder).rglob("*.yaml")):
            if file.stat().st_size <= TARGET.longest:
                yield file.read_bytes()
    small = (ROOT / "tests/examples/base.yaml").read_text()
    yield f"{small}\nenv:\n  HF_TOKEN: {TOKEN}\n".encode()
    yield f"extends: base.yaml\ndescription: '{TOKEN}'\nserver: {{scaledown_window: {TOKEN}}}\n".encode()
    yield f'"{TOKEN}": 1\nsglang: {{args: {{api-key: {TOKEN}, tp: "{TOKEN}"}}}}\n'.encode()
    yield f"extends: [base.yaml, {TOKEN}.yaml]\nsglang:\n  args: &a {{<<: *a}}\n  image: https://me:{TOKEN}@x/y\n".encode()
    for size in (1, 10, 100):
        yield b"a: " + b"[" * size + b"]" * size
        yield b"a: &x [1]\n" + b"".join(b"b%d: [*x, *x]\n" % n for n in range(size))


TARGET = Target(name="source", check=check, seeds=seeds, words=words("source"))
