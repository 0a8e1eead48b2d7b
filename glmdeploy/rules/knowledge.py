"""What could not be judged about a profile, said once: to find nothing for want of knowledge is no approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Finding, Severity
from glmdeploy.rules.gaps import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.profile.text.document import Document
    from glmdeploy.rules.facts import Facts
    from glmdeploy.rules.judge import Judgement

KNOWLEDGE = "knowledge"
_ALLOW = "`--model-config FILE` or `--ask-hub` would allow it"


def knowledge(facts: Facts, judgement: Judgement, document: Document) -> Iterator[Finding]:
    """One finding about all that was not judged, none where everything was."""
    if not judgement.unjudged:
        return
    met = frozenset().union(*judgement.unjudged.values())
    rules = len(judgement.unjudged)
    named = [gap.value for gap in (Gap.MEMORY, Gap.VALUES) if gap in met]
    what = [*named, f"{rules} rule{'s' if rules > 1 else ''}"]
    reasons = list(dict.fromkeys(_reasons(facts)))
    if facts.checkpoint is None and facts.model is None:
        reasons.append(_ALLOW)
    path = ("model", "repo")
    yield Finding(
        id=KNOWLEDGE,
        severity=Severity.INFO,
        message=f"{_listed(what)} {'was' if what == ['1 rule'] else 'were'} not judged: {'; '.join(reasons)}",
        location=document.locate(path),
        path=path,
    )


def _reasons(facts: Facts) -> Iterator[str]:
    """Why, as far as it can be told, the nearest cause first."""
    if facts.architecture is None:
        yield f"the model {facts.profile.model.repo} is not known"
        return
    if facts.kind is None:
        yield f"the architecture {facts.architecture} is not known"
    if facts.model is None:
        yield f"the dimensions of {facts.profile.model.repo} are not known"
    unknown = (each.why for each in facts.effective.values() if not each.known and each.basis is None)
    yield from filter(None, unknown)
    if facts.model is not None and facts.memory is None:
        yield "what the GPU holds with these options is not counted"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
