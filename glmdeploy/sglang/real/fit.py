"""Learn what SGLang decides from recordings: ``python -m glmdeploy.sglang.real.fit FOLDER [--held-out FILE]``.

One tree is grown for each name from the recordings of all architectures, which are an input among others: what SGLang
decides for all alike is learnt from all. Then it is specialised: each architecture's file has what is left of the
tree when it is known which architecture asks (:mod:`glmdeploy.sglang.decisions.trees` has the form).

Recordings that are held out (:func:`glmdeploy.sglang.real.samples.held_out`) are not looked at. ``--held-out`` writes
them to a file, on which the tests measure how often what was learnt is right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.real.grow import NUMBERS, Grower, holds, plain, questions
from glmdeploy.sglang.real.samples import held_out, lines, names, sample, traits, ways

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.sglang.real.samples import Sample


def grow(everything: Sequence[Sample]) -> dict[str, list[Any]]:
    """The trees for all architectures."""
    trees = {}
    common = questions(everything)
    for name in names(everything):
        mine = [each for each in everything if name in each.resolved and name in each.asked]
        if not mine:
            continue
        for each in mine:
            each.ways[name] = ways(each, name)
        asked = common if len(mine) == len(everything) else questions(mine)
        trees[name] = Grower(mine, name, asked).grow((1 << len(mine)) - 1)
        for each in everything:
            each.known[f"={name}"] = each.resolved.get(name) or None
        common += questions(everything, [f"={name}"])
    return trees


def specialised(tree: list[Any], own: Mapping[str, Any], samples: Sequence[Sample]) -> list[Any]:
    """The tree for one architecture: what asks for its traits is answered, and leaves have its own places."""
    if len(tree) != 5:
        places = 0
        for each in samples:
            places |= 1 << each.place
        return [*tree[:2], f"{places:x}"]
    question, test, value, yes, no = tree
    if question in own:
        return specialised(yes if own[question] == value else no, own, samples)
    limit = version_key(value) if question == "release" else value
    agree = [holds(plain(each.known.get(question)), test, limit) for each in samples]
    left = specialised(yes, own, [each for each, does in zip(samples, agree, strict=True) if does])
    right = specialised(no, own, [each for each, does in zip(samples, agree, strict=True) if not does])
    if len(left) == 3 == len(right) and left[:2] == right[:2]:
        return [*left[:2], f"{int(left[2], 16) | int(right[2], 16):x}"]
    return [question, test, value, left, right]


def fit(everything: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """The content of each architecture's file."""
    releases = sorted({each.now.version for each in everything}, key=version_key)
    types = sorted({each.now.gpu.type for each in everything})
    by_architecture: dict[str, list[Sample]] = defaultdict(list)
    for each in everything:
        each.place = releases.index(each.now.version) * len(types) + types.index(each.now.gpu.type)
        by_architecture[each.line["arch"]].append(each)
        each.known |= traits(each.line["arch"])
    pooled = grow(everything)
    replaced = _replaced(everything, list(pooled))
    found = {}
    for architecture, mine in by_architecture.items():
        kept = {}
        for name, tree in pooled.items():
            own = [each for each in mine if name in each.resolved and name in each.asked]
            if own:
                kept[name] = specialised(tree, traits(architecture), own)
        tested = {name for tree in kept.values() for name in _tested(tree)}
        seen = {
            name: sorted({plain(each.known.get(name)) for each in everything} - {None}, key=str)
            for name in sorted(tested - NUMBERS)
        }
        found[architecture] = {
            "architecture": architecture,
            "answers": len(mine),
            "releases": releases,
            "gpus": types,
            "seen": seen,
            "replaced": {name: values for name, values in replaced.items() if name in kept},
            "trees": kept,
        }
    return found


def _replaced(samples: Sequence[Sample], some: Sequence[str]) -> dict[str, list[Any]]:
    """By name, what was asked for and made something else in some recording."""
    found = {
        name: {
            each.asked[name]
            for each in samples
            if name in each.resolved
            and name in each.asked
            and not isinstance(each.asked[name], (list, dict))
            and each.resolved[name] != each.asked[name]
        }
        - {None, "auto"}
        for name in some
    }
    return {name: sorted(values, key=str) for name, values in found.items() if values}


def _tested(tree: Sequence[Any]) -> Iterator[str]:
    if len(tree) == 5:
        if tree[1] == "is":
            yield tree[0]
        yield from _tested(tree[3])
        yield from _tested(tree[4])


def kept(samples: Sequence[Sample]) -> dict[str, Any]:
    """Recordings for measuring, by architecture: what is usual there, and of each situation what is not."""
    wanted = names(samples)
    by_architecture: dict[str, list[Sample]] = defaultdict(list)
    for each in samples:
        by_architecture[each.line["arch"]].append(each)
    found = {}
    for architecture, mine in sorted(by_architecture.items()):
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for each in mine:
            for name in wanted:
                if name in each.resolved and name in each.asked:
                    counted[name][json.dumps(each.resolved[name])] += 1
        usual = {name: json.loads(values.most_common(1)[0][0]) for name, values in counted.items()}
        rows = []
        for each in mine:
            line = each.line
            differs = {
                name: each.resolved[name]
                for name in usual
                if name in each.resolved and name in each.asked and each.resolved[name] != usual[name]
            }
            rows.append([line["version"], line["gpu"], line["quant"], line["args"], line.get("env", {}), differs])
        found[architecture] = {"usual": usual, "situations": rows}
    return found


def _written(content: Mapping[str, Any]) -> str:
    """The content as JSON, a line for each entry of its longest parts."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace('],["0.5.', '],\n["0.5.').replace('"situations":[', '"situations":[\n') + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m glmdeploy.sglang.real.fit", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=schemas_dir() / "sglang" / "resolved")
    parser.add_argument("--held-out", type=Path)
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    answered = [line for line in lines(chosen.folder) if "set" in line]
    if chosen.held_out:
        kept_lines = [sample(line) for line in answered if held_out(line)]
        chosen.held_out.write_text(_written(kept(kept_lines)), encoding="utf-8")
    found = fit([sample(line) for line in answered if not held_out(line)])
    every = list(dict.fromkeys(name for content in found.values() for name in content["trees"]))
    (chosen.out / "names.json").write_text(json.dumps(every) + "\n", encoding="utf-8")
    for architecture, content in found.items():
        text = json.dumps(content, separators=(",", ":")) + "\n"
        (chosen.out / f"{architecture}.json").write_text(text, encoding="utf-8")
        sys.stderr.write(f"{architecture}: {content['answers']} recordings, {len(text)} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
