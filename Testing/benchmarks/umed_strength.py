"""How UMed and what it is compared with hold against attackers who train from scratch on the protected images.

A cell is a set, an arm (what was done to the training images), an attack, and the attacker's seed. Every cell is a JSON
of its own in results/umed_strength with its settings, versions, PSNR and the scores of each case; a cell that is there
is not run again. Attackers are U-Nets of width 16 on a CPU, 32 on a GPU, tested on clean images of other cases.

    umed_strength.py                          the missing cells of the plan, the most important first, then the table
    umed_strength.py 'busi_standard_*'        the missing cells of the plan with such names
    umed_strength.py --table                  the table alone; it is also kept as table.md beside the cells

Needs torch, for other architectures MONAI, and the data sets beside the repository: `make bench-strength`. Trainings go
on where they were interrupted; what they make is kept in build/strength.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from carrier_key import without_carrier
from common import RESULTS, SAMPLES
from MedUnlearnableLib import __version__
from MedUnlearnableLib.engine.attack import AttackData, AttackResult, AttackSettings, attack, compare
from MedUnlearnableLib.engine.baselines import (
    EMSettings,
    class_pattern,
    error_minimizing,
    moved_elsewhere,
    segments_and_contour,
    white_noise,
)
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.errors import MedUnlearnableError
from MedUnlearnableLib.engine.method import State
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.team import Team
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.umed.params import OUTSIDE_SHARE
from MedUnlearnableLib.engine.window import IntensityWindow
from MedUnlearnableLib.files.volume import read_json, write_atomically, write_json
from MedUnlearnableLib.jobs.workspace import FolderWorkspace
from numpy.typing import NDArray

FOLDER = RESULTS / "umed_strength"
DATA = SAMPLES.parent
BUILD = Path(__file__).resolve().parents[2] / "build" / "strength"
WINDOW = IntensityWindow(0.0, 255.0, 1.0)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Pictures = NDArray[np.uint8]

#: DSC the clean row must reach; else the attacker learned too little for its other rows to count.
REQUIRED = {"busi": 0.73, "hippocampus": 0.84, "dsb2018": 0.88}

#: The attacks, as changes of `AttackSettings`. 1,000 steps are enough for flips, not for nnU-Net's changes.
ATTACKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nnunet": {"recipe": "nnunet", "steps": 1500},
    "blur0.8": {"defense": "blur0.8"},
    "resample0.7": {"defense": "resample0.7"},
    "jpeg90": {"defense": "jpeg90"},
    "median3": {"defense": "median3"},
    "clean25": {"clean_share": 0.25},
    "monai-unet": {"architecture": "monai_unet"},
    "attention-unet": {"architecture": "attention_unet"},
    "segresnet": {"architecture": "segresnet"},
    "unetr": {"architecture": "unetr"},
}

#: (set, arm, attack): largest DSC and smallest PSNR aimed at.
BARS = {
    ("busi", "standard", "plain"): (0.05, 47.5),
    ("busi", "standard", "nnunet"): (0.48, 47.5),
    ("busi", "standard", "blur0.8"): (0.25, 47.5),
    ("busi", "standard", "resample0.7"): (0.35, 47.5),
    ("busi", "standard-strong", "nnunet"): (0.38, 45.0),
    ("busi", "standard-strong", "blur0.8"): (0.18, 45.0),
    ("busi", "standard-strong", "resample0.7"): (0.22, 45.0),
    ("hippocampus", "standard", "plain"): (0.10, 47.0),
    ("dsb2018", "standard", "plain"): (0.25, 41.5),
    ("busi", "instant", "plain"): (0.05, 50.0),
}


@dataclass(frozen=True)
class Cohort:
    """Pictures [N, 1, H, W] and labels [N, H, W], split by case."""

    name: str
    images: Pictures
    labels: Pictures
    test_images: Pictures
    test_labels: Pictures

    def case(self, number: int, label: Pictures) -> Case:
        """A training picture with this label, its own or a false one."""
        geometry = Geometry.of_spacing((1.0, 1.0, 1.0))
        return Case(f"{number}", self.images[number][:, np.newaxis], geometry, (label[np.newaxis],), modality="picture")


@cache
def cohort(name: str) -> Cohort:
    file = {"busi": "busi_128", "hippocampus": "hippocampus_slices_48", "dsb2018": "dsb2018_128"}[name]
    data = np.load(DATA / f"{file}.npz")
    train, test = data["train_idx"], data["test_idx"]
    if name == "busi":  # benign and malignant lesions; the third class has none
        train, test = (picked[data["labels"][picked] < 2] for picked in (train, test))
    images, labels = data["images"][:, np.newaxis], data["masks"]
    return Cohort(name, images[train], labels[train], images[test], labels[test])


@dataclass(frozen=True)
class Cell:
    set_name: str
    arm: str
    attack: str = "plain"
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.set_name}_{self.arm}_{self.attack}_{self.seed}"

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def row(self) -> dict[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None


def plan() -> Iterator[Cell]:
    """The bars first, with what they are read against; then the other sets, defenses and architectures."""
    three_seeds = range(3)
    for arm in ("clean", "instant", "standard"):
        yield Cell("busi", arm)
    for attack_name in ("nnunet", "blur0.8", "resample0.7"):
        for arm in ("clean", "standard", "standard-strong"):
            yield Cell("busi", arm, attack_name)
    for set_name in ("hippocampus", "dsb2018"):
        for arm in ("clean", "instant", "standard"):
            yield Cell(set_name, arm)
    others = (
        "checkerboard",
        "instant-everywhere",
        "instant-moved",
        "white-instant",
        "white-standard",
        "em",
        "paper",
    )
    more = ("instant-cleaned", "standard-from-states", "standard-everywhere", "standard-moved", "em-whole",
            "em-augmented", "em-whole-augmented", "class-pattern")  # fmt: skip
    for set_name in ("hippocampus", "busi", "dsb2018"):
        for arm in others:
            yield Cell(set_name, arm)
    for set_name in ("busi", "hippocampus", "dsb2018"):
        for arm in ("clean", "standard", "checkerboard", "instant", "white-standard", "em", "em-augmented"):
            yield Cell(set_name, arm, "nnunet")
        for attack_name in ATTACKS:
            for arm in ("clean", "standard", "instant") if attack_name not in ("plain", "nnunet", "clean25") else ():
                yield Cell(set_name, arm, attack_name)
        yield Cell(set_name, "standard", "clean25")
        for arm in more:
            yield Cell(set_name, arm)
    for set_name in ("hippocampus", "dsb2018"):  # strong augmentation where the structure is plain to see
        yield Cell(set_name, "checkerboard-40db", "nnunet")
    for set_name, arm, attack_name in BARS:
        for seed in three_seeds:
            yield Cell(set_name, arm, attack_name, seed)


# Arms: a cohort's training pictures, protected, and the settings that made them.

Made = tuple[Pictures, dict[str, Any]]


def trained(cohort: Cohort, part: slice = slice(None), **params: Any) -> UMed:
    """UMed after `fit` on this part of the training pictures; goes on where it was interrupted, once done is kept."""
    numbers = range(len(cohort.labels))[part]
    folder = BUILD / cohort.name / "_".join(f"{value}" for value in (*params.values(), len(numbers), numbers.start))
    state = folder / "state.json"
    if state.exists():
        return UMed.from_state(State.from_json(read_json(state)))
    folder.mkdir(parents=True, exist_ok=True)
    method = UMed(UMedParams(**params), RandomStreams.from_number(0))
    cases = tuple(cohort.case(number, cohort.labels[number]) for number in numbers)
    method.fit(CasesInMemory(cases), FolderWorkspace(folder, Progress(), DEVICE, Team()))
    write_json(state, method.state().to_json())
    return method


def umed(cohort: Cohort, labels: Callable[[Pictures], Pictures] = np.asarray, **params: Any) -> Made:
    """Fitted with the true labels; the noise of a control then goes where false ones tell."""
    method = trained(cohort, **params)
    done = [method.protect(cohort.case(*pair)) for pair in enumerate(labels(cohort.labels))]
    return np.stack([protected.image[:, 0] for protected in done]), done[0].record.parameters


def from_states(cohort: Cohort, **params: Any) -> Made:
    """Each half of the pictures protected by a state that was trained on the other half."""
    images, parameters = np.empty_like(cohort.images), {}
    for half in range(2):
        method = trained(cohort, slice(1 - half, None, 2), **params)
        for number in range(half, len(images), 2):
            protected = method.protect(cohort.case(number, cohort.labels[number]))
            images[number], parameters = protected.image[:, 0], protected.record.parameters
    return images, parameters


def moved(labels: Pictures) -> Pictures:
    return moved_elsewhere(labels, np.random.default_rng(0))


def white(cohort: Cohort, like: str) -> Made:
    """White noise in UMed's region, each picture with the PSNR it has in another arm."""
    psnr = [np.nan if value is None else value for value in psnr_db(cohort, made(cohort.name, like)[0])]
    where = segments_and_contour(cohort.labels)
    return white_noise(cohort.images, where, WINDOW, psnr, np.random.default_rng(0)), {"psnr_like": like}


def without_carrier_of(cohort: Cohort) -> Made:
    """Profile instant after an attacker, who has no key, subtracted the carrier (see carrier_key.py)."""
    images, settings = made(cohort.name, "instant")
    cleaned = [
        without_carrier(cohort.case(number, label), image[:, np.newaxis], WINDOW, settings["epsilon"])[:, 0]
        for number, (label, image) in enumerate(zip(cohort.labels, images))
    ]
    return np.stack(cleaned), settings


def error_minimizing_noise(cohort: Cohort, **changes: Any) -> Made:
    settings = EMSettings(**changes, device=DEVICE)
    return error_minimizing(cohort.images, cohort.labels, WINDOW, settings), asdict(settings)


def pattern(cohort: Cohort, epsilon: float) -> Made:
    images = class_pattern(cohort.images, cohort.labels, WINDOW, epsilon, np.random.default_rng(0))
    return images, {"epsilon": epsilon}


#: As strong everywhere in the segments, and half as strong around them.
CHECKERBOARD: dict[str, Any] = {"profile": "instant", "texture_floor": 1.0, "outside_share": OUTSIDE_SHARE["standard"]}

ARMS: dict[str, Callable[[Cohort], Made]] = {
    "clean": lambda cohort: (cohort.images, {}),
    "instant": partial(umed, profile="instant"),
    "instant-everywhere": partial(umed, profile="instant", texture_floor=1.0, labels=np.ones_like),
    "instant-moved": partial(umed, profile="instant", labels=moved),
    "instant-cleaned": without_carrier_of,
    "paper": partial(umed, profile="paper"),
    "standard": partial(umed, profile="standard"),
    "checkerboard": partial(umed, **CHECKERBOARD, epsilon=4 / 255),
    "checkerboard-40db": partial(umed, **CHECKERBOARD, epsilon=9 / 255),
    "standard-from-states": partial(from_states, profile="standard"),
    "standard-strong": partial(umed, profile="standard", epsilon=8 / 255),
    "standard-everywhere": partial(umed, profile="standard", labels=np.ones_like),
    "standard-moved": partial(umed, profile="standard", labels=moved),
    "white-instant": partial(white, like="instant"),
    "white-standard": partial(white, like="standard"),
    "em": error_minimizing_noise,
    "em-whole": partial(error_minimizing_noise, masked=False),
    "em-augmented": partial(error_minimizing_noise, recipe="nnunet"),
    "em-whole-augmented": partial(error_minimizing_noise, masked=False, recipe="nnunet"),
    "class-pattern": partial(pattern, epsilon=8 / 255),
}


def made(set_name: str, arm: str) -> Made:
    """What the arm makes, kept in build/strength."""
    path = BUILD / set_name / f"{arm}.npz"
    if not path.exists():
        images, settings = ARMS[arm](cohort(set_name))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez_compressed(file, images=images, settings=json.dumps(settings)))
    kept = np.load(path)
    return kept["images"], json.loads(str(kept["settings"]))


def psnr_db(cohort: Cohort, images: Pictures) -> list[float | None]:
    """Of each picture; None where nothing changed."""
    return [measure(a[:, np.newaxis], b[:, np.newaxis], WINDOW).psnr_db for a, b in zip(cohort.images, images)]


def run(cell: Cell) -> None:
    data = cohort(cell.set_name)
    images, arm_settings = made(cell.set_name, cell.arm)
    changed = [value for value in psnr_db(data, images) if value is not None]
    settings = AttackSettings(
        **ATTACKS[cell.attack], seed=cell.seed, width=32 if DEVICE == "cuda" else 16, device=DEVICE
    )
    result = attack(AttackData(images, data.labels, data.test_images, data.test_labels, data.images), settings)
    row = {
        **asdict(cell),
        "dsc": result.dsc,
        "psnr_db": float(np.mean(changed)) if changed else None,
        "lowest_psnr_db": min(changed, default=None),
        "arm_settings": arm_settings,
        "versions": {
            "medunlearnable": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "result": result.to_json(),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomically(cell.path, lambda file: file.write(json.dumps(row).encode()))


# The table.


def table() -> str:
    """Markdown: bars, then each set with a row for each arm and a column for each attack."""
    parts = [bars()]
    for set_name in REQUIRED:
        shown = [name for name in ATTACKS if any(cell.attack == name and cell.set_name == set_name for cell in plan())]
        lines = [f"### {set_name}", "", row_of("arm", "PSNR", *shown), row_of(*["---"] * (len(shown) + 2))]
        lines += [row_of(arm, psnr_text(set_name, arm), *(score_text(set_name, arm, name) for name in shown))
                  for arm in ARMS if any((cell.set_name, cell.arm) == (set_name, arm) for cell in plan())]  # fmt: skip
        parts.append("\n".join(lines))
    parts.append(
        "DSC on clean test cases; with several seeds: mean +- standard deviation (seeds). A star: the clean row of "
        f"this attack is missing or below {', '.join(f'{name} {score}' for name, score in REQUIRED.items())}, so the "
        "row does not count. Brackets: clean minus this arm, 95 % bootstrap interval over test images."
    )
    return "\n\n".join(parts) + "\n"


def row_of(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def bars() -> str:
    lines = [row_of("set", "arm", "attack", "DSC", "aimed at", "PSNR", "at least"), row_of(*["---"] * 7)]
    for (set_name, arm, attack_name), (largest, smallest) in BARS.items():
        texts = score_text(set_name, arm, attack_name), f"<= {largest}", psnr_text(set_name, arm), f"{smallest} dB"
        lines.append(row_of(set_name, arm, attack_name, *texts))
    return "\n".join(lines)


def rows_of(set_name: str, arm: str, attack_name: str) -> list[dict[str, Any]]:
    found = (Cell(set_name, arm, attack_name, seed).row for seed in range(3))
    return [row for row in found if row is not None]


def counts(set_name: str, attack_name: str) -> bool:
    clean = rows_of(set_name, "clean", "plain" if attack_name == "clean25" else attack_name)
    return bool(clean) and np.mean([row["dsc"] for row in clean]) >= REQUIRED[set_name]


def score_text(set_name: str, arm: str, attack_name: str) -> str:
    rows = rows_of(set_name, arm, attack_name)
    if not rows:
        return "not run"
    scores = [row["dsc"] for row in rows]
    spread = f" +- {np.std(scores, ddof=1):.3f} ({len(scores)})" if len(scores) > 1 else ""
    star = "" if counts(set_name, attack_name) else " *"
    return f"{np.mean(scores):.3f}{spread}{star}{drop_text(set_name, arm, attack_name)}"


def drop_text(set_name: str, arm: str, attack_name: str) -> str:
    clean, row = Cell(set_name, "clean", attack_name).row, Cell(set_name, arm, attack_name).row
    if arm == "clean" or clean is None or row is None:
        return ""
    results = (AttackResult.from_json(found["result"]) for found in (clean, row))
    drop = compare(*results, np.random.default_rng(0))
    return f" [{drop.low:.2f}, {drop.high:.2f}]"


def psnr_text(set_name: str, arm: str) -> str:
    values = [cell.row["psnr_db"] for cell in map(partial(Cell, set_name, arm), ATTACKS) if cell.row]
    return f"{values[0]:.1f} dB" if values and values[0] is not None else "-"


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"the data sets are not in {DATA}; nothing was measured")
    wanted = [] if sys.argv[1:] == ["--table"] else sys.argv[1:] or ["*"]
    for cell in dict.fromkeys(plan()):
        if cell.row is None and any(fnmatch(cell.name, pattern) for pattern in wanted):
            try:
                run(cell)
            except (
                MedUnlearnableError
            ) as reason:  # a profile or an architecture that is not there: the table says "not run"
                print(f"{cell.name}: {reason}", flush=True)
            else:
                print(f"{cell.name}: DSC {cell.row['dsc']:.3f}", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "table.md").write_text(table())
    print(table())


if __name__ == "__main__":
    main()
