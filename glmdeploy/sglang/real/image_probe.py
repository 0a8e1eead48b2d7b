"""Judge command lines with the SGLang of a container image, on a machine without a GPU; run by path by its Python.

Usage: ``python image_probe.py REQUEST DESCRIPTOR``. REQUEST is a file with a JSON object; the answers go to the open
file DESCRIPTOR, a JSON object a line, as soon as each is known: what follows may end the process.

The request has ``argvs``, the words after the module's name by what they are for: ``server``, ``compile``. Argparse is
asked of each; with ``resolve``, of the server's also the whole resolution and the check that its launch makes, on
``machine``: a GPU as ``oracle_probe.py`` takes it, or None for none. ``hidden`` are installed packages that cannot be
imported here, with the reasons; ``absent`` are packages that are not installed and shall seem to be. Placeholders stand
in for both.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from glmdeploy.sglang.real import catalog_probe, oracle_probe
else:
    import catalog_probe
    import oracle_probe  # which takes this folder off the path

Answer = dict[str, Any]

NEED_A_DRIVER = ("sgl_kernel", "deep_gemm", "flashinfer", "tvm_ffi", "triton")
"""What SGLang looks for while it resolves, and does without where the import fails; on the server it does not fail."""

DRIVER = re.compile(r"libcuda\.so|libnvidia-\w+\.so|NVIDIA driver|CUDA driver|active drivers|No CUDA GPUs")
"""What imports say where there is no driver: ``sgl_kernel`` and ``deep_gemm`` of 0.5.11 miss ``libcuda.so.1``, PyTorch
2.11 "Found no NVIDIA driver on your system", Triton 3.6 "0 active drivers" (all three seen)."""

STAND_IN = "stand_in.py"
"""What the package has where it is not SGLang but the embedded cloud's stand-in for it."""

OWN = {"sglang"}
THROUGH = {"torch", "transformers"}
"""Packages that a failure may pass through, and that no placeholder can stand in for."""

VERDICTS = {"AssertionError", "NotImplementedError", "SystemExit", "ValueError"}
"""What SGLang refuses arguments with (``server_args.py``, 0.5.10 to 0.5.23). Whatever else ends the resolution here may
be the simulation's fault."""

FRAME = re.compile(r'^\s*File "([^"]+)", line \d+', re.MULTILINE)
PACKAGE = re.compile(r"/(?:site|dist)-packages/([^/]+)")


def installed_release() -> str | None:
    """The version of the installed SGLang; None where it does not know (``sglang/version.py``: ``0.0.0.dev0``)."""
    try:
        version = importlib.metadata.version("sglang")
    except importlib.metadata.PackageNotFoundError:
        return None
    return None if version.startswith("0.0.0") else version


def without_a_driver(names: Sequence[str]) -> dict[str, str]:
    """Those of the packages that are installed and miss a driver when they are imported, with what they say."""
    failing = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            if said := lacks_a_driver(str(error)):
                failing[name] = said
    return failing


def lacks_a_driver(text: str) -> str | None:
    """The line of an error's text that tells of a missing driver; None where none does."""
    return next((line.strip(" -\t") for line in text.splitlines() if DRIVER.search(line)), None)


def culprit(trace: str) -> str | None:
    """The package whose import a traceback shows to have failed for want of a driver; None where it is SGLang's own."""
    if not lacks_a_driver(trace):
        return None
    for file in reversed(FRAME.findall(trace)):
        package = PACKAGE.search(file)
        name = package[1].partition(".")[0] if package else None
        if name in OWN or "/sglang/" in file:
            return None
        if name and name not in THROUGH:
            return name
    return None


def hide(names: Sequence[str]) -> None:
    """Put placeholders before the packages, whatever of them was imported already."""
    if not names:
        return
    sys.meta_path.insert(0, catalog_probe.AbsentPackages(frozenset(names)))
    for module in [module for module in sys.modules if module.partition(".")[0] in names]:
        del sys.modules[module]


def imported(request: dict[str, Any], hidden: dict[str, str]) -> Any:
    """``sglang.srt.server_args``, on a machine that seems to have the GPUs, or none; ``hidden`` grows."""
    machine = request["machine"]
    # These two must meet the truth, as oracle_probe.prepare says.
    importlib.import_module("transformers")
    torch = importlib.import_module("torch")
    if machine:
        machine["cuda"] = torch.version.cuda or machine["cuda"]
        importlib.import_module("torch._inductor.runtime.triton_heuristics")
        hidden |= without_a_driver([name for name in NEED_A_DRIVER if name not in hidden])
    hide(list(hidden))
    return oracle_probe.prepare(",".join(request["absent"]), machine)


def said_by_parser(written: str) -> str:
    """What argparse refuses with, without the usage; the last line of anything else."""
    _, error, said = written.rpartition(": error: ")
    return said.strip() if error else last_line(written)


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def parsed(command: str, parser: argparse.ArgumentParser, argv: list[str]) -> Answer:
    """Whether the release's parser takes the words."""
    if command == "compile":
        # What compile_deep_gemm.py adds to the options of the server (0.5.8 to 0.5.23).
        parser.add_argument("--timeout", type=int, default=3600)
    answer = oracle_probe.parse(parser, argv)
    return {"step": "parsed", "command": command, "refused": said_by_parser(answer["stderr"]) if answer["code"] else ""}


def resolved(module: Any, parser: argparse.ArgumentParser, argv: list[str]) -> Answer:
    """Whether SGLang's resolution and its own check take the arguments: ``refused``, or ``failed`` where they fail."""
    answer = oracle_probe.resolve(module, parser, argv)
    if answer["code"] == 0:
        try:
            args = module.prepare_server_args(argv)
            if hasattr(args, "resolve_once"):  # 0.5.19 and newer
                args.resolve_once()
            args.check_server_args()
        except (Exception, SystemExit) as error:
            answer |= {"code": 1, "error": f"{type(error).__name__}: {error}", "stderr": traceback.format_exc()}
    step: Answer = {"step": "resolved", "command": "server", "refused": "", "failed": "", "culprit": None}
    if not answer["code"]:
        return step
    trace = answer["stderr"]
    if answer["error"] is None:  # argparse
        return step | {"refused": said_by_parser(trace)}
    if is_verdict(answer["error"], trace):
        return step | {"refused": told(answer["error"], trace)}
    return step | {"failed": told(answer["error"], trace), "culprit": culprit(trace)}


def is_verdict(error: str, trace: str) -> bool:
    """Whether it is SGLang, or transformers for it, that refuses, and not what stands in here for what is missing."""
    kind = error.partition(":")[0]
    simulated = any(Path(file).name in {"catalog_probe.py", "oracle_probe.py"} for file in FRAME.findall(trace)[1:])
    return kind in VERDICTS and not simulated and not lacks_a_driver(trace) and "No accelerator" not in error


def told(error: str, trace: str) -> str:
    """The exception's message; of an assertion without words the line that makes it."""
    kind, _, message = error.partition(":")
    if message.strip():
        return message.strip() if kind in VERDICTS else error
    lines = (line.strip() for line in reversed(trace.splitlines()))
    return next((line for line in lines if line.startswith(("assert ", "raise "))), kind)


def main(request_file: str, descriptor: str) -> None:
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    answers = os.fdopen(int(descriptor), "w", encoding="utf-8")

    def tell(answer: Answer) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    found = importlib.util.find_spec("sglang")
    if found and found.origin and Path(found.origin).with_name(STAND_IN).exists():
        judge_by_stand_in(request, tell)
    else:
        judge(request, tell)


def judge(request: dict[str, Any], tell: Callable[[Answer], None]) -> None:
    """Tell what the installed SGLang makes of the request, step by step."""
    tell({"step": "release", "release": installed_release(), "stand_in": False})
    hidden = dict(request["hidden"])
    try:
        module = imported(request, hidden)
        parsers = {command: parser_of(module) for command in request["argvs"]}
    except BaseException as error:
        said = f"{type(error).__name__}: {last_line(str(error))}"
        tell({"step": "imported", "failed": said, "culprit": culprit(traceback.format_exc())})
        raise
    tell({"step": "imported", "failed": "", "placeholders": hidden})
    for command, parser in parsers.items():
        tell(parsed(command, parser, request["argvs"][command]))
    if request["resolve"]:
        tell(resolved(module, parser_of(module), request["argvs"]["server"]))


def parser_of(module: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    module.ServerArgs.add_cli_args(parser)
    return parser


def judge_by_stand_in(request: dict[str, Any], tell: Callable[[Answer], None]) -> None:
    """The same where the embedded cloud's stand-in is all there is: the release's catalog judges, nothing resolves."""
    module = importlib.import_module("sglang.stand_in")
    tell({"step": "release", "release": module.release(), "stand_in": True})
    for command, argv in request["argvs"].items():
        tell(parsed(command, module.parser(), argv))


if __name__ == "__main__":
    main(*sys.argv[1:])
