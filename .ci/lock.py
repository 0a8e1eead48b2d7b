"""Writes a lock of exact wheels: ``lock.py REQUIREMENTS PYTHON PLATFORM...`` reads versions, prints each with its hash.

For each package that one wheel which pip takes for this Python and these platforms, the first platform it likes best.
"""

import json
import subprocess
import sys
import tempfile


def main() -> None:
    requirements, python, *platforms = sys.argv[1:]
    with tempfile.TemporaryDirectory() as nowhere:
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
            *("--ignore-installed", "--no-deps", "--only-binary", ":all:", "--target", nowhere, "--report", "-"),
            *("--python-version", python, *(word for each in platforms for word in ("--platform", each))),
            *("-r", requirements),
        ]
        report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    lines = []
    for package in report["install"]:
        name = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        hashes = package["download_info"]["archive_info"]["hashes"]
        lines.append(f"{name}=={package['metadata']['version']} --hash=sha256:{hashes['sha256']}")
    print(*sorted(lines), sep="\n")


if __name__ == "__main__":
    main()
