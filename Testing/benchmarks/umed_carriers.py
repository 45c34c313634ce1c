"""Which carrier attackers choose on each set, what each layout leaves to them, and how long the search takes.

    umed_carriers.py [SET ...]    the sets that have no result yet; kept in results/umed_carriers.json

The training of `standard` as a run makes it, on the training pictures of umed_strength.py, on one thread: a fresh
attacker for each layout and kind of attack, 150 iterations each, tested on clean pictures.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from common import RESULTS, save
from MedUnlearnableLib.engine.carrier import LAYOUTS
from MedUnlearnableLib.engine.case import CasesInMemory
from MedUnlearnableLib.engine.method import Workspace
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from umed_strength import DATA, REQUIRED, cohort

RESULT = RESULTS / "umed_carriers.json"
ATTACKS = ("flips", "nnU-Net's augmentation", "flips after a blur")  # in the order of carrier_search.ATTACKERS


def row(set_name: str) -> dict[str, object]:
    data, workspace = cohort(set_name), Workspace(device="cpu")
    method = UMed(UMedParams(profile="standard"), RandomStreams.from_number(0))
    began = time.perf_counter()
    method.fit(CasesInMemory(tuple(data.case(*pair) for pair in enumerate(data.labels))), workspace)
    seconds = time.perf_counter() - began
    kept = workspace.kept()
    assert kept is not None
    scores = np.reshape(kept.header["scores"], (len(LAYOUTS), -1)).tolist()
    left = {layout: dict(zip(ATTACKS, some)) for layout, some in zip(LAYOUTS, scores)}
    return {"name": set_name, "chosen": method.state().header["layout"], "seconds": seconds, "dsc_left": left}


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"the data sets are not in {DATA}; nothing was measured")
    torch.set_num_threads(1)
    rows = {kept["name"]: kept for kept in json.loads(RESULT.read_text())["rows"]} if RESULT.exists() else {}
    for set_name in sys.argv[1:] or REQUIRED:
        if set_name not in rows:
            rows[set_name] = row(set_name)
            save("umed_carriers", list(rows.values()))
        print(json.dumps(rows[set_name], indent=1), flush=True)


if __name__ == "__main__":
    main()
