"""Looks at the public address of a deployment: as who uses it does, and once a version is ready."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import attended, plainly
from glmdeploy.operate.endpoint import check_key, check_proxy
from glmdeploy.operate.events import Answered, KeyRequired
from glmdeploy.operate.verify import verify

if TYPE_CHECKING:
    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

KEY_SECONDS = 120
"""What a healthy endpoint gets to refuse a request without a key: its container may just be replaced."""
WATCH_SECONDS = 10.0
WATCH_PAUSE = 1.0
"""How the endpoint is watched: the limit of a question, and the pause after each."""


def see_refusals(plan: Plan, target: Target, url: str, ask: Ask) -> KeyRequired:
    """See that who lacks the proxy token is refused, and who lacks the key, as far as the plan wants them.

    :raises DeployError: when somebody is not.
    """
    stop = target.command(f"app stop {plan.app}")
    of_proxy: bytes | None = None
    if plan.proxy_auth:
        what = f"ask {plan.app} without a proxy token"
        of_proxy = attended(target, what, lambda: plainly(lambda: check_proxy(url, stop, KEY_SECONDS)))
    if plan.api_key:
        what = f"ask {plan.app} without a key"
        attended(target, what, lambda: plainly(lambda: check_key(url, stop, KEY_SECONDS, ask=ask, of_proxy=of_proxy)))
    return KeyRequired(required=plan.api_key is not None, proxy=plan.proxy_auth)


def see_answers(plan: Plan, target: Target, url: str) -> Answered:
    """See that who has the key gets a good answer at the public address; without the key, a container asks.

    Where nobody can ask, that is a doubt and no fault: the container of the version has asked its engine already.

    :raises DeployError: where the answer is wrong.
    """
    try:
        found = verify(plan, target, url=url, quick=True)
    except DeployError as fault:
        return Answered(doubt=fault.message)
    if found.failed:
        told = [f"{check.name}: {check.words}" for check in found.failed]
        raise DeployError(
            f"the new version of {plan.app} says that it is ready, and answers wrong: {told[0]}",
            advice="\n".join(f"  and {each}" for each in told[1:]) or None,
        )
    good = tuple(check.name for check in found.checks if check.state == "ok")
    return Answered(checks=good, figures={} if found.stand_in else found.figures)


class Watch(threading.Thread):
    """Asks the endpoint all the while, as who uses it does."""

    def __init__(self, url: str, ask: Ask) -> None:
        super().__init__(name="watch", daemon=True)
        self._url, self._ask = url, ask
        self._over = threading.Event()
        self._since: float | None = None
        self._silent = 0.0
        self._answered = False
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            asked = time.monotonic()
            good = self._ask(f"{self._url}/health", WATCH_SECONDS).status == 200
            if self._over.is_set():
                return
            if good:
                self._silent = max(self._silent, time.monotonic() - self._since if self._since is not None else 0.0)
                self._since, self._answered = None, True
            elif self._answered and self._since is None:
                self._since = asked
            self._over.wait(WATCH_PAUSE)

    def end(self) -> float | None:
        """The longest time without a good answer, in seconds; None where there never was one."""
        self._over.set()
        if not self._answered:
            return None
        return max(self._silent, time.monotonic() - self._since if self._since is not None else 0.0)
