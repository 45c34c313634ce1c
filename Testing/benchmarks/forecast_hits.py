"""Whether the forecast tells the sets that can be protected against augmentation from those that cannot.

Under nnU-Net's augmentations no set was protected: BUSI and hippocampi by the attacks of umed_strength.py, nuclei by
early ones. Three draws of each set. The threshold is from the early attacks, which had seen BUSI protected.
"""

from __future__ import annotations

import time

import numpy as np
from common import save
from MedUnlearnableLib.engine.case import CasesInMemory
from MedUnlearnableLib.engine.forecast import EASY_BELOW, forecast
from umed_strength import cohort

CAN_BE_PROTECTED = {"busi": False, "hippocampus": False, "dsb2018": False}
DRAWS = 3


def main() -> None:
    rows = []
    for name, truth in CAN_BE_PROTECTED.items():
        pictures = cohort(name)
        cases = CasesInMemory(tuple(pictures.case(*pair) for pair in enumerate(pictures.labels)))
        for draw in range(DRAWS):
            began = time.process_time()
            value = forecast(cases, np.random.default_rng(draw)).value
            assert value is not None
            row = {"set": name, "draw": draw, "value": value, "right": (value < EASY_BELOW) == truth}
            rows.append({**row, "cpu_seconds": time.process_time() - began})
            print(f"{name:12} DSC {value:.3f}  {'right' if row['right'] else 'wrong'}", flush=True)
    save("forecast_hits", rows)


if __name__ == "__main__":
    main()
