"""From a document to findings and facts: schema, models, options, guard rules. No IO but the catalog."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Finding, RenameKey, SetValue, Severity, dotted
from glmdeploy.profile.fields import Refused
from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load
from glmdeploy.records import record
from glmdeploy.redaction import hide
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.facts import Facts
from glmdeploy.rules.judge import judge
from glmdeploy.rules.knowledge import KNOWLEDGE, knowledge, nothing_judged
from glmdeploy.rules.registry import rules
from glmdeploy.sglang import catalog
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.profile.faults import Fault
    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.rule import Example, Rule
    from glmdeploy.sglang.command import Problem
    from glmdeploy.sizing.checkpoint import Checkpoint


@record
class Checked:
    """All findings on a document, in the order of their places, and what the rules judged.

    ``facts`` is None where the schema refuses the document, of which then only a part was judged, or its release is
    not known.
    """

    findings: tuple[Finding, ...]
    facts: Facts | None = None

    @property
    def failed(self) -> bool:
        """Whether a finding is an error that no waiver holds for: nothing may be deployed then."""
        return any(found.severity is Severity.ERROR and not found.waived for found in self.findings)

    def strictly(self) -> Checked:
        """The same where what could not be judged is an error."""
        findings = (
            replace(found, severity=Severity.ERROR) if found.id == KNOWLEDGE else found for found in self.findings
        )
        return replace(self, findings=tuple(findings))


def check(document: Document, *, today: date | None = None, checkpoint: Checkpoint | None = None) -> Checked:
    """What is wrong with the document, from its shape to the guard rules, and what of it could not be judged.

    ``today`` (UTC) decides about waivers. ``checkpoint`` has the model's ``config.json``, where that is at hand.
    """
    day = today or datetime.now(UTC).date()
    try:
        profile = Profile.read(document.data)
    except Refused as refused:
        # The schema refuses what the models refuse (a property test holds the two to agree), and explains it better.
        # That it need not run for a document that the models accept saves a third of the time of `validate`.
        from glmdeploy.profile import violations

        faults = violations.faults_of(document)
        found = violations.told(document, faults) or [_refused(refused, document)]
        return Checked(findings=_shown([*found, *_rest(document, faults, found, day, checkpoint)]))
    try:
        facts = Facts.of(profile, checkpoint)
    except catalog.UnknownVersion as error:
        unknown = _unknown_version(error, document)
        return Checked(findings=_shown([unknown, nothing_judged(unknown, len(rules()))]))
    return Checked(findings=_shown(_judged(facts, document, day)), facts=facts)


def _judged(facts: Facts, document: Document, today: date, refused: Sequence[Finding] = ()) -> list[Finding]:
    """What the release and the rules say of the facts; ``refused`` was found before, and leaves parts of them open."""
    # An option that holds a secret is for the rules to judge.
    judged = [problem for problem in facts.problems if problem.secret is None]
    options = [_option_finding(problem, document) for problem in judged]
    judgement = judge(rules(), facts, document, today)
    # Rules take a refused option for one that is left out, and what they say of its place is not so.
    places = {found.path for found, problem in zip(options, judged, strict=True) if not problem.at_key}
    told = (found for found in judgement.findings if found.path not in places)
    return [*options, *told, *knowledge(facts, judgement, document, [*refused, *options])]


def _rest(
    document: Document, faults: Sequence[Fault], found: Sequence[Finding], today: date, checkpoint: Checkpoint | None
) -> list[Finding]:
    """What is wrong beside the faults of a document's shape, which were ``found``, and what these leave open."""
    if not faults or found[0].path == ():
        return []  # It is no profile, and there is nothing to judge.
    from glmdeploy.profile.mended import mended
    from glmdeploy.rules.partly import PartFacts, Partly

    rest = mended(document.data, faults)
    try:
        profile = Profile.read(rest.data) if rest else None
        if rest is None or profile is None:
            return [nothing_judged(found[0], len(rules()))]
        part: Any = Partly(profile, rest.lost)
        facts = PartFacts.of(part, checkpoint, lost=rest.lost)
    except (Refused, catalog.UnknownVersion):
        return [nothing_judged(found[0], len(rules()))]
    # That a waiver is of no use is known once all is judged.
    return [each for each in _judged(facts, document, today, found) if each.id != "waiver"]


def _shown(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings in the order of their places, without secrets."""
    return tuple(sorted(hide(found), key=_order))


def _order(found: Finding) -> tuple[str, int, int, bool, str]:
    """By place; what was not judged comes after what it was not judged for."""
    place = found.location
    return place.file, place.line, place.column, found.id == KNOWLEDGE, found.id


@cache
def tried(rule: Rule, example: Example) -> tuple[Finding, ...]:
    """What the rule finds in the example: a profile that ships, with some values set."""
    document = load(str(profiles_dir() / f"{example.profile}.yaml"), sets=example.sets)
    return tuple(found for found in check(document).findings if found.id == rule.id)


def _refused(refused: Refused, document: Document) -> Finding:
    """What a form says of a place that the schema takes."""
    return Finding(
        id="schema",
        severity=Severity.ERROR,
        message=f"`{dotted(refused.path)}` is not what is expected there",
        location=document.locate(refused.path),
        path=refused.path,
        expected=refused.expected,
    )


def _unknown_version(error: catalog.UnknownVersion, document: Document) -> Finding:
    path, known = ("sglang", "version"), catalog.versions()
    near = nearest(error.version, known, most=2)
    newer = catalog.version_key(error.version) > catalog.version_key(known[-1])
    hint = "pin a release that is listed, together with its image"
    if newer:
        hint = f"pin `{known[-1]}`, the newest that this glmdeploy knows, together with its image"
    elif near:
        hint = f"did you mean {' or '.join(f'`{each}`' for each in near)}?"
    return Finding(
        id="sglang",
        severity=Severity.ERROR,
        message=f"there is no SGLang `{error.version}` among the releases that glmdeploy knows",
        location=document.locate(path),
        path=path,
        expected=f"one of: {', '.join(f'`{each}`' for each in known)}",
        fix=hint,
    )


def _option_finding(problem: Problem, document: Document) -> Finding:
    path = ("sglang", "args", problem.key)
    return Finding(
        id="sglang",
        severity=Severity.ERROR,
        message=problem.message,
        location=document.locate(path, key=problem.at_key),
        path=path,
        expected=problem.expected,
        fix=problem.fix,
        edits=tuple(_edits(problem, path)),
    )


def _edits(problem: Problem, path: KeyPath) -> Iterator[Edit]:
    """What the release takes instead of a key or a value that it refuses, where nothing is left to decide."""
    for key, value in (problem.instead or {}).items():
        yield SetValue(path=path, value=value) if key == problem.key else RenameKey(path=path, name=key)
