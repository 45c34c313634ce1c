"""Loads and drives unmodified modules of other authors in the test host, and prints a table.

    python proof/run_proof.py FOLDER

FOLDER receives a `git clone` of each repository that is not there yet; nothing of them is part of this package.
Each module runs in a pytest of its own, so a crash or a leftover of one cannot hide in another.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
URLS = {
    "Slicer": "https://github.com/Slicer/Slicer",
    "SlicerNNUnet": "https://github.com/KitwareMedical/SlicerNNUnet",
    "SlicerTotalSegmentator": "https://github.com/lassoan/SlicerTotalSegmentator",
}


@dataclass(frozen=True)
class Case:
    """What to run: our checks in proof/checks, or the test files of the authors themselves."""

    name: str
    target: str
    uses_real_files: bool = False


CASES = [
    Case("Slicer's scripted-module template", "checks/test_template.py"),
    Case("the same, with Slicer's own Python files", "checks/test_template.py", uses_real_files=True),
    Case("SlicerNNUnet: the panel", "checks/test_nnunet.py"),
    Case("SlicerNNUnet: WidgetTestCase of its authors", "checks/test_nnunet_own.py"),
    Case("TotalSegmentator: the panel", "checks/test_totalsegmentator.py"),
    Case("Slicer's tests of parameterNodeWrapper", "checks/test_slicer_wrapper.py", uses_real_files=True),
    Case("CMake stub installs both extensions", "checks/test_install.py"),
]


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write(__doc__ or "")
        return 2
    folder = Path(sys.argv[1]).resolve()
    for name, url in URLS.items():
        if not (folder / name).exists():
            subprocess.run(["git", "clone", "--depth=1", "--filter=blob:none", url, str(folder / name)], check=True)
    rows = [(case.name, _run(case, folder)) for case in CASES]
    sys.stdout.write("|code|result|\n|---|---|\n" + "".join(f"|{name}|{result}|\n" for name, result in rows))
    return 0 if all("failed" not in result and "error" not in result for _, result in rows) else 1


def _run(case: Case, folder: Path) -> str:
    import os

    environment = {**os.environ, "PROOF_FOLDER": str(folder)}
    if case.uses_real_files:
        environment["SLICER_PYTHON_DIR"] = str(folder / "Slicer" / "Base" / "Python")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        "-c",
        "/dev/null",
        str(HERE / case.target),
    ]
    output = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout
    (folder / f"{Path(case.target).stem}{'_real' if case.uses_real_files else ''}.log").write_text(output)
    summary = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error).* in [\d.]+s", line)]
    counts = re.findall(r"(\d+ (?:passed|failed|errors?|skipped))", summary[-1] if summary else "")
    return ", ".join(counts) or "crashed"


if __name__ == "__main__":
    sys.exit(main())
