"""What the Audit says of protected real sets, how long it takes, and whether a short audit agrees with a long one.

    audit_verdicts.py hippocampus busi          audits of these sets, one after the other (none named: all), and tables
    audit_verdicts.py busi --budget 10m         with another budget than 60m; several: --budget 10m 60m
    audit_verdicts.py busi --profile instant    with another profile than auto
    audit_verdicts.py --table                   the tables alone; they are also kept as table.md beside the results

`protect` and `audit` are run as users run them: `make bench-audit`. Needs torch and the sets beside the repository.
A result is the report.json of an audit without the figures of single images, and the SHA-256 of the protected files.
Protection is done anew each time; an audit of the same files that has its result is not run again, and one that was
stopped goes on where it was, from build/audit. Two audits can run side by side, with OMP_NUM_THREADS=1 each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, SAMPLES
from numpy.typing import NDArray
from PIL import Image

FOLDER = RESULTS / "audit_verdicts"
DATA = SAMPLES.parent
BUILD = Path(__file__).resolve().parents[2] / "build" / "audit"
BUDGETS = ("10m", "60m")
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Inputs:
    """What is protected, and where its labels or classes are."""

    method: str
    images: Path
    targets: tuple[str, ...]


def hippocampus(folder: Path) -> Inputs:
    """All volumes, with two labels."""
    images, labels = (DATA / "hippocampus" / name for name in ("imagesTr", "labelsTr"))
    return Inputs("umed", images, ("--labels", str(labels)))


def busi(folder: Path) -> Inputs:
    """Benign and malignant lesions. Near-duplicates of the set are neighbors, so that they stay together."""
    data = np.load(DATA / "busi_128.npz")
    lesions = np.flatnonzero(data["labels"] < 2)
    order = lesions[np.argsort(data["group"][lesions], kind="stable")]
    _save(folder / "images", data["images"][order])
    _save(folder / "labels", data["masks"][order] * 255)
    return Inputs("umed", folder / "images", ("--labels", str(folder / "labels")))


def pneumonia(folder: Path) -> Inputs:
    """Every fourth image, of all parts of the set."""
    data = np.load(DATA / "pneumoniamnist_28.npz")
    return _classes(folder, data["images"][::4], data["labels"][::4])


def brain3(folder: Path) -> Inputs:
    """Every third slice in the order of the files, which run patient by patient within a class."""
    data = np.load(DATA / "brain3_128.npz")
    return _classes(folder, data["images"][::3], data["labels"][::3])


SETS: dict[str, Callable[[Path], Inputs]] = {
    "hippocampus": hippocampus,
    "busi": busi,
    "pneumonia": pneumonia,
    "brain3": brain3,
}


def _classes(folder: Path, images: Pictures, labels: NDArray[np.uint8]) -> Inputs:
    _save(folder / "images", images)
    rows = [f"i{number:04},{label}" for number, label in enumerate(labels)]
    (folder / "classes.csv").write_text("\n".join(["case,label", *rows]) + "\n")
    return Inputs("salm", folder / "images", ("--classes", str(folder / "classes.csv")))


def _save(folder: Path, images: Pictures) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"i{number:04}.png")


@dataclass(frozen=True)
class Audit:
    """One audit of one set."""

    name: str
    budget: str
    profile: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}_{self.profile}_{self.budget}.json"

    @property
    def result(self) -> dict[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def run(self) -> None:
        """Protects, and audits what was protected unless that has its result."""
        folder = BUILD / f"{self.name}_{self.profile}_{self.budget}"
        inputs = SETS[self.name](folder)
        out, report = folder / "out", folder / "report"
        for old in (out, folder / "out-private"):
            shutil.rmtree(old, ignore_errors=True)
        common = [*inputs.targets, "--out"]
        protect = ["protect", inputs.method, "--images", inputs.images, *common, out, "--profile", self.profile]
        _medunlearnable(*protect, "--seed", "1", "--quiet")
        copies = _digest(out)
        if self.result is not None and self.result["copies_sha256"] == copies:
            return
        began = time.monotonic()
        pair = ["--clean", inputs.images, "--protected", out]
        resume = ["--resume"] if (report / "job").exists() else []
        _medunlearnable("audit", *pair, *common, report, "--budget", self.budget, *resume)
        seconds = time.monotonic() - began
        found = json.loads((report / "report.json").read_text())
        del found["changes"]
        about = {"set": self.name, "method": inputs.method, "profile": self.profile, "copies_sha256": copies}
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path.write_text(
            json.dumps({**about, "wall_seconds": round(seconds, 1), "resumed": bool(resume), **found}) + "\n"
        )


def _medunlearnable(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "MedUnlearnableLib", *map(str, arguments)], check=True)


def _digest(folder: Path) -> str:
    """Of the protected images, by name."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.is_file() and path.suffix in (".png", ".gz"):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def tables() -> str:
    return "\n".join([*_verdict_table(), "", *_agreement_table()])


def _verdict_table() -> Iterator[str]:
    """A row an audit: the scores of training from scratch, and under which conditions what was said."""
    columns = (
        "set",
        "budget",
        "took",
        "clean",
        "label-free",
        "protected",
        "holds",
        "weakened by",
        "does not hold against",
        "cannot tell",
    )
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for result in _results():
        summary, usual = result["attack"]["summary"], result["attack"]["verdicts"][0]
        scores = [f"{usual['scores'][arm]:.3f}" for arm in ("clean", "label-free", "protected")]
        said = [_names(result, summary[word]) for word in ("holds", "weakened", "fails", "unknown")]
        minutes = f"{result['wall_seconds'] / 60:.1f} min" + (" (resumed)" if result["resumed"] else "")
        budget = f"{result['budget_seconds'] / 60:g} min"
        yield "| " + " | ".join([f"{result['set']}, {result['method']}", budget, minutes, *scores, *said]) + " |"


def _names(result: dict[str, Any], names: Iterable[str]) -> str:
    """Conditions that were trained with fewer than three seeds have a star."""
    few = result["attack"]["summary"]["few"]
    return ", ".join(f"{name}*" if name in few else name for name in names) or "-"


def _agreement_table() -> Iterator[str]:
    """The short audit beside the long one, by the conditions that both have judged."""
    yield "| set | judged by both | same verdict | different (10 min: 60 min) |"
    yield "|" + "---|" * 4
    for name in SETS:
        short, long = (_words(Audit(name, budget, "auto").result) for budget in BUDGETS)
        both = [condition for condition in long if condition in short]
        if both:
            other = [f"{c}: {short[c]}: {long[c]}" for c in both if short[c] != long[c]]
            yield f"| {name} | {len(both)} | {len(both) - len(other)} | {'; '.join(other) or '-'} |"


def _words(result: dict[str, Any] | None) -> dict[str, str]:
    return {verdict["condition"]: verdict["word"] for verdict in result["attack"]["verdicts"]} if result else {}


def _results() -> list[dict[str, Any]]:
    found = [Audit(name, budget, "auto").result for name in SETS for budget in BUDGETS]
    return [result for result in found if result is not None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--budget", nargs="+", default=["60m"])
    parser.add_argument("--profile", default="auto")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"the data sets are not in {DATA}; nothing was measured")
    for name in [] if options.table else options.sets or SETS:
        for budget in options.budget:
            Audit(name, budget, options.profile).run()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "table.md").write_text(tables() + "\n")
    print(tables())


if __name__ == "__main__":
    main()
