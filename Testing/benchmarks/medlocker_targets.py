"""Trains the target models of the MedLocker benchmarks: `python medlocker_targets.py SET_ARCHITECTURE[_marks]...`."""

from __future__ import annotations

import sys

from medlocker_data import SETS, target
from MedUnlearnableLib.engine.medlocker.networks import ARCHITECTURES


def main() -> None:
    for name in sys.argv[1:] or [f"{set_name}_{architecture}" for set_name in SETS for architecture in ARCHITECTURES]:
        set_name, architecture, *marks = name.split("_")
        target(set_name, architecture, marks=0.5 if marks else 0.0)


if __name__ == "__main__":
    main()
