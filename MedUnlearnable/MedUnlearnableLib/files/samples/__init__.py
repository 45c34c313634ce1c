"""Generated sample data: made from formulas and a seed, so it needs no download and shows no patient."""

from collections.abc import Callable
from functools import partial

from .brain_mr import synthetic_brain_mr
from .ct import synthetic_ct
from .fundus import synthetic_fundus
from .sample import Sample
from .ultrasound import synthetic_ultrasound

__all__ = ["SAMPLES", "Sample", "synthetic_brain_mr", "synthetic_ct", "synthetic_fundus", "synthetic_ultrasound"]

#: What Slicer's Sample Data module offers, by sample name; each takes a few seconds at most.
SAMPLES: dict[str, Callable[[], Sample]] = {
    "GeneratedCT": partial(synthetic_ct, (60, 256, 256)),
    "GeneratedBrainMR": synthetic_brain_mr,
    "GeneratedUltrasound": synthetic_ultrasound,
    "GeneratedFundus": synthetic_fundus,
}
