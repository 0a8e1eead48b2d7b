"""What ``verify`` knows of an endpoint, and how a check of it comes to a result.

A check is a function of a :class:`Site` that returns :class:`Passed`, or raises :class:`CheckFailed` or
:class:`CheckSkipped`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.purpose import CHAT, EMBEDDING_FLAG, purpose_of
from glmdeploy.runtime.verify_events import EventReader, StreamedChat
from glmdeploy.runtime.verify_http import (
    READ_BYTES,
    Door,
    GoneAway,
    NoReply,
    Told,
    check_status,
    gone_away,
    opened,
    tell,
)

PASSED, FAILED, SKIPPED = "ok", "failed", "skipped"

ANSWER_PATIENCE = 300.0
"""Seconds of silence after which a request is given up: a first one may compile kernels."""
POLL_PAUSE = 0.5
SHOWN = 80
"""Characters of an answer that are shown."""

WITHOUT_THOUGHT = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
"""Asks the chat templates of GLM and Qwen, and of DeepSeek, for an answer without reasoning."""


class CheckFailed(Exception):
    """What is wrong, as a clause."""


class CheckSkipped(Exception):
    """Why the check says nothing, as a clause."""


@dataclass(frozen=True)
class Passed:
    """What a check saw, in words, and its figures by their names, with units."""

    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """``state`` is ``ok``, ``failed`` or ``skipped``; ``again`` says why it was asked twice, where it was."""

    name: str
    state: str
    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    again: str = ""

    def data(self, mask: Mask) -> dict[str, Any]:
        """As JSON, with the key hidden."""
        found = {"name": self.name, "state": self.state, "words": mask(self.words)}
        return found | ({"asked_again": mask(self.again)} if self.again else {})


@dataclass
class Site:
    """An endpoint. ``subject`` is what is expected of it (:func:`glmdeploy.operate.verify.subject`).

    ``info`` is the answer of ``/server_info``, ``cards`` that of ``/v1/models``; both are empty until they were asked.
    """

    door: Door
    subject: Mapping[str, Any]
    info: Mapping[str, Any] = field(default_factory=dict)
    cards: Sequence[Mapping[str, Any]] = ()
    generates: bool = True
    engine: str = ""

    @property
    def model(self) -> str:
        """By which name requests ask for the model."""
        return str(self.subject.get("served_name") or (self.cards[0]["id"] if self.cards else ""))

    @property
    def purpose(self) -> str:
        if purpose := self.subject.get("purpose"):
            return str(purpose)
        command = [EMBEDDING_FLAG] if self.info.get("is_embedding") or not self.generates else []
        return purpose_of([*command, "--model-path", str(self.info.get("model_path", "")), ""])

    def has(self, option: str) -> bool:
        """Whether an option of SGLang's is set: by the plan, else as the engine itself says."""
        options = self.subject.get("options")
        return option in options if options is not None else bool(self.info.get(option))

    @property
    def room(self) -> int:
        """Tokens that a request may have in all; 4,096 where nobody tells."""
        told = [card.get("max_model_len") for card in self.cards] + [self.info.get("max_total_num_tokens")]
        return min((number for number in told if isinstance(number, int) and number > 0), default=4096)

    def tokens(self, wanted: int) -> int:
        """As many of the tokens that are wanted as leave room for a prompt."""
        return max(1, min(wanted, self.room // 2))

    def ask(self, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = ANSWER_PATIENCE) -> Told:
        """A whole answer with status 200.

        :raises CheckFailed: for another one.
        :raises NoReply:
        """
        answer = tell(self.door, path, body, seconds=seconds)
        check_status(answer)
        if answer.status != 200:
            raise refused(answer)
        return answer

    def chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a chat completion."""
        found: dict[str, Any] = self.ask("/v1/chat/completions", body).data
        return found

    def stream(self, body: Mapping[str, Any], *, seconds: float = ANSWER_PATIENCE) -> StreamedChat:
        """A streamed chat completion, to its end. :raises GoneAway: where it has none."""
        wanted = {**body, "stream": True, "stream_options": {"include_usage": True}}
        found, reader = StreamedChat(), EventReader()
        with opened(self.door, "/v1/chat/completions", wanted, seconds=seconds) as (answer, began):
            with gone_away():
                if answer.status != 200:
                    refusal = Told(answer.status, answer.read(READ_BYTES), 0.0)
                    check_status(refusal)
                    raise refused(refusal)
            while not found.ended:
                with gone_away():
                    content = answer.read1(READ_BYTES)
                if not content:
                    raise GoneAway("the stream ended without [DONE]")
                at = time.monotonic() - began
                for event in reader.feed(content):
                    found.take(event, at)
        return found

    def question(self, said: str, *, tokens: int, think: bool = False) -> dict[str, Any]:
        """The body of a chat completion of one question, at temperature 0."""
        body = {"model": self.model, "messages": [{"role": "user", "content": said}], "temperature": 0}
        return body | {"max_tokens": self.tokens(tokens)} | ({} if think else WITHOUT_THOUGHT)


def run_check(name: str, check: Callable[[Site], Passed], site: Site, *, wake: Callable[[Site], Any]) -> CheckResult:
    """The result of a check, which is made once more where the container went away in the middle, and ``wake`` is."""
    again = ""
    while True:
        try:
            found = check(site)
        except CheckSkipped as why:
            return CheckResult(name, SKIPPED, str(why), again=again)
        except CheckFailed as why:
            return CheckResult(name, FAILED, str(why), again=again)
        except GoneAway as why:
            if again:
                return CheckResult(name, FAILED, f"{why}, twice", again=again)
            again = str(why)
            with contextlib.suppress(CheckFailed, NoReply):
                wake(site)
        except NoReply as why:
            return CheckResult(name, FAILED, str(why), again=again)
        except (ValueError, RecursionError):
            return CheckResult(name, FAILED, "the answer is not JSON", again=again)
        except (LookupError, TypeError, AttributeError):
            return CheckResult(name, FAILED, "the answer does not have the form that clients read", again=again)
        else:
            return CheckResult(name, PASSED, found.words, found.figures, again=again)


def at_once(call: Callable[[Any], Any], items: Sequence[Any], clients: int) -> list[Any]:
    """What ``call`` gives for each item, so many of them at a time; the first exception, where one was raised.

    In threads that keep no process from ending, as those of an executor would after Ctrl-C.
    """
    lock, left = threading.Lock(), iter(enumerate(items))
    found: dict[int, Any] = {}
    faults: list[BaseException] = []

    def client() -> None:
        while not faults:
            with lock:
                place, item = next(left, (None, None))
            if place is None:
                return
            try:
                found[place] = call(item)
            except BaseException as fault:
                faults.append(fault)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(min(clients, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return [found[place] for place in range(len(items))]


def refused(answer: Told) -> CheckFailed:
    """A status that is none of success, with what SGLang says beside it."""
    said: Any = answer.text
    with contextlib.suppress(ValueError, RecursionError):
        data = answer.data
        if isinstance(data, dict):
            inner = data.get("error", data)
            said = inner.get("message", said) if isinstance(inner, dict) else inner
    return CheckFailed(f"status {answer.status}: {shown(str(said))}")


def shown(text: str) -> str:
    """The beginning of an answer, on one line."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]} ..."


def with_session(site: Site, session: str) -> Site:
    """The same, with all requests to one container, where Modal does so."""
    return dataclasses.replace(site, door=dataclasses.replace(site.door, session=session))


def needs_text(site: Site) -> None:
    """:raises CheckSkipped: for a model that does not generate: SGLang ends itself when it is asked for text."""
    if site.purpose != CHAT or not site.generates:
        raise CheckSkipped("the model does not generate")
