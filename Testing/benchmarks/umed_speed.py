"""Seconds a case for what protects, beside the attack step of HanxunH/Unlearnable-Examples (EM, MIT).

    umed_speed.py FOLDER    FOLDER is a checkout of github.com/HanxunH/Unlearnable-Examples

Hippocampus slices. EM as its authors run it: batches the surrogate learns from, then a pass of 20 steps over all noise,
again and again; surrogate and attacker are the U-Net of umed_strength.py, and so are the attacks. Ours are timed from
nothing to protected images. All on one thread. A row that is in the result file is not run again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, save
from MedUnlearnableLib.engine.attack import AttackData, AttackSettings, attack
from MedUnlearnableLib.engine.networks import seeded_network
from MedUnlearnableLib.engine.training import batches
from umed_strength import BUILD, Cohort, Pictures, cohort, made, psnr_db

SET = "hippocampus"
EPSILON, STEPS, STEP_SIZE = 8 / 255, 20, 0.8 / 255  # of their command for sample-wise noise
NETWORK_STEPS = 10  # batches before each pass
ROUNDS = 3
BATCH = 16
RESULT = RESULTS / "umed_speed.json"


class ZScoring(torch.nn.Module):
    """Their step works on images of 0 to 1, our networks on z-scored ones."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        deviation, mean = torch.std_mean(images, dim=(2, 3), keepdim=True)
        with torch.autocast("cpu", torch.bfloat16):
            logits: torch.Tensor = self.network((images - mean) / deviation)
        return logits.float()


def error_minimizing_rounds(data: Cohort, folder: Path) -> Iterator[tuple[Pictures, float]]:
    """After each round the protected images and the seconds so far."""
    sys.path.insert(0, str(folder))
    from toolbox import PerturbationTool  # theirs

    images = torch.from_numpy(data.images).float() / 255
    labels = torch.from_numpy(data.labels).long()
    network = ZScoring(seeded_network(0, "unet", 1, 2, images.shape[2:], 16))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    criterion = torch.nn.CrossEntropyLoss()
    tool = PerturbationTool(0, EPSILON, STEPS, STEP_SIZE)
    noise = torch.zeros_like(images)
    endless = batches(len(images), BATCH, torch.Generator().manual_seed(0))
    seconds = 0.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        network.train().requires_grad_(True)
        for at in islice(endless, NETWORK_STEPS):
            optimizer.zero_grad()
            criterion(network((images[at] + noise[at]).clamp(0, 1)), labels[at]).backward()
            optimizer.step()
        network.eval().requires_grad_(False)
        for at in torch.arange(len(images)).split(BATCH):
            _, noise[at] = tool.min_min_attack(images[at], labels[at], network, None, criterion, noise[at])
        seconds += time.perf_counter() - began
        yield ((images + noise).clamp(0, 1) * 255).round().to(torch.uint8).numpy(), seconds


def row(name: str, data: Cohort, images: Pictures, seconds: float) -> dict[str, Any]:
    changed = [value for value in psnr_db(data, images) if value is not None]
    attacked = AttackData(images, data.labels, data.test_images, data.test_labels)
    made_row = {
        "name": name,
        "ms_per_case": 1000 * seconds / len(images),
        "psnr_db": float(np.mean(changed)),
        "dsc": attack(attacked, AttackSettings()).dsc,
    }
    print({key: round(value, 3) if isinstance(value, float) else value for key, value in made_row.items()}, flush=True)
    return made_row


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "toolbox.py").exists():
        sys.exit(__doc__)
    torch.set_num_threads(1)
    data = cohort(SET)
    kept = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    ours, theirs = (
        ("instant", "standard"),
        [f"Unlearnable-Examples, {number} rounds" for number in range(1, ROUNDS + 1)],
    )
    rows = {row["name"]: row for row in kept}
    for arm in ours:
        if arm in rows:
            continue
        if (BUILD / SET / f"{arm}.npz").exists():
            sys.exit(f"{BUILD / SET / arm} was made before; remove it and {arm}.npz, so that its making can be timed")
        began = time.perf_counter()
        images, _ = made(SET, arm)
        rows[arm] = row(arm, data, images, time.perf_counter() - began)
    if not rows.keys() >= set(theirs):
        for name, (images, seconds) in zip(theirs, error_minimizing_rounds(data, Path(sys.argv[1]))):
            rows[name] = row(name, data, images, seconds)
    save("umed_speed", [rows[name] for name in (*ours, *theirs)])
    print(f"kept in {RESULT}")


if __name__ == "__main__":
    main()
