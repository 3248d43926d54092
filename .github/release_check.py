"""Refuse a release whose tag, versions and changelogs disagree.

Usage: python .github/release_check.py v0.2.0
       python .github/release_check.py zeroproofml-scm-v0.2.1
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "scm": "scm",
    "torch": "torch",
    "jax": "jax",
    "report": "report",
    "bench": "benchmarks",
}


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """What stands against releasing this tag; empty if nothing does."""
    matched = re.fullmatch(r"(?:zeroproofml-(?P<one>[a-z]+)-)?v(?P<version>\d+\.\d+\.\d+)", tag)
    if matched is None or (matched["one"] and matched["one"] not in PACKAGES):
        return [f"{tag}: expected v1.2.3 or zeroproofml-<package>-v1.2.3"]
    found = []
    for name in [matched["one"]] if matched["one"] else PACKAGES:
        package = root / f"packages/zeroproofml-{name}"
        source = package / f"src/zeroproofml/{PACKAGES[name]}/_version.py"
        version = runpy.run_path(str(source))["__version__"]
        if version != matched["version"]:
            found.append(f"{source.relative_to(root)}: {version}, the tag says {tag}")
        changelog = package / "CHANGELOG.md"
        if f"## [{matched['version']}]" not in changelog.read_text(encoding="utf-8"):
            found.append(f"{changelog.relative_to(root)}: no section [{matched['version']}]")
    return found


if __name__ == "__main__":
    found = problems(sys.argv[1] if len(sys.argv) == 2 else "")
    sys.stderr.write("".join(f"{line}\n" for line in found))
    raise SystemExit(bool(found))
