"""Routes that stay open, by release."""

from __future__ import annotations

from judged import messages


def test_routes_that_stay_open_are_named_by_release() -> None:
    assert messages("GLM061") == ["`/health*` and `/metrics*` answer without the API key"]
    assert messages("GLM061", "sglang.args.enable-metrics=null") == ["`/health*` answers without the API key"]
    newest = messages("GLM061", profile="b200-eagle-bf16kv-0.5.23")
    assert newest == ["`/health*`, `/ready*`, `/metrics*` and the WebSocket `/v1/realtime` answer without the API key"]
