"""Answer for the real argument parsing or resolution of an SGLang release; run by path in a venv that is not ours.

Usage: ``python oracle_probe.py NAME[,NAME...] [GPU]`` with the unpacked wheel on ``PYTHONPATH``. The NAMEs are as in
``catalog_probe.py``, its neighbour. Requests and answers are JSON, a line each, on standard input and output.

A request is an object with ``argv``, a list. Without GPU only argparse is asked. With GPU, a JSON object (``name``,
``capability``, ``memory_mib``, ``processors``, ``count``, ``cuda``), the argv goes through the whole ``ServerArgs``
resolution on a machine that seems to have such GPUs: PyTorch's answers about them are replaced here, and
``nvidia-smi`` comes from the caller's ``PATH``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import io
import json
import logging
import os
import random
import sys
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sglang.real import catalog_probe
else:
    import catalog_probe

# The neighbours are called parser, command, catalog: no foreign package shall find them.
sys.path.pop(0)

Answer = dict[str, Any]

FOREIGN_VERSIONS = {
    "flashinfer-python": "99.0",
    "sgl-kernel": "99.0",
    "sglang-kernel": "99.0",
}
"""SGLang asks for a least version of these, which the placeholders stand for."""


class Collector(logging.Handler):
    """Keeps each different message once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.lines[f"{record.levelname}: {record.getMessage()}"] = None


def simulate(gpu: dict[str, Any]) -> None:
    """Make PyTorch say that this machine has the GPUs."""
    torch = importlib.import_module("torch")
    size = gpu["memory_mib"] * 2**20
    major, minor = gpu["capability"]
    properties = SimpleNamespace(
        name=gpu["name"],
        major=major,
        minor=minor,
        total_memory=size,
        multi_processor_count=gpu["processors"],
        gcnArchName="",
    )
    torch.version.cuda = gpu["cuda"]
    answers = {
        "is_available": True,
        "is_bf16_supported": True,
        "device_count": gpu["count"],
        "current_device": 0,
        "get_device_name": gpu["name"],
        "get_device_capability": (major, minor),
        "get_device_properties": properties,
        "mem_get_info": (size, size),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, _constant(answer))


def _constant(answer: object) -> Callable[..., object]:
    return lambda *args, **kwargs: answer


def know_versions() -> None:
    """Let ``importlib.metadata`` know the packages that placeholders stand for."""
    real = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return real(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if known := FOREIGN_VERSIONS.get(distribution_name.replace("_", "-")):
                return known
            raise

    importlib.metadata.version = version


def prepare(names: str, gpu: dict[str, Any] | None) -> Any:
    """``sglang.srt.server_args``, imported on a machine that seems to have the GPUs, or none."""
    # transformers looks for optional packages when it is imported: it must meet the truth, so it comes first.
    transformers = importlib.import_module("transformers")
    for name in ("AutoProcessor", "AutoConfig", "AutoTokenizer"):
        getattr(transformers, name)
    catalog_probe.tolerate_missing_backends()
    absent = catalog_probe.AbsentPackages(frozenset(names.split(",")))
    if gpu is None:
        absent.install()
    else:
        # PyTorch takes a placeholder for the real triton, and then these fail; now they see that there is none.
        for name in ("torch._inductor.runtime.triton_heuristics", "torch.utils.flop_counter"):
            importlib.import_module(name)
        # A machine with GPUs has the packages, so here `find_spec` may say so.
        sys.meta_path.append(absent)
        know_versions()
        simulate(gpu)
        # Resolution imports these when it runs, which is in a fork, each time again.
        importlib.import_module("sglang.srt.configs.model_config")
    return importlib.import_module("sglang.srt.server_args")


def parse(parser: argparse.ArgumentParser, argv: list[str]) -> Answer:
    """What argparse makes of the words: exit code, values by destination, and what it wrote on stderr."""
    written = io.StringIO()
    values: dict[str, Any] = {}
    code = 0
    with contextlib.redirect_stderr(written), contextlib.redirect_stdout(written):
        try:
            values = vars(parser.parse_args(argv))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception:
            # SGLang's own actions and types end like this; the interpreter would print it and exit with 1.
            traceback.print_exc()
            code = 1
    return {"code": code, "values": catalog_probe.plain(values), "stderr": written.getvalue()}


def plain(value: object) -> object:
    """The value as JSON, records (``CudaGraphConfig``) as objects."""
    record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return catalog_probe.plain(dataclasses.asdict(value) if record else value)  # type: ignore[call-overload]


def resolve(module: Any, parser: argparse.ArgumentParser, argv: list[str]) -> Answer:
    """What SGLang would run with: as :func:`parse`, and the ``resolved`` values and ``log`` lines."""
    random.seed(0)
    answer = parse(parser, argv) | {"resolved": {}, "log": [], "error": None}
    if answer["code"]:
        return answer
    collector = Collector()
    logger = logging.getLogger("sglang")
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    try:
        args = module.prepare_server_args(argv)
        if hasattr(args, "resolve_once"):  # 0.5.19 and newer resolve when asked to
            args.resolve_once()
        whole = args.resolved_dict() if hasattr(args, "resolved_dict") else vars(args)
        answer["resolved"] = {
            name: plain(whole[name]) for name in catalog_probe.fields(module.ServerArgs) if name in whole
        }
    except SystemExit as ended:
        answer |= {"code": 1, "error": f"SystemExit: {ended}"}
    except Exception as error:
        answer |= {"code": 1, "error": f"{type(error).__name__}: {error}", "stderr": traceback.format_exc()}
    answer["log"] = list(collector.lines)
    return answer


def apart(function: Callable[[], Answer]) -> Answer:
    """The function's answer from a fork: resolution changes the environment, caches and its own classes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                json.dump(function(), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer: Answer = json.loads(text)
    return answer


def serve(names: str, gpu: Any, answer: Callable[[Any, argparse.ArgumentParser, Any], dict[str, Any]]) -> None:
    """Answer each request, a line of JSON on standard input, with a line of JSON: what ``answer`` makes of it."""
    # Whatever the libraries print goes to stderr: the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module = prepare(names, gpu)
    parser = argparse.ArgumentParser()
    module.ServerArgs.add_cli_args(parser)
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(answer(module, parser, request)) + "\n")
        answers.flush()


def main(names: str, gpu_text: str | None = None) -> None:
    gpu = json.loads(gpu_text) if gpu_text else None

    def answer(module: Any, parser: argparse.ArgumentParser, request: dict[str, Any]) -> dict[str, Any]:
        argv = request["argv"]
        return parse(parser, argv) if gpu is None else apart(functools.partial(resolve, module, parser, argv))

    serve(names, gpu, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
