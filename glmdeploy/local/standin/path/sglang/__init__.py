"""Takes SGLang's place in the embedded cloud's containers, and becomes the real one where that can serve.

The directory above is on ``PYTHONPATH`` there, so that ``python3 -m sglang.launch_server`` comes here.
"""

import importlib.util
import sys
from pathlib import Path


def _use_own_package() -> None:
    """Make ``glmdeploy`` the package that this file is part of.

    A container has a partial ``glmdeploy`` first on its path: the runtime that was deployed, which lacks the
    engine. Nothing in this process needs that one.
    """
    directory = Path(__file__).resolve().parents[4]
    spec = importlib.util.spec_from_file_location(
        "glmdeploy", directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["glmdeploy"] = module
    spec.loader.exec_module(module)


if __name__ == "sglang":
    _use_own_package()
