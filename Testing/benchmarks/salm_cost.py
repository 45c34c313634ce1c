"""What SALM costs: seconds and memory against the number of samples, and a CT of 512x512x100 with profile instant.

    salm_cost.py                                       the figures, kept in results/salm_cost.json
    salm_cost.py 'paper 500' 'paper 2000'              these anew, the others as they were
    salm_cost.py --unlearnable-examples FOLDER         beside them the attack step of HanxunH/Unlearnable-Examples (MIT;
                                                       FOLDER is a checkout), on the same surrogate and data

Synthetic gray images of 28x28 pixels in two classes. `paper` needs torch, and is measured for one round: a run has 3 to
30. Every figure is that of a process of its own, on one thread; seconds are the processor's, which a busy machine
spoils less than those of a clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, save
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Classes, Geometry
from MedUnlearnableLib.engine.method import Workspace
from MedUnlearnableLib.engine.salm import SALM, MinMinParams, SALMParams
from MedUnlearnableLib.engine.streams import RandomStreams

COUNTS = (500, 2000, 8000)
_SIDE = 28
_THEIR_STEPS, _THEIR_STEP_SIZE = 20, 0.8 / 255  # of their command for sample-wise noise
_THEIRS = "Unlearnable-Examples, one pass"
_ONE_ROUND = MinMinParams(least_rounds=1, most_rounds=1)


def pictures(count: int) -> tuple[Case, ...]:
    random = np.random.default_rng(0)
    images = random.integers(1, 255, (count, 1, 1, _SIDE, _SIDE), np.uint8)
    return tuple(
        Case(f"{n:06}", image, Geometry.of_spacing((1.0, 1.0, 1.0)), modality="picture",
             classes=Classes(("a", "b"), ((n % 2,),)))
        for n, image in enumerate(images)
    )  # fmt: skip


def ct(shape: tuple[int, int, int]) -> tuple[Case, ...]:
    random = np.random.default_rng(0)
    image = random.integers(-120, 200, (1, *shape), np.int16)
    image[..., : shape[1] // 4, :] = -1000  # air
    classes = Classes(("a", "b"), ((0,),))
    return (Case("ct", image, Geometry.of_spacing((0.8, 0.8, 5.0)), modality="CT", classes=classes),)


def measured(cases: tuple[Case, ...], params: SALMParams) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    method, workspace = SALM(params, RandomStreams.from_number(0)), Workspace()
    began = time.process_time()
    method.fit(CasesInMemory(cases), workspace)
    for case in cases:
        method.protect(case, workspace)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "ms_per_sample": 1000 * seconds / len(cases), "more_memory_mb": (after - before) / 1024}


def attack_steps(folder: Path, count: int) -> dict[str, Any]:
    """One noise pass over all samples, theirs and ours, with the same number of gradient steps, and with their own."""
    import torch
    from MedUnlearnableLib.engine.classifiers import seeded_classifier

    torch.set_num_threads(1)
    sys.path.insert(0, str(folder))
    from toolbox import PerturbationTool  # theirs

    random = np.random.default_rng(0)
    images = torch.from_numpy(random.random((count, 1, _SIDE, _SIDE), np.float32))
    labels = torch.arange(count) % 2
    network = seeded_classifier(0, "cnn", 1, 2, (_SIDE, _SIDE)).eval()
    tool = PerturbationTool(0, 8 / 255, _THEIR_STEPS, _THEIR_STEP_SIZE)
    began = time.process_time()
    for few, of_few in zip(images.split(128), labels.split(128)):
        tool.min_min_attack(few, of_few, network, None, torch.nn.CrossEntropyLoss(), torch.zeros_like(few))
    return {"ms_per_sample": 1000 * (time.process_time() - began) / count}


JOBS = {
    **{f"{profile} {n}": (profile, n) for profile in ("instant", "standard", "paper") for n in COUNTS},
    "instant 512x512x100": ("instant", 0),
    "standard 512x512x100": ("standard", 0),
}


def figures(name: str) -> dict[str, Any]:
    profile, count = JOBS[name]
    params = SALMParams(profile, min_min=_ONE_ROUND)
    if profile == "paper":
        import torch

        torch.set_num_threads(1)
        measured(pictures(8), replace(params, min_min=replace(_ONE_ROUND, network_steps=1)))  # the first step is slow
    return {"name": name, **measured(pictures(count) if count else ct((100, 512, 512)), params)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--unlearnable-examples", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(JOBS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one == "theirs":
        print(json.dumps({"name": _THEIRS, **attack_steps(options.unlearnable_examples, 500)}))
        return
    if options.one:
        print(json.dumps(figures(options.one)))
        return
    rows = [own_process("--one", name) for name in options.names]
    if options.unlearnable_examples:
        rows.append(own_process("--one", "theirs", "--unlearnable-examples", str(options.unlearnable_examples)))
    for row in rows:
        memory = f"{row['more_memory_mb']:8.0f} MB" if "more_memory_mb" in row else ""
        print(f"{row['name']:32}{row['ms_per_sample']:12.2f} ms a sample{memory}", flush=True)
    kept = RESULTS / "salm_cost.json"
    before = json.loads(kept.read_text())["rows"] if kept.exists() else []
    order = [*JOBS, _THEIRS]
    together = {row["name"]: row for row in (*before, *rows)}
    save("salm_cost", sorted(together.values(), key=lambda row: order.index(row["name"])))


def own_process(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


if __name__ == "__main__":
    main()
