"""The JSON Schema and the models accept the same documents, and the committed schema is the generated one."""

from __future__ import annotations

import copy
import json
import re
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from support import examples
from validators import accepts

from glmdeploy.profile import durations, release_schema, schema
from glmdeploy.profile.faults import KEYWORDS, WORDS
from glmdeploy.profile.fields import Refused
from glmdeploy.profile.models import Profile
from glmdeploy.profile.text.load import load
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog

SETS = (
    "gpu=[B200:8, B300:8]",
    "cluster={nodes: 2, rdma: false}",
    "volumes.weights.version=2",
    "volumes.weights.read_only=true",
    "volumes.further=[{name: adapters, mount: /adapters, sub_path: en/de, read_only: false}]",
    "secrets.registry={name: registry, keys: [REGISTRY_USERNAME, REGISTRY_PASSWORD]}",
    "secrets.further=[{name: bucket, keys: [ID]}]",
    "download.retries={max_retries: 3, backoff_coefficient: 1.5, initial_delay: 2, max_delay: 45}",
    "download.cpu=[4, 8]",
    "compile.memory=[4096, 8192]",
    "download.nonpreemptible=true",
    "sglang.image_steps=[{apt: [git], run: [make]}, {pip: [nvtx]}]",
    'sglang.add_python="3.12"',
    "keepalive.timezone=Europe/Berlin",
    "server.kind=server",
    "server.target_concurrency=1.5",
    "server.max_concurrency=64",
    "server.scaleup_window=45s",
    "server.exit_grace_period=0",
    "server.routing_region=eu-west",
    "server.requires_proxy_auth=true",
    "server.custom_domains=[llm.acme.com]",
    "server.experimental_options={fast: yes, n: 2}",
)
"""One of each form that a field can have, beside what the profile has; what guards say of it does not count here."""


def base() -> dict[str, Any]:
    return load("b200-eagle-bf16kv", sets=SETS).data


BASE = base()


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        found += [inner for key, item in value.items() for inner in paths(item, (*path, key))]
    if isinstance(value, list):
        found += [inner for place, item in enumerate(value) for inner in paths(item, (*path, place))]
    return found


def edited(path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(BASE)
    if not path:
        return value
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return data


def model_accepts(data: Any) -> bool:
    try:
        Profile.read(data)
    except Refused:
        return False
    return True


# Documents hold no null in a mapping (a null removes the key) and no infinite number (the reader refuses it).
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 100_000),
    st.floats(-2, 100_000, allow_nan=False),
    st.integers(0, 100_000).map(float),
    st.text(max_size=12),
    st.text(string.ascii_letters + string.digits + "/:.-_ \n", max_size=70),
    st.sampled_from(
        [
            "2h",
            "15m",
            "86400s",
            "86401s",
            "0s",
            "24h",
            "25h",
            "1440m",
            "B200:8",
            "B300",
            "server",
            "us-east",
            "llm.acme.com",
            "-x.acme.com",
            "3.12",
            "en/de",
            "../en",
            "Europe/Berlin",
            "A10:5",
            "A10:4",
            "H100!",
            "B200+:8",
            "main\n",
            "a/b",
            "/mnt",
            "/mnt/",
            "//",
            "https://x",
            "http://",
            "GLM004",
            "2027-02-28",
            "2027-13-01",
            "é",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "mount", "keys", "A_B", "a-b", "1x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
AMOUNTS = st.one_of(st.integers(-1, 5_000_000), st.floats(-1, 200), st.booleans())
VALUES |= st.lists(AMOUNTS, max_size=3)
VALUES |= st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("max_retries", "backoff_coefficient", "initial_delay", "max_delay", "max_retrys"), AMOUNTS),
)


EDITORS = Draft7Validator(json.loads(release_schema.generate(BASE["sglang"]["version"])))
"""The schema that such a profile names for editors. What it says of options is tested in tests/editor."""


def of_options(path: tuple[Any, ...]) -> bool:
    return path in ((), ("sglang",)) or path[:2] in (("sglang", "args"), ("sglang", "version"))


@settings(max_examples=examples(300))
@given(path=st.sampled_from(paths(BASE)), value=VALUES)
@example(path=("server", "cpu"), value=[1, 2])
@example(path=("server", "cpu"), value=[1, 2, 3])
@example(path=("server", "memory"), value=[128.0, 256])
@example(path=("download", "retries"), value={"max_retries": 11})
@example(path=("download", "retries"), value={"backoff_coefficient": 2})
@example(path=("volumes", "weights", "version"), value=3)
@example(path=("gpu",), value=[])
@example(path=("cluster",), value={})
@example(path=("cluster",), value={"rdma": True})
@example(path=("cluster",), value={"nodes": 2, "size": 2})
@example(path=("cluster", "nodes"), value=1)
@example(path=("cluster", "nodes"), value=32)
@example(path=("cluster", "nodes"), value=33)
@example(path=("cluster", "nodes"), value=2.0)
@example(path=("cluster", "nodes"), value=True)
@example(path=("cluster", "rdma"), value="yes")
@example(path=("sglang", "image_steps"), value=[{"run": "make"}])
@example(path=("name",), value="name\n")
@example(path=("schema",), value=1.0)
@example(path=("schema",), value=True)
@example(path=("server", "timeout"), value=86_400.0)
@example(path=("download", "env"), value={"A": 1.0})
@example(path=("download", "env"), value={"A": True})
@example(path=("secrets", "api_key", "keys"), value=["A", "A\n"])
def test_schema_and_models_agree_on_edits(path: tuple[Any, ...], value: Any) -> None:
    data = edited(path, value)
    assert accepts(data) == model_accepts(data)
    assert of_options(path) or EDITORS.is_valid(data) == model_accepts(data)


@given(path=st.sampled_from(paths(BASE)[1:]), key=st.text(string.ascii_lowercase + "_-", min_size=1, max_size=8))
def test_schema_and_models_agree_on_missing_and_added_keys(path: tuple[Any, ...], key: str) -> None:
    missing, added = copy.deepcopy(BASE), copy.deepcopy(BASE)
    for data in (missing, added):
        parent = data
        for part in path[:-1]:
            parent = parent[part]
        if data is missing:
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(1)
        else:
            parent[key] = 1
        assert accepts(data) == model_accepts(data)
        assert of_options(path) or EDITORS.is_valid(data) == model_accepts(data)


@pytest.mark.parametrize(("low", "high"), [(1, 86_400), (2, 3600), (60, 86_400), (7, 123), (10, 19), (1, 1)])
@given(number=st.integers(0, 100_000), unit=st.sampled_from("smhd"))
def test_duration_pattern_is_exact(low: int, high: int, number: int, unit: str) -> None:
    text = f"{number}{unit}"
    matches = bool(re.search(durations.pattern(low, high), text))
    try:
        inside = low <= durations.parse(text) <= high
    except ValueError:
        inside = False
    assert matches == inside


def test_committed_schemas_are_fresh() -> None:
    files = [(schemas_dir() / schema.FILE, schema.generate())]
    files += [(release_schema.release_file(each), release_schema.generate(each)) for each in catalog.versions()[::8]]
    for file, text in [*files, (schemas_dir() / release_schema.FOLDER / schema.FILE, release_schema.any_release())]:
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: `glmdeploy schema --write` renews it"
    there = {file.name for file in (schemas_dir() / release_schema.FOLDER).iterdir()}
    assert there == {schema.FILE, *map(release_schema.file_name, catalog.versions())}


def test_every_keyword_that_can_refuse_something_is_one_that_faults_know() -> None:
    """What the walk does not know would be accepted without a word."""
    document = schema.load()
    options = document["$defs"]["Sglang"]["properties"]["args"]["properties"]

    def keywords(node: dict[str, Any]) -> set[str]:
        names = {"properties", "$defs"} & node.keys()
        inner = [each for name in names for each in node[name].values() if node[name] is not options]
        inner += [node[name] for name in ("items", "additionalProperties", "propertyNames") if name in node]
        inner += node.get("anyOf", [])
        return set(node).union(*(keywords(each) for each in inner if isinstance(each, dict)))

    assert keywords(document) - KEYWORDS - WORDS == {"errorMessage"}
    assert keywords(document) >= KEYWORDS


def test_schema_is_valid_and_explains_every_key() -> None:
    document = json.loads(schema.generate())
    Draft202012Validator.check_schema(document)
    for name, model in [("profile", document), *document["$defs"].items()]:
        assert model["title"]
        assert model["description"]
        for key, item in model["properties"].items():
            target = document["$defs"].get(item.get("$ref", "").rpartition("/")[2], {})
            assert {**target, **item}["description"], f"{name}.{key} is not explained"


def test_every_default_of_the_schema_is_the_models() -> None:
    plain = load("b200-eagle-bf16kv").data
    required = {key: plain[key] for key in ("schema", "name", "app", "model", "gpu", "sglang")}
    required["volumes"] = {"weights": plain["volumes"]["weights"]}
    dumped = Profile.read(required).data(whole=True)
    properties = json.loads(schema.generate())["properties"]
    defaults = {key: item["default"] for key, item in properties.items() if "default" in item}
    assert {key: dumped[key] for key in defaults} == defaults
