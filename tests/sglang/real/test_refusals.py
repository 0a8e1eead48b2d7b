"""Rules that say "SGLang refuses" or "SGLang overrules" against what the real one does at start, before any weights."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.rules.registry import rules
from glmdeploy.sglang import catalog, command, explain, models
from glmdeploy.sglang.real.oracle import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from glmdeploy.rules.check import Checked
    from glmdeploy.rules.facts import Facts
    from glmdeploy.rules.rule import Example
    from glmdeploy.sglang.real.oracle import Answers

PROBE = Path(__file__).with_name("checking_probe.py")

REFUSALS = {
    "GLM026",
    "GLM027",
    "GLM028",
    "GLM032",
    "GLM033",
    "GLM120",
    "GLM121",
    "GLM124",
    "GLM234",
    "GLM243",
    "GLM244",
}
"""Rules about what SGLang refuses."""

SEEN_LATER = {
    ("gpu=B200:7", "sglang.args.tp=7"),
    ("gpu=H100:6", "sglang.args.tp=6"),
    ("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=null"),
    ("sglang.args.speculative-eagle-topk=2", "sglang.args.speculative-num-draft-tokens=12"),
    ("sglang.args.max-running-requests=0",),
    ("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.max-running-requests=4"),
    ("sglang.args.max-total-tokens=1",),
    ("sglang.args.context-length=0",),
}
"""Examples that are refused when the model or the KV pool is set up, which needs a GPU."""

OVERRULED = {
    "sglang.args.page-size=1": ("page_size", 64),
    "sglang.args.speculative-num-draft-tokens=8": ("speculative_num_draft_tokens", 4),
    "sglang.args.disable-overlap-schedule=true": ("disable_overlap_schedule", False),
    "sglang.args.enable-dp-attention=true": ("enable_dp_attention", False),
    "sglang.args.enable-mixed-chunk=true": ("enable_mixed_chunk", False),
}
"""What is left of the options that GLM031 finds overruled, by the assignment that writes them."""

VERSIONS = ("0.5.10", catalog.versions()[-1])

CHOICES: dict[str, tuple[Any, ...]] = {
    "speculative-algorithm": ("EAGLE", "NEXTN", "EAGLE3", "STANDALONE", "NGRAM", "DFLASH"),
    "speculative-num-steps": (1, 3),
    "speculative-eagle-topk": (1, 1, 4),
    "speculative-num-draft-tokens": (4, 8),
    "attention-backend": ("flashinfer", "triton"),
    "page-size": (1, 32, 64),
    "dp-size": (2, 3, 8),
    "enable-dp-attention": (True,),
    "enable-dp-lm-head": (True,),
    "pp-size": (2,),
    "ep-size": (8,),
    "moe-a2a-backend": ("deepep",),
    "moe-runner-backend": ("cutlass", "flashinfer_cutlass", "triton"),
    "moe-dense-tp-size": (1, 4, 8),
    "enable-eplb": (True,),
    "enable-two-batch-overlap": (True,),
    "enable-mixed-chunk": (True,),
    "chunked-prefill-size": (-1, 1000, 4096),
    "context-length": (100000, 131073, 202752, 202753),
    "enable-hierarchical-cache": (True,),
    "disable-radix-cache": (True,),
    "enable-priority-scheduling": (True,),
    "schedule-policy": ("lpm", "fcfs"),
    "schedule-conservativeness": (-1, 0.5),
    "quantization": ("fp8", "awq", "modelopt_fp4"),
    "enable-lora": (True,),
    "max-lora-rank": (16,),
    "tokenizer-worker-num": (0, 2),
    "export-metrics-to-file": (True,),
}
"""Options that meet in the rules, with values that are right in some company and wrong in other."""

SETS = 30
"""Generated profiles a release and model."""

MODELS = (("zai-org/GLM-5.1-FP8", "B200"), ("zai-org/GLM-4.5-Air", "H100"))


def example_of(example: Example) -> Checked:
    return check(load(str(profiles_dir() / f"{example.profile}.yaml"), sets=example.sets))


def answers(oracle: Callable[[str], Answers], subjects: Iterable[Facts]) -> Iterator[tuple[Facts, dict[str, Any]]]:
    """The real SGLang's answer to each profile, by release, type of GPU and environment: one process at a time."""

    def machine(subject: Facts) -> tuple[str, str, list[tuple[str, str]]]:
        return subject.catalog.version, subject.gpu.type, sorted(own_env(subject).items())

    for subject in sorted(subjects, key=machine):
        yield subject, oracle(subject.catalog.version).ask(question(subject))


def own_env(subject: Facts) -> dict[str, str]:
    """SGLang's own variables. The cache's folder decides nothing, and a process takes ten seconds."""
    return {name: text for name, text in subject.env.items() if name[:7] == "SGLANG_" and name[-9:] != "CACHE_DIR"}


def question(subject: Facts) -> Question:
    """The server's command line, on eight GPUs of the profile's type."""
    model = subject.profile.model
    line = command.server_command(
        subject.settings,
        subject.catalog,
        model_path="/" + model.repo.replace("/", "--"),
        served_name=model.served_name,
        port=subject.profile.server.port,
    )
    return Question(
        argv=[*line[len(command.SERVER) :], *explain.of_the_first(subject.nodes)],
        gpu=subject.gpu.type,
        count=8,
        config=models.known(model.repo),
        env=own_env(subject),
        probe=PROBE,
    )


def test_examples_are_refused(
    oracle: Callable[[str], Answers], record_testsuite_property: Callable[[str, Any], None]
) -> None:
    cases: dict[int, tuple[str, Example, bool]] = {}
    subjects = []
    for rule in rules():
        for example in (*rule.fails, *rule.passes) if rule.id in REFUSALS else ():
            subject = example_of(example).facts
            assert subject
            known = models.known(subject.profile.model.repo) and gpus.TYPES[subject.gpu.type].simulation
            if known and example.sets not in SEEN_LATER:
                cases[id(subject)] = (rule.id, example, example in rule.fails)
                subjects.append(subject)
    wrong, refused = [], 0
    for subject, real in answers(oracle, subjects):
        rule_id, example, expected = cases[id(subject)]
        refused += real["code"] != 0
        if (real["code"] != 0) is not expected:
            wrong.append((rule_id, example, real["error"]))
    assert wrong == []
    record_testsuite_property("examples of refusals that the real SGLang refuses", f"{refused} of {len(subjects)}")
    assert refused > 20


def test_examples_are_overruled(oracle: Callable[[str], Answers]) -> None:
    [overruled] = [rule for rule in rules() if rule.id == "GLM031"]
    subjects, expected = [], {}
    for example in overruled.fails:
        subject = example_of(example).facts
        if subject and (known := OVERRULED.get(example.sets[-1])):
            subjects.append(subject)
            expected[id(subject)] = known
    wrong = []
    for subject, real in answers(oracle, subjects):
        assert real["error"] is None
        name, value = expected[id(subject)]
        if real["resolved"][name] != value or subject.settings[name].value == value:
            wrong.append((name, real["resolved"][name]))
    assert wrong == []
    assert len({name for name, _ in expected.values()}) == len(OVERRULED)


@pytest.mark.parametrize(("repo", "gpu"), MODELS)
@pytest.mark.parametrize("version", VERSIONS)
def test_generated_profiles(
    oracle: Callable[[str], Answers],
    version: str,
    repo: str,
    gpu: str,
    record_testsuite_property: Callable[[str, Any], None],
) -> None:
    """The rules refuse what the real SGLang refuses, and nothing else, in any company of options."""
    subjects, objections = [], {}
    for args in generate(version, random.Random(f"{version} {repo}")):
        checked = check(read_text(json.dumps(profile(repo, gpu, version, args)), "generated.json"))
        assert checked.facts, checked.findings
        subjects.append(checked.facts)
        objections[id(checked.facts)] = {found.id for found in checked.findings} & REFUSALS
    wrong, refused = [], 0
    for subject, real in answers(oracle, subjects):
        ours = objections[id(subject)]
        refused += real["code"] != 0
        # Where the pages are not known, nothing is claimed of trees of drafts.
        silent = not ours and not subject.effective["page_size"].known and "page_size" in (real["error"] or "")
        if bool(ours) != (real["code"] != 0) and not silent:
            wrong.append((subject.profile.sglang.args, sorted(ours), real["error"]))
    assert wrong == []
    record_testsuite_property(f"generated profiles of {version} with {repo}", f"{refused} of {SETS} refused, by both")
    assert min(refused, SETS - refused) > SETS // 5, "both kinds are tested"


def generate(version: str, generator: random.Random) -> Iterator[dict[str, Any]]:
    """Sets of one to five options of :data:`CHOICES` that the release's parser takes."""
    release, made = catalog.load(version), 0
    while made < SETS:
        args = {name: generator.choice(CHOICES[name]) for name in generator.sample([*CHOICES], generator.randint(1, 5))}
        if not command.read(args, release)[1]:
            made += 1
            yield args


def profile(repo: str, gpu: str, version: str, args: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": "generated",
        "app": "generated",
        "model": {"repo": repo, "served_name": "glm"},
        "gpu": f"{gpu}:8",
        "volumes": {"weights": {"name": "weights", "mount": "/model-cache"}},
        "secrets": {"api_key": {"name": "key", "keys": ["API_KEY"]}},
        "sglang": {"version": version, "image": f"lmsysorg/sglang:v{version}-cu130", "args": {"tp-size": 8, **args}},
    }
