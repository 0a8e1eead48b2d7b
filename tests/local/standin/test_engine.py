"""The stand-in engine's pure parts: tokens, limits, schemas, keys."""

from __future__ import annotations

import argparse
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glmdeploy.local.standin import chat, generation, instances
from glmdeploy.local.standin.generation import RequestError
from glmdeploy.local.standin.scheduler import Metrics
from glmdeploy.local.standin.server import allowed
from glmdeploy.local.standin.settings import Checkpoint, Settings, settings
from glmdeploy.sglang import catalog, parser


def configured(**arguments: object) -> Settings:
    defaults: dict[str, object] = {
        "model_path": "/models/GLM-5.1",
        "host": "127.0.0.1",
        "port": 30000,
        "served_model_name": "glm",
        "api_key": None,
        "admin_api_key": None,
        "enable_metrics": False,
        "context_length": None,
        "max_total_tokens": None,
        "max_running_requests": None,
        "decode_log_interval": 40,
        "reasoning_parser": None,
        "is_embedding": False,
    }
    checkpoint = Checkpoint(config={"max_position_embeddings": 1000}, tensors=1)
    return settings(argparse.Namespace(**{**defaults, **arguments}), checkpoint, "0.5.11", {}, "told")


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(generation.tokens(text)) == text


@given(st.text(), st.text(), st.integers(0, 60), st.lists(st.text(max_size=3), max_size=3), st.booleans())
def test_a_generation_keeps_its_limit_and_ends_before_a_stop_string(
    thought: str, text: str, limit: int, stop: list[str], ignore_eos: bool
) -> None:
    made = generation.generate(text, thought=thought, limit=limit, stop=stop, ignore_eos=ignore_eos)
    written = "".join(piece.text for piece in made.pieces)
    assert len(made.pieces) <= limit
    assert not any(word and word in written for word in stop)
    assert all(piece.text for piece in made.pieces)
    if made.matched is None and made.finish == "stop":
        assert written == thought + text
    if made.matched is None and made.finish == "length":
        assert len(made.pieces) == limit or (ignore_eos and not text)


def test_a_stop_string_across_tokens_and_a_thought() -> None:
    made = generation.generate("one two three", thought="hm", limit=99, stop=["x", "o th", "two"])
    assert (made.text(thought=True), made.text(thought=False)) == ("hm", "one ")
    assert (made.finish, made.matched) == ("stop", "two")


def test_ignoring_the_end_fills_the_limit() -> None:
    made = generation.generate("one two", limit=5, ignore_eos=True)
    assert (made.text(thought=False), made.finish) == ("one twoone twoone", "length")


@pytest.mark.parametrize(
    ("prompt", "wanted", "expected"),
    [(10, 20, 20), (10, None, 188), (10, 250, 188), (193, None, 5)],
)
def test_room(prompt: int, wanted: int | None, expected: int) -> None:
    assert generation.room(configured(context_length=300, max_total_tokens=200), prompt, wanted) == expected


@pytest.mark.parametrize(
    ("prompt", "wanted", "message"),
    [
        (300, None, "The input (300 tokens) is longer than the model's context length (300 tokens)."),
        (
            10,
            291,
            "exceeds the model's maximum context length of 300 tokens. You requested a total of 301 tokens",
        ),
        (194, 1, "Input length (194 tokens) exceeds the maximum allowed length (194 tokens)"),
    ],
)
def test_no_room(prompt: int, wanted: int | None, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        generation.room(configured(context_length=300, max_total_tokens=200), prompt, wanted)
    assert message in caught.value.message


def test_the_context_is_the_models_unless_it_is_set() -> None:
    assert configured().context_length == 1000
    assert configured(context_length=64).context_length == 64


@pytest.mark.parametrize("version", catalog.versions())
def test_every_catalogued_release_can_be_imitated(version: str) -> None:
    arguments = parser.build_parser(catalog.load(version)).parse_args(["--model-path", "/models/x"])
    made = settings(arguments, Checkpoint(config={}, tensors=1), version, {}, "told")
    assert (made.served_name, made.port, made.context_length) == ("/models/x", 30000, 4096)


def test_no_secret_is_shown() -> None:
    shown = configured(api_key="sekrit", admin_api_key="adminkey", ssl_keyfile_password="pass").shown
    assert not {"sekrit", "adminkey", "pass"} & {str(value) for value in shown.values()}
    assert shown["api_key"] == "***"
    assert configured().shown["api_key"] is None


ANSWER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 12},
        "kind": {"enum": ["a", "b"]},
        "when": {"type": "string", "format": "date-time"},
        "degrees": {"type": "number", "minimum": 3.5},
        "days": {"type": "array", "items": {"type": "integer", "exclusiveMinimum": 4}, "minItems": 2},
        "wind": {"anyOf": [{"$ref": "#/$defs/Wind"}, {"type": "null"}]},
        "optional": {"type": "string"},
    },
    "required": ["city", "kind", "when", "degrees", "days", "wind"],
    "additionalProperties": False,
    "$defs": {
        "Wind": {
            "allOf": [
                {"type": "object", "properties": {"knots": {"type": "integer"}}, "required": ["knots"]},
                {"properties": {"from": {"const": "N"}}, "required": ["from"]},
            ]
        }
    },
}


def test_an_instance() -> None:
    assert instances.instance(ANSWER) == {
        "city": "stand-in----",
        "kind": "a",
        "when": "2000-01-01T00:00:00Z",
        "degrees": 3.5,
        "days": [5, 5],
        "wind": {"knots": 0, "from": "N"},
    }


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "strnig"},
        {"type": "string", "pattern": "^[0-9]+$"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "integer", "minimum": 1, "maximum": 0},
        {"$ref": "#/$defs/Absent"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"not": {"$ref": "http://127.0.0.1:9/schema.json"}},
        {"$ref": "#"},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"anyOf": [True]},
        False,
    ],
)
def test_a_schema_that_is_too_complex_is_refused(schema: Any) -> None:
    with pytest.raises(instances.TooComplexError):
        instances.instance(schema)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYWORDS = [
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "minimum",
    "minLength",
]
schemas = st.dictionaries(
    st.sampled_from([*KEYWORDS, "$ref", "maximum", "maxLength", "format", "prefixItems", "minItems"]),
    json_values | st.sampled_from(["string", "object", "array", "integer", "number", "#", "#/a"]),
    max_size=4,
)


@given(schemas)
def test_an_instance_is_valid_or_there_is_none(schema: dict[str, Any]) -> None:
    try:
        value = instances.instance(schema)
    except instances.TooComplexError:
        return
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
    json.dumps(value)


@pytest.mark.parametrize(
    ("api_key", "admin_key", "path", "given_key", "passes"),
    [
        (None, None, "/v1/models", None, True),
        ("user", None, "/v1/models", None, False),
        ("user", None, "/v1/models", "user", True),
        ("user", None, "/v1/models", "wrong", False),
        ("user", None, "/v1/models", "admin", False),
        ("user", None, "/flush_cache", "user", True),
        ("user", None, "/flush_cache", None, False),
        (None, "admin", "/v1/models", None, True),
        (None, "admin", "/flush_cache", None, False),
        (None, "admin", "/flush_cache", "admin", True),
        ("user", "admin", "/flush_cache", "user", False),
        ("user", "admin", "/flush_cache", "admin", True),
        ("user", "admin", "/v1/models", "admin", False),
        ("user", "admin", "/health", None, True),
        ("user", "admin", "/health_generate", None, True),
        ("user", "admin", "/metrics", None, True),
        ("user", None, "/nowhere", None, False),
    ],
)
def test_keys(api_key: str | None, admin_key: str | None, path: str, given_key: str | None, passes: bool) -> None:
    configuration = configured(api_key=api_key, admin_api_key=admin_key)
    authorization = None if given_key is None else f"Bearer {given_key}"
    assert allowed(configuration, "GET", path, authorization) is passes
    assert allowed(configuration, "OPTIONS", path, None)


@pytest.mark.parametrize(
    "authorization", ["", "user", "Basic user", "Bearer", "Bearer  user", "Bearer usér", "Bearer \udcff"]
)
def test_an_authorization_that_is_no_bearer_token(authorization: str) -> None:
    assert not allowed(configured(api_key="user"), "GET", "/v1/models", authorization)


json_bodies = st.dictionaries(
    st.sampled_from(
        [
            *("messages", "max_tokens", "stop", "tools", "tool_choice", "response_format", "n", "stream"),
            *("stream_options", "chat_template_kwargs", "logprobs", "model", "ignore_eos"),
        ]
    ),
    json_values | st.just([{"role": "user", "content": "Hi"}]) | st.just("required"),
    max_size=5,
)


@given(json_bodies)
@example({"messages": [{"role": "user"}], "tools": True, "tool_choice": "required"})
@example({"messages": [{"role": "user"}], "tools": [{"function": {"name": "f"}}], "tool_choice": [1]})
def test_any_body_is_answered_or_refused(body: dict[str, Any]) -> None:
    try:
        call = chat.call(configured(reasoning_parser="glm45"), body)
    except RequestError:
        return
    assert call.whole["object"] == "chat.completion"
    assert call.whole["system_fingerprint"] == "glmdeploy-stand-in"
    json.dumps([call.whole, *call.events])


def test_a_label_of_a_metric_is_escaped() -> None:
    text = Metrics().render(configured(served_model_name='a"b\\c\nd'))
    assert 'model_name="a\\"b\\\\c\\nd"' in text


def test_a_histogram_counts_what_is_below_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.1, 0.15, 1000):
        metrics.latency.observe(seconds)
    lines = metrics.render(configured()).splitlines()
    name = "sglang:e2e_request_latency_seconds"
    assert [line for line in lines if line.startswith(name) and ('le="0.' in line or "Inf" in line)][:2] == [
        f'{name}_bucket{{engine_type="unified",model_name="glm",le="0.1"}} 1',
        f'{name}_bucket{{engine_type="unified",model_name="glm",le="0.2"}} 2',
    ]
    assert f'{name}_bucket{{engine_type="unified",model_name="glm",le="+Inf"}} 3' in lines
    assert f'{name}_count{{engine_type="unified",model_name="glm"}} 3' in lines
