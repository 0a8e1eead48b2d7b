"""What a plan's revision means today: the commit, asked of the hub before anything is planned.

The hub is asked from here. Where it cannot be reached, or hides the repository, a container of the target is asked,
which has the target's network and the plan's token.
"""

from __future__ import annotations

import json
import urllib.error
from typing import TYPE_CHECKING
from urllib.parse import quote

from glmdeploy.errors import DeployError
from glmdeploy.local import repository
from glmdeploy.local.home import Home
from glmdeploy.operate.asking import Question, plainly
from glmdeploy.operate.secrets import missing_secrets
from glmdeploy.operate.stages import running
from glmdeploy.runtime.loopback import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.local.cloud import Cloud
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

REQUEST_SECONDS = 15
"""The longest wait for a byte of the hub's answer."""
SECONDS = 60
"""The longest wait for all of it."""


class _NoRevisionError(Exception):
    """The hub has the repository, and no such revision of it."""


class _NoRepositoryError(Exception):
    """The hub has no such repository, or hides it."""


class _UnseenError(Exception):
    """The hub did not tell from here; ``error`` is what the user hears if nobody else can ask it."""

    def __init__(self, error: DeployError) -> None:
        super().__init__(error.message)
        self.error = error


def resolved(plan: Plan, target: Target, *, tell: Callable[[str], None], ask: bool = True) -> Plan:
    """The plan with its commit: the weights of a deployment never change under it, whatever a branch comes to mean.

    ``tell`` hears when a container is asked, which takes longer. Without ``ask`` none is: where the hub does not tell
    from here, ``tell`` hears so, and the plan comes back as it is.

    :raises DeployError: when the hub does not tell.
    """
    if plan.model.commit:
        return plan
    try:
        return plan.at(_asked(plan.model.repo, plan.model.revision, target.cloud))
    except _UnseenError as unseen:
        error = unseen.error
    if not ask:
        tell(
            f"{error.message}: `apply` asks a container of the target; until then the commit of "
            f"{plan.model.revision} is not known, and the revision is compared as it is written"
        )
        return plan
    secret = plan.huggingface
    if secret is None:
        raise error
    if missing := [item for item in missing_secrets(plan, target) if item.secret == secret]:
        how = "has no such secret" if missing[0].absent else f"has it without {secret.keys[0]}"
        raise DeployError(
            error.message,
            advice=f"{error.advice};\na container would ask with the secret {secret.name}: {target} {how}",
        )
    tell(f"{error.message}: a container asks, with the secret {secret.name} ...")
    return plan.at(_commit_by_container(plan, target, error))


def commit(repo: str, revision: str) -> str:
    """The commit that a revision means today, as the hub tells it from here.

    :raises DeployError:
    """
    try:
        return _asked(repo, revision, None)
    except _UnseenError as unseen:
        raise unseen.error from None


def _asked(repo: str, revision: str, cloud: Cloud | None) -> str:
    """The commit of a revision on the embedded cloud's hub, or on the user's.

    :raises DeployError:
    """
    pin = "or write the commit's hash as `model.revision`, for which nobody is asked"

    def ask() -> str | None:
        if cloud and not cloud.hub_url:  # it does not run, and neither does its hub
            return repository.resolve(Home(root=cloud.home).hub, repo, revision)
        return _of_own_hub(cloud.hub_url, repo, revision) if cloud else _of_the_hub(repo, revision)

    try:
        question = Question(lambda: plainly(ask))
        if not question.answered(SECONDS):
            raise TimeoutError
        found = question.answer()
    except _NoRevisionError:
        raise DeployError(
            f"{repo} has no revision {revision}", advice="check `model.revision`: a commit hash, a tag or a branch"
        ) from None
    except _NoRepositoryError:
        raise _UnseenError(
            DeployError(
                f"the Hugging Face Hub knows no repository {repo}, or hides it from you",
                advice=f"check `model.repo`; if it is private, set HF_TOKEN here to a token that may read it, {pin}",
            )
        ) from None
    except Exception as error:
        # The HTTP library's own, whose text may hold the token.
        status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
        why = f"it answered with status {status}" if status else type(error).__name__
        raise _UnseenError(
            DeployError(
                f"the Hugging Face Hub did not say which commit {revision} of {repo} is: {why}",
                advice=f"try again, {pin}",
            )
        ) from None
    if not found:
        raise DeployError(f"the Hugging Face Hub named no commit for {revision} of {repo}", advice=f"try again, {pin}")
    return found


def _of_the_hub(repo: str, revision: str) -> str | None:
    """As the user's own hub says, with the user's own token; raises what the library raises."""
    from huggingface_hub import HfApi, errors

    try:
        return HfApi().model_info(repo, revision=revision, timeout=REQUEST_SECONDS).sha
    except errors.RevisionNotFoundError:
        raise _NoRevisionError from None
    except errors.RepositoryNotFoundError:
        raise _NoRepositoryError from None


def _of_own_hub(url: str, repo: str, revision: str) -> str | None:
    """As the embedded cloud's hub says: one request, without a token; raises what :mod:`urllib` raises."""
    address = f"{url}/api/models/{repo}/revision/{quote(revision, safe='')}"
    try:
        with LOOPBACK.open(address, timeout=REQUEST_SECONDS) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as fault:
        with fault:
            why = fault.headers.get("X-Error-Code")
        raise {"RevisionNotFound": _NoRevisionError, "RepoNotFound": _NoRepositoryError}.get(why or "", fault) from None
    commit = found.get("sha")
    return commit if isinstance(commit, str) else None


def _commit_by_container(plan: Plan, target: Target, error: DeployError) -> str:
    with running(plan, target, revision=True) as app:
        found = app.resolve_revision()
    if "commit" not in found:
        raise DeployError(error.message, advice=f"{error.advice}\na container asked in vain: {found.get('fault')}")
    return str(found["commit"])
