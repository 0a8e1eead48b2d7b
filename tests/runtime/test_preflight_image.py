"""The process that judges arguments: who answers, what becomes of one that ends, hangs or prints, and its verdicts."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_rows import NONE

from glmdeploy.local.standin import settings
from glmdeploy.runtime.preflight_image import IMAGE_PROBE, Judgement, judge_arguments, write_nvidia_smi
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault

STANDIN = Path(settings.__file__).parent / "path"
PATIENCE = 600


def judged(path: Path, argv: list[str], *, release: str = "0.5.11", seconds: float = PATIENCE) -> Judgement:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(path),
        settings.VERSION_VARIABLE: release,
    }
    return judge_arguments(sys.executable, environment, {"server": argv}, seconds=seconds)


@pytest.mark.parametrize("release", [catalog.versions()[0], "0.5.11", catalog.versions()[-1]])
def test_the_stand_in_judges_by_the_releases_catalog(release: str) -> None:
    good = judged(STANDIN, ["--model-path", "/x", "--tp", "8"], release=release)
    assert good == Judgement(release=release, stand_in=True)
    bad = judged(STANDIN, ["--model-path", "/x", "--no-such-option", "8"], release=release)
    assert bad.refused == {"server": "unrecognized arguments: --no-such-option 8"}


def package(folder: Path, text: str) -> Path:
    """A folder with a package ``torch`` that is this text: the first that the process imports of an image."""
    for name, content in (("transformers", ""), ("torch", text)):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(content)
    return folder


def test_a_process_that_is_killed_is_no_verdict(tmp_path: Path, fault: Fault) -> None:
    found = judged(package(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), [])
    assert found == Judgement(unjudged="it was ended by SIGSEGV")
    fault(
        "crash of what judges the arguments",
        f"warning: whether SGLang takes them was not judged: {found.unjudged}",
        engine=NONE,
    )


def test_what_it_prints_is_no_answer_but_its_last_words(tmp_path: Path) -> None:
    printed = "import os\nprint('{\"step\": \"parsed\"}', 'noise', sep='\\n', flush=True)\nos._exit(3)"
    found = judged(package(tmp_path, printed), [])
    assert found == Judgement(unjudged='it ended with exit code 3: {"step": "parsed"} / noise')


def test_an_import_that_fails_is_no_verdict(tmp_path: Path) -> None:
    found = judged(package(tmp_path, "raise RuntimeError('no such\\nthing')"), [])
    assert found == Judgement(unjudged="it cannot be imported: RuntimeError: thing")


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    ended = tmp_path / "pid"
    hanging = f"import os, pathlib, time\npathlib.Path({str(ended)!r}).write_text(str(os.getpid()))\ntime.sleep(9999)"
    found = judged(package(tmp_path, hanging), [], seconds=10)
    assert found == Judgement(unjudged="it did not answer in time")
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.read_text()), 0)


def test_an_interpreter_that_is_not_there() -> None:
    found = judge_arguments("/nonexistent/python3", {}, {"server": []}, seconds=PATIENCE)
    assert found == Judgement(unjudged="/nonexistent/python3 cannot be run: No such file or directory")


def test_nvidia_smi_tells_the_memory_of_each(tmp_path: Path) -> None:
    write_nvidia_smi(tmp_path, {"memory_mib": 183359, "count": 2})
    assert os.popen(f"{tmp_path}/nvidia-smi --query-gpu=memory.total").read() == "183359\n183359\n"


@pytest.fixture(scope="module")
def probe() -> Iterator[Any]:
    """The program's functions. Its neighbours take their folder off the path."""
    sys.path.insert(0, str(IMAGE_PROBE.parent))
    try:
        yield importlib.import_module("image_probe")
    finally:
        for name in ("image_probe", "oracle_probe", "catalog_probe"):
            sys.modules.pop(name, None)


MISSING = "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory"
"""What deep_gemm says that SGLang 0.5.11 brings, on a machine without a driver."""


def trace(*files: str, error: str) -> str:
    frames = [f'  File "{file}", line 1, in <module>\n    import x' for file in files]
    return "\n".join(["Traceback (most recent call last):", *frames, error])


SITE = "/usr/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("files", "error", "name"),
    [
        ([f"{SITE}/sglang/srt/server_args.py", f"{SITE}/deep_gemm/__init__.py"], MISSING, "deep_gemm"),
        ([f"{SITE}/sglang/x.py", f"{SITE}/deep_gemm/a.py", f"{SITE}/torch/cuda/__init__.py"], MISSING, "deep_gemm"),
        ([f"{SITE}/deep_gemm/__init__.py", "/usr/lib/python3.11/importlib/__init__.py"], MISSING, "deep_gemm"),
        ([f"{SITE}/sgl_kernel.py"], "RuntimeError: Found no NVIDIA driver on your system.", "sgl_kernel"),
        ([f"{SITE}/x/a.py", "/sgl-workspace/sglang/python/sglang/srt/utils.py"], MISSING, None),
        ([f"{SITE}/kernels/layer.py"], "ValueError: Either a revision or a version must be specified.", None),
    ],
)
def test_a_package_that_needs_a_driver(files: list[str], error: str, name: str | None, probe: Any) -> None:
    assert probe.culprit(trace(*files, error=error)) == name


@pytest.mark.parametrize(
    ("error", "files", "verdict"),
    [
        ("ValueError: dp_size must be 1", [f"{SITE}/sglang/srt/server_args.py"], True),
        ("AssertionError: ", [f"{SITE}/sglang/srt/server_args.py"], True),
        ("ValueError: The checkpoint has model type `x`", [f"{SITE}/transformers/models/auto.py"], True),
        ("TypeError: '>' not supported", [f"{SITE}/sglang/srt/server_args.py"], False),
        ("LocalEntryNotFoundError: offline", [f"{SITE}/huggingface_hub/file_download.py"], False),
        ("ValueError: not enough", ["/probe/catalog_probe.py"], False),
        ("RuntimeError: No accelerator (CUDA, XPU) is available", [f"{SITE}/sglang/srt/server_args.py"], False),
    ],
)
def test_what_is_a_verdict(error: str, files: list[str], verdict: bool, probe: Any) -> None:
    assert probe.is_verdict(error, trace("/probe/oracle_probe.py", *files, error=error)) == verdict


def test_an_assertion_without_words_shows_its_line(probe: Any) -> None:
    text = '  File "server_args.py", line 7, in check\n    assert self.tp_size % self.pp_size == 0\nAssertionError'
    assert probe.told("AssertionError: ", text) == "assert self.tp_size % self.pp_size == 0"
