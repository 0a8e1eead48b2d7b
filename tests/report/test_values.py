"""Values side by side: how a disagreement with the real SGLang would look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.profile.text.load import load
from glmdeploy.report.values import explain_text
from glmdeploy.rules.check import check
from glmdeploy.sglang import explain
from glmdeploy.sglang.real.oracle import Resolved

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_disagreement_is_shown(snapshot: Callable[[str, str], None]) -> None:
    subject = check(load("b200-eagle-bf16kv")).facts
    assert subject
    ours: dict[str, Any] = {row.name: row.effective.value for row in explain.rows(subject.effective)}
    real = ours | {
        "page_size": 1,
        "nsa_prefill_backend": ours["dsa_prefill_backend"],
        "nsa_decode_backend": ours["dsa_decode_backend"],
        "enable_flashinfer_allreduce_fusion": True,
        "disable_piecewise_cuda_graph": True,
    }
    resolved = Resolved(code=0, error=None, parsed={}, values=real, log=(), stderr="")
    rows = explain.compared(explain.rows(subject.effective), resolved)
    assert [row.name for row in rows if row.agrees is False] == ["page_size"]
    text = click.unstyle(explain_text(subject, rows))
    snapshot("explain-disagreement", text + "\n")
    assert text.endswith(f"The real SGLang agrees on {len(rows) - 1} of {len(rows)} values.")


def test_a_narrow_terminal_breaks_lines_and_no_secret() -> None:
    token = "hf_" + "q7" * 17
    subject = check(load("b200-eagle-bf16kv", sets=[f"sglang.args.chat-template={token}"])).facts
    assert subject
    rows = explain.rows(subject.effective, everything=True)
    wide, narrow = (click.unstyle(explain_text(subject, rows, width)) for width in (1000, 60))
    assert "hf_***" in wide
    assert max(map(len, narrow.splitlines()[1:])) <= 60
    assert "q7" not in wide + narrow
