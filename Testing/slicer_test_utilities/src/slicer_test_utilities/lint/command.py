"""The command slicer-module-lint."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import lint


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: clean; 1: findings; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="slicer-module-lint", description=__doc__)
    parser.add_argument(
        "paths", nargs="+", type=Path, help="module folders or single .py, .ui and CMakeLists.txt files"
    )
    parser.add_argument("--ignore", action="append", default=[], metavar="RULE", help="leave out this rule")
    options = parser.parse_args(arguments)
    try:
        findings = [finding for finding in lint(options.paths) if finding.rule not in options.ignore]
    except FileNotFoundError as error:
        parser.error(str(error))
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"{len(findings)} finding(s)\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
