"""How ``apply`` asks an endpoint behind Modal's proxy: with the proxy token, which Modal gives to containers alone.

The token is taken from the environment of the user's shell, by the names of the secret's keys; from the embedded cloud
where that is the target; else a small container of the app asks, which has the secret.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.errors import LocalCloudError
from glmdeploy.local import cloud
from glmdeploy.runtime.public import PublicAnswer, ask_public

if TYPE_CHECKING:
    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


def way_in(plan: Plan, target: Target, url: str) -> Ask | None:
    """How the endpoint at ``url`` is asked; None where Modal's proxy wants a token and the plan names none."""
    if plan.proxy_token is None:
        return None if plan.proxy_auth else ask_public
    # Also where the profile does not ask for it: an Environment may.
    token = held_token(plan.proxy_token, target)
    if token is None:
        return _by_container(plan, target, url)
    return lambda asked, seconds: ask_public(asked, seconds, token)


def held_token(secret: Secret, target: Target) -> tuple[str, str] | None:
    """The id and the secret of the token, where this process can know them."""
    key, value = (os.environ.get(name, "") for name in secret.keys)
    if key and value:
        return key, value
    if target.cloud:
        try:
            return cloud.read_secret(secret.name, secret.keys[0]), cloud.read_secret(secret.name, secret.keys[1])
        except LocalCloudError:
            return None
    return None


def _by_container(plan: Plan, target: Target, url: str) -> Ask:
    """The app's function ``ask_endpoint``, in a small CPU container."""
    function = modal.Function.from_name(plan.app, "ask_endpoint", environment_name=target.environment)

    def ask(asked: str, seconds: float) -> PublicAnswer:
        try:
            found: dict[str, Any] = function.remote(asked.removeprefix(url), authorized=True, seconds=seconds)
        except modal.exception.Error as fault:
            return PublicAnswer(None, f"the container that asks failed: {str(fault).splitlines()[0]}")
        return PublicAnswer(found["status"], found["reason"], found["body"])

    return ask
