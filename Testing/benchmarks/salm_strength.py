"""How SALM and what it is compared with hold against attackers who train a classifier from scratch.

A cell is a set, an arm (what was done to the training images), an attack, and the attacker's seed. Every cell is a JSON
of its own in results/salm with its settings, PSNR, share of pixels touched and scores; a cell that is there is not run
again. Attackers are tested on clean images of other cases.

    salm_strength.py                             the missing cells of the plan, the most important first, then the table
    salm_strength.py 'pneumonia_standard_*'      the missing cells of the plan with such names
    salm_strength.py --table                     the table alone; it is also kept as table.md beside the cells

Needs torch and the data sets beside the repository: `make bench-salm`. Trainings of noise go on where they were
interrupted; what they make is kept in build/salm.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS
from MedUnlearnableLib import __version__
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.case import Classes as ShownClasses
from MedUnlearnableLib.engine.classification import ClassAttackData, ClassAttackSettings, attack_classes
from MedUnlearnableLib.engine.method import Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.salm import SALM, MinMinParams, SALMParams
from MedUnlearnableLib.engine.salm.region import gradient_magnitude, largest, sample_count
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.team import Team
from MedUnlearnableLib.engine.window import IntensityWindow
from MedUnlearnableLib.jobs.workspace import FolderWorkspace
from salm_data import CHANCE, CLEAN_GATE, SETS, Classes, Images

FOLDER = RESULTS / "salm"
BUILD = Path(__file__).resolve().parents[2] / "build" / "salm"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WINDOW = IntensityWindow(0.0, 255.0, 1.0)
SEED_OF_NOISE = 0
_LSP_BLOCK = 8  # pixels a side of a patch, as the published code has for small pictures
_LSP_EPSILON = 6 / 255

#: Of one attacker, chosen by what he reaches with clean images, and the same for every arm.
_ATTACKER = ClassAttackSettings(
    steps=500, learning_rate=5e-3, weight_decay=0.1, width=24, scaling="set", label_smoothing=0.1, device=DEVICE
)
SETTINGS = {
    "pneumonia": replace(_ATTACKER, steps=400),
    "pneumonia-1200": replace(_ATTACKER, steps=300),
    "brain3": _ATTACKER,
    "brain3-64": _ATTACKER,
    "busi": replace(_ATTACKER, steps=300),
    "eight": replace(_ATTACKER, steps=600),
}
#: Three of four training images show pneumonia, of the test images fewer; without interpolation that is learned first.
_SHIFT_SETTINGS: dict[str, dict[str, Any]] = {
    "pneumonia": {"steps": 300, "balanced": True, "mixup": 0.4},
    "pneumonia-1200": {"balanced": True, "mixup": 0.4},
}
RECIPES = {"shift": "shift_flip", "standard": "standard", "randaugment": "randaugment"}
VICTIMS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "resnet18": {"architecture": "resnet18", "width": 32},
    "vit": {"architecture": "vit", "width": 32, "learning_rate": 1e-3},
}
DEFENSES: dict[str, dict[str, Any]] = {
    "jpeg90": {"defense": "jpeg90"},
    "jpeg50": {"defense": "jpeg50"},
    "blur": {"defense": "blur0.8"},
    "resample": {"defense": "resample0.7"},
    "median": {"defense": "median3"},
    "clean20": {"clean_share": 0.2},
    "clean50": {"clean_share": 0.5},
    "adversarial": {"adversarial_epsilon": 4 / 255},
}
ARMS = ("clean", "random", "instant", "standard", "paper", "paper-class", "random8", "em", "em-class", "lsp")
NOT_RUN = "not run"


@dataclass(frozen=True)
class Cell:
    """One training of one attacker."""

    set_name: str
    arm: str
    recipe: str = "shift"
    victim: str = "cnn"
    defense: str = "none"
    seed: int = 0

    @property
    def name(self) -> str:
        return "_".join((self.set_name, self.arm, self.recipe, self.victim, self.defense, str(self.seed)))

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def row(self) -> dict[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    @property
    def settings(self) -> ClassAttackSettings:
        of_recipe = _SHIFT_SETTINGS.get(self.set_name, {}) if self.recipe == "shift" else {}
        changes = {**of_recipe, **VICTIMS[self.victim], **DEFENSES.get(self.defense, {})}
        return replace(SETTINGS[self.set_name], recipe=RECIPES[self.recipe], seed=self.seed, **changes)


@dataclass(frozen=True)
class Made:
    """Protected training images, and what making them took."""

    images: Images
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


def plan() -> Iterator[Cell]:
    """What the bars need first, then what explains them, then what takes a GPU."""
    for seed in range(3):
        for set_name in ("pneumonia", "brain3-64"):
            for recipe in ("shift", "standard"):
                for arm in ("clean", "random", "instant", "standard"):
                    yield Cell(set_name, arm, recipe, seed=seed)
    for arm in ("clean", "random", "instant", "standard"):
        yield Cell("eight", arm)
    for arm in ("clean", "paper", "paper-class", "random8", "em", "em-class", "lsp", "standard"):
        yield Cell("pneumonia-1200", arm)
    for seed in (1, 2):
        for arm in ("clean", "paper", "random8", "em"):
            yield Cell("pneumonia-1200", arm, seed=seed)
    for arm in ("paper", "paper-class", "random8", "em", "em-class", "lsp"):
        yield Cell("pneumonia", arm)
    for victim in ("resnet18", "vit"):
        for arm in ("clean", "standard", "random", "em"):
            yield Cell("pneumonia", arm, victim=victim)
    for arm in ("clean", "standard"):
        yield Cell("brain3-64", arm, victim="resnet18")
    for defense in DEFENSES:
        for arm in ("clean", "standard", "em"):
            yield Cell("pneumonia-1200", arm, defense=defense)
    for arm in ("clean", "standard", "em"):
        yield Cell("pneumonia-1200", arm, "randaugment")
    for set_name in ("busi", "brain3-64", "eight"):
        for arm in ARMS:
            yield Cell(set_name, arm)
    for recipe in ("standard", "shift"):
        for arm in ("clean", "standard", "instant", "random"):
            yield Cell("brain3", arm, recipe)
    for victim in ("resnet18", "vit"):
        for arm in ("clean", "random", "em", "standard"):
            yield Cell("brain3", arm, victim=victim)


@cache
def made(set_name: str, arm: str) -> Made:
    """The training images of an arm; noise that was trained is kept in build/salm."""
    images, classes, _, _ = SETS[set_name]()
    return _MAKERS[arm](set_name, images, classes)


def _clean(set_name: str, images: Images, classes: Classes) -> Made:
    return Made(images, 0.0)


def _salm(set_name: str, images: Images, classes: Classes, name: str, params: SALMParams) -> Made:
    """Every image as a case of its own."""
    names = tuple(str(k) for k in np.unique(classes))
    geometry = Geometry.of_spacing((1.0, 1.0, 1.0))
    cases = tuple(
        Case(f"{n:06}", image[:, None], geometry, modality="picture", classes=ShownClasses(names, ((int(k),),)))
        for n, (image, k) in enumerate(zip(images, classes))
    )
    folder = BUILD / f"{set_name}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    workspace: Workspace = FolderWorkspace(folder, Progress(), DEVICE, Team())
    began = time.monotonic()
    method = SALM(params, RandomStreams.from_number(SEED_OF_NOISE))
    method.fit(CasesInMemory(cases), workspace)
    protected = np.stack([method.protect(case, workspace).image[:, 0] for case in cases])
    rounds = method.state().header.get("learned", {}).get("rounds")
    return Made(protected, time.monotonic() - began, {"parameters": params.to_json(), "rounds": rounds})


def _random(set_name: str, images: Images, classes: Classes, epsilon: float, share: float) -> Made:
    """Knows no class: the same count of pixels, chosen alike, each with a random sign."""
    random = np.random.default_rng(SEED_OF_NOISE)
    protected = images.copy()
    for image, out in zip(images, protected):
        allowed = (image[0] > 0) & (image[0] < 255)
        mask = largest(gradient_magnitude(image / np.float32(255)), allowed, sample_count(allowed, share))
        signs = random.choice((-1.0, 1.0), mask.shape)
        out[0] = WINDOW.write_back(image[0], epsilon * signs, mask, epsilon)
    return Made(protected, 0.0)


def _random_like_paper(set_name: str, images: Images, classes: Classes) -> Made:
    paper = made(set_name, "paper").images
    return _random(set_name, images, classes, 8 / 255, float((paper != images).mean() / (images > 0).mean()))


def _separable(set_name: str, images: Images, classes: Classes) -> Made:
    """Our version of linearly separable perturbations (Yu et al., arXiv 2111.00898): random patches for each class."""
    random = np.random.default_rng(SEED_OF_NOISE)
    height, width = images.shape[2:]
    blocks = (len(np.unique(classes)), -(-height // _LSP_BLOCK), -(-width // _LSP_BLOCK))
    patches = random.choice((-1.0, 1.0), blocks).repeat(_LSP_BLOCK, 1).repeat(_LSP_BLOCK, 2)[:, :height, :width]
    everywhere = np.ones((height, width), bool)
    protected = [
        WINDOW.write_back(i[0], _LSP_EPSILON * patches[k], everywhere, _LSP_EPSILON) for i, k in zip(images, classes)
    ]
    return Made(np.stack(protected)[:, None], 0.0)


def _salm_maker(name: str, params: SALMParams) -> Callable[[str, Images, Classes], Made]:
    return lambda set_name, images, classes: _salm(set_name, images, classes, name, params)


_EVERYWHERE = MinMinParams(cap=1.0, least_rounds=3)
_MAKERS: dict[str, Callable[[str, Images, Classes], Made]] = {
    "clean": _clean,
    "random": lambda *args: _random(*args, epsilon=4 / 255, share=0.3),
    "random8": _random_like_paper,
    "instant": _salm_maker("instant", SALMParams("instant")),
    "standard": _salm_maker("standard", SALMParams("standard")),
    "paper": _salm_maker("paper", SALMParams("paper")),
    "paper-class": _salm_maker("paper-class", SALMParams("paper", min_min=MinMinParams(noise="class"))),
    "em": _salm_maker("em", SALMParams("paper", share=1.0, min_min=_EVERYWHERE)),
    "em-class": _salm_maker("em-class", SALMParams("paper", share=1.0, min_min=replace(_EVERYWHERE, noise="class"))),
    "lsp": _separable,
}


@cache
def fidelity(set_name: str, arm: str) -> dict[str, Any]:
    """Means over all training images; PSNR of those that were changed."""
    pairs = zip(SETS[set_name]()[0], made(set_name, arm).images)
    qualities = [measure(clean[:, None], protected[:, None], WINDOW) for clean, protected in pairs]
    psnr = [quality.psnr_db for quality in qualities if quality.psnr_db is not None]
    return {
        "psnr_db": float(np.mean(psnr)) if psnr else None,
        "least_psnr_db": min(psnr) if psnr else None,
        "ssim": float(np.mean([quality.ssim for quality in qualities])),
        "largest_change": max(quality.max_change for quality in qualities),
        "share_touched": float(np.mean([quality.share_changed for quality in qualities])),
        "largest_share_touched": max(quality.share_changed for quality in qualities),
    }


def run(cell: Cell) -> None:
    images, classes, test, of_test = SETS[cell.set_name]()
    protected = made(cell.set_name, cell.arm)
    data = ClassAttackData(protected.images, classes, test, of_test, clean_train_images=images)
    result = attack_classes(data, cell.settings)
    row = {
        "cell": cell.name,
        "version": __version__,
        "torch": torch.__version__,
        "device": DEVICE,
        "balanced_accuracy": result.balanced_accuracy,
        "auc": result.auc,
        **fidelity(cell.set_name, cell.arm),
        "seconds_of_noise": protected.seconds,
        **protected.facts,
        "attack": result.to_json(),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    cell.path.write_text(json.dumps(row) + "\n")


def table() -> str:
    """Balanced accuracy on clean test images of every cell of the plan, mean over the seeds there are."""
    lines = ["| set | recipe | victim | defense | arm | seeds | balanced accuracy | AUC | PSNR dB | touched | counts |"]
    lines.append("|" + "---|" * 11)
    for cell in dict.fromkeys(replace(cell, seed=0) for cell in plan()):
        rows = _rows(cell)
        labels = [cell.set_name, cell.recipe, cell.victim, cell.defense, cell.arm]
        lines.append("| " + " | ".join([*labels, *(_figures(cell, rows) if rows else [NOT_RUN, *[""] * 5])]) + " |")
    return "\n".join(lines)


def _rows(cell: Cell) -> list[dict[str, Any]]:
    return [row for seed in range(3) if (row := replace(cell, seed=seed).row) is not None]


def _figures(cell: Cell, rows: list[dict[str, Any]]) -> list[str]:
    scores = [row["balanced_accuracy"] for row in rows]
    spread = f" ({min(scores):.3f}-{max(scores):.3f})" if len(scores) > 1 else ""
    psnr = rows[0]["psnr_db"]
    clean = _rows(replace(cell, arm="clean"))
    gate = CLEAN_GATE.get(cell.set_name, CHANCE[cell.set_name] + 0.2)
    enough = bool(clean) and float(np.mean([row["balanced_accuracy"] for row in clean])) >= gate
    return [
        str(len(rows)),
        f"{np.mean(scores):.3f}{spread}",
        f"{np.mean([row['auc'] for row in rows]):.3f}",
        "-" if psnr is None else f"{psnr:.1f}",
        f"{rows[0]['share_touched']:.0%}",
        "yes" if enough else f"no, clean < {gate:.2f}" if clean else "no clean row",
    ]


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] != ["--table"]:
        for cell in dict.fromkeys(plan()):
            if not cell.path.exists() and any(fnmatch(cell.name, f"{wanted}*") for wanted in sys.argv[1:] or ["*"]):
                run(cell)
                assert cell.row is not None
                print(f"{cell.name:52} {cell.row['balanced_accuracy']:.3f}", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "table.md").write_text(table() + "\n")
    print(table())


if __name__ == "__main__":
    main()
