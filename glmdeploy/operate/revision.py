"""What a plan's revision means today: the commit, asked of the hub before anything is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

SECONDS = 15
"""The longest wait for the hub's answer."""


def resolved(plan: Plan, target: Target) -> Plan:
    """The plan with its commit: the weights of a deployment never change under it, whatever a branch comes to mean.

    :raises DeployError: when the hub does not tell.
    """
    return plan if plan.model.commit else plan.at(_commit(plan, target))


def _commit(plan: Plan, target: Target) -> str:
    from huggingface_hub import HfApi, errors

    repo, revision = plan.model.repo, plan.model.revision
    pin = "or write the commit's hash as `model.revision`, for which nobody is asked"
    try:
        api = HfApi(endpoint=target.cloud.hub_url) if target.cloud else HfApi()
        commit = api.model_info(repo, revision=revision, timeout=SECONDS).sha
    except errors.RevisionNotFoundError:
        raise DeployError(
            f"{repo} has no revision {revision}", advice="check `model.revision`: a commit hash, a tag or a branch"
        ) from None
    except errors.RepositoryNotFoundError:
        raise DeployError(
            f"the Hugging Face Hub knows no repository {repo}, or hides it from you",
            advice=f"check `model.repo`; if it is private, set HF_TOKEN here to a token that may read it, {pin}",
        ) from None
    except Exception as error:
        # The HTTP library's own, whose text may hold the token.
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = f"it answered with status {status}" if status else type(error).__name__
        raise DeployError(
            f"the Hugging Face Hub did not say which commit {revision} of {repo} is: {why}",
            advice=f"try again, {pin}",
        ) from None
    if not commit:
        raise DeployError(f"the Hugging Face Hub named no commit for {revision} of {repo}", advice=f"try again, {pin}")
    return commit
