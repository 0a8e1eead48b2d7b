"""Asks PyPI's advisories about all that is pinned: ``audit.py FILE...``, with pip-audit beside this interpreter.

The last line says `no known vulnerabilities in N packages`, `N known vulnerabilities`, or `not checked`: a package that
could not be asked about is no good one. The exit code is 0 for the first alone.
"""

import json
import subprocess
import sys
from pathlib import Path


def audited(file: str) -> "tuple[dict[str, str], dict[str, str], list[str]]":
    """The versions that were asked about, why others were not, and the vulnerabilities as lines."""
    command = [
        *(str(Path(sys.executable).with_name("pip-audit")), "--format", "json", "--progress-spinner", "off"),
        *("--no-deps", "--disable-pip", "--requirement", file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {}, {"all of it": reason}, []
    asked = {each["name"]: each["version"] for each in dependencies if "skip_reason" not in each}
    skipped = {each["name"]: each["skip_reason"] for each in dependencies if "skip_reason" in each}
    found = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, fixed in {', '.join(vulnerability['fix_versions'])}"
        for each in dependencies
        for vulnerability in each.get("vulns", ())
    ]
    return asked, skipped, found


def main() -> int:
    count, unasked, vulnerable = 0, 0, 0
    for file in sys.argv[1:]:
        asked, skipped, found = audited(file)
        print(f"{file}: {len(asked)} asked about, {len(skipped)} not, {len(found)} vulnerabilities")
        for line in found:
            print(f"  {line}")
        for reason in list(dict.fromkeys(skipped.values()))[:3]:
            print(f"  {reason[:300]}")
        count += len(asked)
        unasked += len(skipped) or not asked
        vulnerable += len(found)
    if vulnerable:
        print(f"{vulnerable} known vulnerabilities" + (", and not all was checked" if unasked else ""))
    elif unasked:
        print("not checked: the advisories could not be asked" + (f" about {unasked} packages" if count else ""))
    else:
        print(f"no known vulnerabilities in {count} packages")
    return bool(vulnerable or unasked)


if __name__ == "__main__":
    sys.exit(main())
