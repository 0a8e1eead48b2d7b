"""A factory for SGLang's ``--forward-hooks``: what files in a folder ask for happens in every pass of the model.

``delay``: sleep the seconds that it holds. ``block``: wait until it is gone. ``compile``: run the program ``nvcc`` of
that folder, as a kernel that is compiled in a pass does, with what the file holds as argument; it is removed first.
"""

import subprocess
import time
from pathlib import Path


def factory(config):
    folder = Path(config["folder"])

    def hook(module, arguments, output):
        if (file := folder / "delay").exists():
            time.sleep(float(file.read_text()))
        if (file := folder / "compile").exists():
            seconds = file.read_text()
            file.unlink()
            subprocess.run([str(folder / "nvcc"), seconds], check=False)
        while (folder / "block").exists():
            time.sleep(0.05)
        return output

    return hook
