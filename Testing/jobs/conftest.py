"""The real command line, and small real volumes to give to it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

SHAPE = (6, 24, 22)
AFFINE = np.diag([0.9, 0.9, 2.5, 1.0])


@dataclass(frozen=True)
class Ended:
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """`medunlearnable` as a process of its own."""

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "MedUnlearnableLib", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def end(self, process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    def run(self, *arguments: object, **options: Any) -> Ended:
        return self.end(self.start(*arguments, **options))

    def protect(self, images: Path, out: Path, *more: object) -> Ended:
        return self.run("protect", "umed", "--images", images, "--out", out, *more)


class Volumes:
    """Small volumes with a label beside them."""

    def tissue(self, seed: int = 0) -> np.ndarray:
        """Something like MR: int16, 100 to 900."""
        return np.random.default_rng(seed).integers(100, 900, SHAPE).astype(np.int16)

    def ball(self) -> np.ndarray:
        label = np.zeros(SHAPE, np.uint8)
        label[2:4, 8:16, 7:15] = 1
        return label

    def add(self, folder: Path, name: str = "a", image: Any = None, label: Any = None, affine: Any = AFFINE) -> Path:
        """Writes a.nii.gz and a_seg.nii.gz into `folder`; the defaults can be protected. `affine`: of the label."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image((self.tissue() if image is None else image).T, AFFINE), path)
        nib.save(nib.Nifti1Image((self.ball() if label is None else label).T, affine), folder / f"{name}_seg.nii.gz")
        return path


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    return CommandLine()


@pytest.fixture(scope="session")
def volumes() -> Volumes:
    return Volumes()
