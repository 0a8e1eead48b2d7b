"""Volumes as a container uses them: mounted whole or in part, and through the SDK's own calls."""

import os
import subprocess
from io import BytesIO
from pathlib import Path

import modal


def inside(path: str) -> Path:
    """A path of the container, on this machine."""
    return Path(os.environ["GLMDEPLOY_LOCAL_ROOT"] + path)


def part(name: str, value: str) -> list[str]:
    """Write a file below the part of the volume that is mounted; all that is seen there."""
    (inside("/part") / name).write_text(value)
    volume = modal.Volume.from_name("parts")
    volume.commit()
    volume.reload()
    return sorted(path.name for path in inside("/part").iterdir())


def through_the_sdk(name: str) -> dict[str, object]:
    """What a container can do with a volume that it may or may not have mounted."""
    volume = modal.Volume.from_name(name)
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"one"), "/.glmdeploy/failures/d/1.json")
        batch.put_file(BytesIO(b"two"), "/.glmdeploy/failures/d/2.json")
        batch.put_file(BytesIO(b"x" * 5_000_000), "/large")
    listed = sorted(entry.path for entry in volume.listdir("/.glmdeploy/failures/d"))
    read = b"".join(volume.read_file(".glmdeploy/failures/d/1.json")).decode()
    large = sum(len(chunk) for chunk in volume.read_file("large"))
    volume.remove_file(".glmdeploy/failures/d/1.json")
    everything = sorted(entry.path for entry in volume.iterdir("/", recursive=True))
    volume.remove_file(".glmdeploy", recursive=True)
    left = sorted(entry.path for entry in volume.listdir("/", recursive=True))
    try:
        volume.listdir("/.glmdeploy/failures/d")
    except Exception as fault:
        missing = type(fault).__name__
    return {"listed": listed, "read": read, "large": large, "all": everything, "left": left, "missing": missing}


def reading(name: str) -> list[str]:
    """What comes of a write, by Python and by a program, into a volume that may only be read; and what is read."""
    told = []
    try:
        (inside("/read") / name).write_text("no")
    except OSError as fault:
        told.append(str(fault.strerror))
    done = subprocess.run(["touch", str(inside("/read") / name)], capture_output=True, text=True, check=False)
    told.append(done.stderr.strip().rpartition(": ")[2])
    return [*told, *sorted(path.name for path in inside("/read").iterdir())]


def register(app: modal.App) -> None:
    volume = modal.Volume.from_name("parts", create_if_missing=True)
    mounted = volume.with_mount_options(sub_path="org/model/0123")
    app.function(volumes={"/part": mounted})(part)
    app.function(volumes={"/read": mounted.with_mount_options(read_only=True)})(reading)
    app.function(volumes={"/whole": volume.with_mount_options(read_only=True)})(through_the_sdk)
