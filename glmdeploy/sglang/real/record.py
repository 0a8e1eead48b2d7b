"""Record what the real resolution decides: ``python -m glmdeploy.sglang.real.record FOLDER [VERSION...]``.

In FOLDER is a file for each release and GPU, a line of JSON for each situation
(:mod:`glmdeploy.sglang.real.situations`), written as it is answered; what is there is not asked again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.real import oracle, situations
from glmdeploy.sglang.real.checkpoints import CHECKPOINTS
from glmdeploy.sglang.real.oracle import Oracle, Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIRST = "0.5.10"

GPUS = ("B200", "H200", "H100", "A100-80GB", "L40S", "RTX-PRO-6000", "B300", "L4")

PROBE = oracle.PROBE.with_name("record_probe.py")

OWN = {
    *("model_path", "tokenizer_path", "served_model_name", "random_seed", "config", "help"),
    *("speculative_draft_model_revision", "nccl_port", "revision"),
}
"""What says nothing: names, numbers drawn by chance."""

_LONG = 8

_DRAFT = {
    "architectures": ["LlamaForCausalLMEagle3"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 1,
    "draft_vocab_size": 32000,
}
"""A draft as EAGLE3 has it: one layer of Llama."""


def decided(answer: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """What the resolution made of the options where it is not what they were: by field."""
    resolved: Mapping[str, Any] = answer["resolved"]
    return {
        name: _short(value)
        for name, value in resolved.items()
        if name not in OWN and (name not in parsed or parsed[name] != value) and not (name not in parsed and not value)
    }


def _short(value: Any) -> Any:
    """Long lists (batch sizes of CUDA graphs) by how many they are, and the largest."""
    if isinstance(value, list) and len(value) > _LONG:
        return {"count": len(value), "largest": value[-1]}
    return {name: _short(each) for name, each in value.items()} if isinstance(value, dict) else value


def ask(real: Oracle, architecture: str, gpu: str, number: int, env: Mapping[str, str], draft: Path) -> dict[str, Any]:
    """A situation and what the release decides in it, as JSON."""
    checkpoint = CHECKPOINTS[architecture]
    quantization, options = situations.situation(checkpoint, real.version, gpu, number)
    asked = {"arch": architecture, "n": number, "quant": quantization, "args": options}
    if env:
        asked["env"] = dict(env)
    words = [str(draft) if word == situations.DRAFT else word for word in situations.words(options)]
    argv = ["--model-path", f"/models/{checkpoint.name}", *words]
    answer = real.ask(
        Question(argv=argv, gpu=gpu, count=8, config=checkpoint.configured(quantization), env=env, probe=PROBE)
    )
    if answer["code"]:
        said = answer["error"] or "".join(answer["stderr"].strip().splitlines()[-1:])
        trace = [line.partition("sglang/srt/")[2] for line in answer["stderr"].splitlines() if "sglang/srt/" in line]
        return asked | {"error": said[:400].replace(str(draft), situations.DRAFT), "at": trace[-1:]}
    return asked | {"set": decided(answer, real.by_field(answer["values"]))}


def record(version: str, gpu: str, folder: Path, numbers: range, rounds: str) -> int:
    """Ask the release all that is not in the folder's file yet; the number of new answers."""
    path = folder / f"{version} {gpu} {rounds}.jsonl"
    known = {_key(line) for line in _lines(path)}
    new = 0
    environments = situations.environments(version)
    draft = (folder / "draft").absolute()
    draft.mkdir(exist_ok=True)
    (draft / "config.json").write_text(json.dumps(_DRAFT), encoding="utf-8")
    with Oracle(version) as real, path.open("a", encoding="utf-8") as file:
        for place, env in enumerate(environments):
            if place and gpu not in ("B200", "H200"):
                continue
            # Most are asked with no variable set.
            mine = numbers if not place else range(10_000 * place + numbers.start, 10_000 * place + numbers.stop, 3)
            for architecture in CHECKPOINTS:
                for number in mine:
                    if (architecture, number) in known:
                        continue
                    line = json.dumps(ask(real, architecture, gpu, number, env, draft))
                    file.write(line.replace(str(draft), situations.DRAFT) + "\n")
                    new += 1
            file.flush()
    return new


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _key(line: Mapping[str, Any]) -> tuple[str, int]:
    return line["arch"], line["n"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m glmdeploy.sglang.real.record", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--gpu", action="append", choices=GPUS)
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--to", type=int, default=20)
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    everything = [version for version in catalog.versions() if version_key(version) >= version_key(FIRST)]
    for gpu in chosen.gpu or GPUS:
        for version in chosen.versions or everything:
            began = time.monotonic()
            numbers = range(chosen.start, chosen.to)
            new = record(version, gpu, chosen.folder, numbers, f"{chosen.start}-{chosen.to}")
            took = time.monotonic() - began
            sys.stderr.write(f"{version} {gpu}: {new} answers in {took:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
