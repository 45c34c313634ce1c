"""What marks do to classifiers: ours beside random, fixed and published placements. Each cell is a JSON of its own.

    clean              nothing is marked
    random-K-SEED      K logos at random allowed places, opacities and inks
    corner             one opaque white logo in the lower right corner, moved off lesions
    best-K             the best of as many random sets of K logos as `ours-K` used forwards on average
    aw-N               settings of Adv-watermark (Jia et al., ACM MM 2020), from their description: population 50, three
                       generations, basin hopping as mutation, raw logit of the true class, lesions not kept free; on
                       N pictures of the test set that are named rightly
    ours-K             MedLocker as it is called by users, K logos
    evolution-K        ours without the start along the gradient

`python medlocker_placement.py SET[-PICTURES] SOURCE[+SOURCE] ARM...`: marks are searched against the sources and every
architecture is tested on the pictures that were written. Accuracy counts pictures that were wrong from the start as
wrong; `wrong_from_start` names their share. One seed unless said.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from adv_watermark import AdvWatermark
from medlocker_data import FOLDER, SIZE, WEIGHTS, Pictures, target, test_pictures, unit
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Classes, Geometry
from MedUnlearnableLib.engine.medlocker import method as product
from MedUnlearnableLib.engine.medlocker.candidates import Candidates, Mark
from MedUnlearnableLib.engine.medlocker.marking import marked_image, overlap_voxels
from MedUnlearnableLib.engine.medlocker.method import MedLocker
from MedUnlearnableLib.engine.medlocker.networks import ARCHITECTURES
from MedUnlearnableLib.engine.medlocker.params import MedLockerParams
from MedUnlearnableLib.engine.medlocker.search import SearchSettings
from MedUnlearnableLib.engine.medlocker.spots import Spot, spots_of
from MedUnlearnableLib.engine.medlocker.targets import TargetModel
from MedUnlearnableLib.engine.medlocker.training import DEVIATION, MEAN
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.window import IntensityWindow, Windows
from numpy.typing import NDArray

LOGO = "MED LOCK"
WINDOW = IntensityWindow(0.0, 255.0, 1.0)
STREAMS = RandomStreams.from_number(0)
OPACITY = SearchSettings().opacity
Marked = tuple[Spot, tuple[Mark, ...]]


def models(set_name: str, architectures: Sequence[str]) -> list[TargetModel]:
    channels = test_pictures(set_name).images.shape[1]
    networks = {architecture: target(set_name, architecture) for architecture in architectures}
    return [
        TargetModel(name, network, SIZE, channels, (MEAN,), (DEVIATION,), module=network)
        for name, network in networks.items()
    ]


def cases(pictures: Pictures) -> list[Case]:
    names = tuple(map(str, range(int(pictures.labels.max()) + 1)))
    return [
        Case(f"{number}", image[:, np.newaxis], Geometry.of_spacing((1.0, 1.0, 1.0)), modality="picture",
             classes=Classes(names, ((int(label),),)))
        for number, (image, label) in enumerate(zip(pictures.images, pictures.labels))
    ]  # fmt: skip


def params(pictures: Pictures, logos: int) -> MedLockerParams:
    boxes = {f"{number}": [[0, *box] for box in found] for number, found in enumerate(pictures.boxes)}
    return MedLockerParams(logo=LOGO, logos=logos, boxes=boxes)


def windows(case: Case) -> Windows:
    return (WINDOW,) * len(case.image)


def layouts(pictures: Pictures, logos: int) -> list[Spot]:
    chosen = params(pictures, logos)
    return [
        spots_of(case, windows(case), {0: list(boxes)}, chosen, STREAMS)[0][0]
        for case, boxes in zip(cases(pictures), pictures.boxes)
    ]


def written(pictures: Pictures, marked: Sequence[Marked]) -> NDArray[np.uint8]:
    return np.stack(
        [
            marked_image(case, [one], windows(case), "translucent", STREAMS)[:, 0]
            for case, one in zip(cases(pictures), marked)
        ]
    )


def named(model: TargetModel, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    import torch

    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in torch.from_numpy(unit(images)).split(64)]).numpy()


def sites(pictures: Pictures, spots: Sequence[Spot], model: TargetModel) -> list[Any]:
    return [
        spot.site(case, windows(case), int(label), model.size)
        for spot, case, label in zip(spots, cases(pictures), pictures.labels)
    ]


@cache
def test_spots(set_name: str, logos: int) -> list[Spot]:
    return layouts(test_pictures(set_name), logos)


def random_marks(spots: Sequence[Spot], seed: int) -> list[Marked]:
    random = np.random.default_rng(seed)
    return [(spot, spot.random_marks(random, OPACITY)) for spot in spots]


def corner_marks(spots: Sequence[Spot]) -> list[Marked]:
    return [(spot, (Mark(int(spot.nearest[1, -1, -1]), int(spot.nearest[0, -1, -1]), 255, 0),)) for spot in spots]


def best_of_random(
    pictures: Pictures, spots: Sequence[Spot], source: TargetModel, tries: int
) -> tuple[list[Marked], float]:
    random = np.random.default_rng(0)
    candidates = Candidates(sites(pictures, spots, source), [source], "cpu")
    chosen = []
    for number, spot in enumerate(spots):
        sets = [spot.random_marks(random, OPACITY) for _ in range(tries)]
        marks = np.array([[[m.y, m.x, m.opacity, m.ink] for m in one] for one in sets])
        margins = candidates.margins(np.full(tries, number), marks)[:, 0]
        chosen.append((spot, sets[int(margins.argmin())]))
    return chosen, float(tries)


def adv_watermark(pictures: Pictures, source: TargetModel) -> tuple[list[Marked], list[int]]:
    import torch

    free = replace(pictures, boxes=[[] for _ in pictures.boxes])
    marked, forwards = [], []
    for number, (spot, case) in enumerate(zip(layouts(free, 1), cases(free))):

        def logits(mark: Mark, case: Case = case, spot: Spot = spot) -> NDArray[np.floating]:
            image = marked_image(case, [(spot, (mark,))], windows(case), "translucent", STREAMS)[:, 0]
            with torch.no_grad():
                return source(torch.from_numpy(unit(image[np.newaxis])))[0].numpy()

        height, width = spot.logos[0].matte.shape
        corner = pictures.images.shape[3] - width, pictures.images.shape[2] - height
        running = AdvWatermark(logits, int(pictures.labels[number]), corner, seed=number)
        running.run()
        marked.append((spot, (running.mark,)))
        forwards.append(running.forwards)
    return marked, forwards


def ours(
    pictures: Pictures, logos: int, sources: list[TargetModel], **settings: Any
) -> tuple[NDArray[np.uint8], list[Any]]:
    """The class as users call it. `settings` replace defaults of the search."""
    defaults = product.SearchSettings
    if settings:
        product.SearchSettings = lambda logos: replace(defaults(logos=logos), **settings)  # type: ignore[assignment, misc]
    method = MedLocker(params(pictures, logos), STREAMS, sources)
    source = CasesInMemory(tuple(cases(pictures)))
    method.fit(source)
    protected = [method.protect(source.load(case_id)) for case_id in source.ids]
    product.SearchSettings = defaults  # type: ignore[misc]
    return np.stack([one.image[:, 0] for one in protected]), protected


def run(set_name: str, source_names: list[str], arm: str) -> dict[str, Any]:
    pictures = test_pictures(set_name)
    tested = models(set_name, ARCHITECTURES)
    sources = [model for model in tested if model.name in source_names]
    kind, *numbers = arm.split("-")
    clean = {model.name: named(model, pictures.images) == pictures.labels for model in tested}
    row: dict[str, Any] = {"set": set_name, "sources": source_names, "arm": arm, "logo": LOGO}
    if kind == "aw":
        picked = np.flatnonzero(clean[sources[0].name])
        picked = np.random.default_rng(0).permutation(picked)[: int(numbers[0])]
        pictures = Pictures(pictures.images[picked], pictures.labels[picked], [pictures.boxes[i] for i in picked])
        clean = {name: right[picked] for name, right in clean.items()}
    began, busy = time.monotonic(), time.process_time()
    marked: list[Marked] = []
    forwards: Any = 0
    if kind == "clean":
        images = pictures.images
    elif kind in ("ours", "evolution"):
        images, protected = ours(pictures, int(numbers[0]), sources, **({"tried": 0} if kind == "evolution" else {}))
        forwards = [one.record.parameters["forwards"] for one in protected]
        row["overlap_voxels"] = sum(one.record.parameters["lesion_overlap_voxels"] for one in protected)
        row["opacity"] = float(np.mean([mark["opacity"] for one in protected for mark in one.secrets["marks"]]))
        inks = [mark["ink"] for one in protected for mark in one.secrets["marks"]]
        row["inks"] = {name: inks.count(n) for n, name in enumerate(("white", "black", "dark shade", "bright shade"))}
    else:
        if kind == "random":
            marked = random_marks(test_spots(set_name, int(numbers[0])), int(numbers[1]))
        elif kind == "corner":
            marked = corner_marks(test_spots(set_name, 1))
        elif kind == "best":
            cell = FOLDER / f"{set_name}_{'+'.join(source_names)}_ours-{numbers[0]}.json"
            tries = round(json.loads(cell.read_text())["forwards_per_picture"])
            marked, forwards = best_of_random(pictures, test_spots(set_name, int(numbers[0])), sources[0], tries)
        elif kind == "aw":
            marked, forwards = adv_watermark(pictures, sources[0])
        else:
            sys.exit(f"unknown arm {arm}; see the top of this file")
        images = written(pictures, marked)
        row["overlap_voxels"] = sum(
            overlap_voxels([one], {0: boxes}, images.shape[2:]) for one, boxes in zip(marked, pictures.boxes)
        )
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - busy
    np.savez_compressed(
        WEIGHTS / f"marked_{set_name}_{'+'.join(source_names)}_{arm}.npz", images=images, clean=pictures.images,
        labels=pictures.labels,
    )  # fmt: skip
    right = {model.name: named(model, images) == pictures.labels for model in tested}
    row |= {
        "pictures": len(images),
        "wrong_from_start": {name: float(1 - kept.mean()) for name, kept in clean.items()},
        "accuracy": {name: float(kept.mean()) for name, kept in right.items()},
        "success_on_right_ones": {n: float(1 - right[n][clean[n]].mean()) if clean[n].any() else None for n in right},
        "accuracy_by_class": {
            name: [float(kept[pictures.labels == value].mean()) for value in np.unique(pictures.labels)]
            for name, kept in right.items()
        },
        "forwards_per_picture": float(np.mean(forwards)),
        "forwards_max": float(np.max(forwards)),
        "seconds_per_picture": seconds / len(images),
        "cpu_seconds_per_picture": cpu_seconds / len(images),  # says more where other work goes on
        "coverage": float((images != pictures.images).any(axis=1).mean()),
    }
    return row


def main() -> None:
    set_name, sources, *arms = sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for arm in arms:
        path = FOLDER / f"{set_name}_{sources}_{arm}.json"
        if not path.exists():
            path.write_text(json.dumps(run(set_name, sources.split("+"), arm)) + "\n")
        row = json.loads(path.read_text())
        accuracy = "  ".join(f"{name} {share:.3f}" for name, share in row["accuracy"].items())
        print(
            f"{set_name} {sources:20} {arm:14} {accuracy}  {row['forwards_per_picture']:.0f} forwards  "
            f"{row['seconds_per_picture']:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
