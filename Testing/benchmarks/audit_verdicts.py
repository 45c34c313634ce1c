"""What the Audit says of protected real sets, and how long a budget takes.

    python Testing/benchmarks/audit_verdicts.py [BUDGET [PROFILE [SET...]]]      default: 60m auto, all sets

Every image of a set is a picture file; `protect` and `audit` are run as users run them. Needs torch and the data sets
beside the repository: `make bench-audit`. The results are the report.json of each audit, without the figures of single
images; an audit that has its result is not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import RESULTS, SAMPLES
from numpy.typing import NDArray
from PIL import Image

FOLDER = RESULTS / "audit_verdicts"
DATA = SAMPLES.parent
Pictures = NDArray[np.uint8]


def hippocampus(folder: Path) -> list[str]:
    """Every fifth slice, in the order of the cases."""
    data = np.load(DATA / "hippocampus_slices_48.npz")
    return _segmentation(folder, data["images"][::5], data["masks"][::5])


def busi(folder: Path) -> list[str]:
    """Benign and malignant lesions. Near-duplicates of the set have one name, so that they stay together."""
    data = np.load(DATA / "busi_128.npz")
    lesions = np.flatnonzero(data["labels"] < 2)
    order = lesions[np.argsort(data["group"][lesions], kind="stable")]
    return _segmentation(folder, data["images"][order], data["masks"][order])


def pneumonia(folder: Path) -> list[str]:
    data = np.load(DATA / "pneumoniamnist_28.npz")
    return _classes(folder, data["images"][::4], data["labels"][::4])


def brain3(folder: Path) -> list[str]:
    """In the order of the files, which run patient by patient within a class."""
    data = np.load(DATA / "brain3_128.npz")
    return _classes(folder, data["images"][::3], data["labels"][::3])


SETS: dict[str, Callable[[Path], list[str]]] = {
    "hippocampus": hippocampus,
    "busi": busi,
    "pneumonia": pneumonia,
    "brain3": brain3,
}


def _segmentation(folder: Path, images: Pictures, masks: Pictures) -> list[str]:
    _save(folder / "images", images)
    _save(folder / "labels", masks * 255)
    return ["umed", "--labels", str(folder / "labels")]


def _classes(folder: Path, images: Pictures, labels: NDArray[np.uint8]) -> list[str]:
    _save(folder / "images", images)
    rows = [f"i{number:04},{label}" for number, label in enumerate(labels)]
    (folder / "classes.csv").write_text("\n".join(["case,label", *rows]) + "\n")
    return ["salm", "--classes", str(folder / "classes.csv")]


def _save(folder: Path, images: Pictures) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"i{number:04}.png")


def run(name: str, budget: str, profile: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        method, *targets = SETS[name](folder)
        command = [sys.executable, "-m", "MedUnlearnableLib"]
        images, out, report = (str(folder / part) for part in ("images", "out", "report"))
        protect = ["protect", method, "--images", images, *targets, "--out", out, "--profile", profile, "--seed", "1"]
        subprocess.run([*command, *protect, "--quiet"], check=True)
        began = time.monotonic()
        audit = ["audit", "--clean", images, "--protected", out, *targets, "--budget", budget, "--out", report]
        subprocess.run([*command, *audit], check=True)
        seconds = time.monotonic() - began
        results = json.loads((folder / "report" / "report.json").read_text())
    del results["changes"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = {"set": name, "method": method, "profile": profile, "wall_seconds": round(seconds, 1), **results}
    _path(name, budget, profile).write_text(json.dumps(result, indent=1) + "\n")


def _path(name: str, budget: str, profile: str) -> Path:
    return FOLDER / f"{name}_{profile}_{budget}.json"


def show(name: str, budget: str, profile: str) -> None:
    result = json.loads(_path(name, budget, profile).read_text())
    summary = result["attack"]["summary"]
    print(f"{name}, {profile}, {budget}: {result['wall_seconds'] / 60:.1f} min. {summary['headline']}")
    for verdict in result["attack"]["verdicts"]:
        scores = "  ".join(f"{arm} {score:.3f}" for arm, score in verdict["scores"].items())
        print(f"  {verdict['condition']:34}{verdict['word']:15}{scores}  {verdict['steps']} steps")
    print(flush=True)


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"the data sets are not in {DATA}; nothing was measured")
    budget, profile, *names = [*sys.argv[1:], *("60m", "auto")[len(sys.argv) - 1 :]]
    for name in names or SETS:
        if not _path(name, budget, profile).exists():
            run(name, budget, profile)
        show(name, budget, profile)


if __name__ == "__main__":
    main()
