"""What could not be judged about a profile, said once: to find nothing for want of knowledge is no approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Finding, Severity, dotted, listed
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.gaps import Gap
from glmdeploy.sglang import models
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.facts import Facts
    from glmdeploy.rules.judge import Judgement

KNOWLEDGE = "knowledge"
_NAMED = 3
"""Refused values that are named; of more there is a number."""

_ALLOW = "`--model-config FILE` or `--ask-hub` would allow it"


def knowledge(facts: Facts, judgement: Judgement, document: Document, refused: Sequence[Finding]) -> Iterator[Finding]:
    """What was not judged: one finding for want of knowledge, and one for what ``refused`` tells of; often none."""
    lost = [met for met in judgement.unjudged.values() if Gap.REFUSED in met]
    if lost and refused:
        yield unjudged(lost, refused)
    if not (rest := [met for met in judgement.unjudged.values() if Gap.REFUSED not in met]):
        return
    reasons = list(dict.fromkeys(_reasons(facts)))
    if facts.checkpoint is None and facts.model is None:
        reasons.append(_ALLOW)
    path = ("model", "repo")
    what, verb = _counted(rest)
    yield Finding(
        id=KNOWLEDGE,
        severity=Severity.INFO,
        message=f"{what} {verb} not judged: {'; '.join(reasons)}",
        location=document.locate(path),
        path=path,
    )


def unjudged(lost: Sequence[Set[Gap]], refused: Sequence[Finding]) -> Finding:
    """The finding about rules that asked for what the profile says wrongly, as the ``refused`` findings tell."""
    paths = list(dict.fromkeys(each.path for each in refused))
    names = [f"`{path[-1] if path[:2] == ARGS and len(path) > len(ARGS) else dotted(path)}`" for path in paths[:_NAMED]]
    rest = len(paths) - len(names)
    said = [*names, f"{rest} more"] if rest else names
    return Finding(
        id=KNOWLEDGE,
        severity=Severity.INFO,
        message=f"what depends on {listed(said)} was not judged: {_counted(lost)[0]}",
        location=refused[0].location,
        path=paths[0],
    )


def nothing_judged(refused: Finding, rules: int) -> Finding:
    """The finding about a profile of which no rule can say anything, for what ``refused`` tells of."""
    return Finding(
        id=KNOWLEDGE,
        severity=Severity.INFO,
        message=f"without `{dotted(refused.path)}` nothing else was judged: memory and all {rules} rules",
        location=refused.location,
        path=refused.path,
    )


def _counted(unjudged: Sequence[Set[Gap]]) -> tuple[str, str]:
    """What was not judged, and the verb behind it."""
    met = frozenset().union(*unjudged)
    named = [gap.value for gap in (Gap.MEMORY, Gap.VALUES) if gap in met]
    rules = f"{len(unjudged)} rule{'s' if len(unjudged) > 1 else ''}"
    return listed([*named, rules]), "was" if not named and len(unjudged) == 1 else "were"


def _reasons(facts: Facts) -> Iterator[str]:
    """Why, as far as it can be told, the nearest cause first."""
    if facts.architecture is None:
        repo = facts.profile.model.repo
        near = nearest(repo.rpartition("/")[2], models.published(), most=1)
        hint = f" (did you mean `{models.published()[near[0]]}`?)" if near else ""
        yield f"the model {repo} is not known{hint}"
        return
    if facts.kind is None:
        yield f"the architecture {facts.architecture} is not known"
    if facts.model is None:
        yield f"the dimensions of {facts.profile.model.repo} are not known"
    unknown = (each.why for each in facts.effective.values() if not each.known and each.basis is None)
    yield from filter(None, unknown)
    if facts.model is not None and facts.memory is None:
        yield "what the GPU holds with these options is not counted"
