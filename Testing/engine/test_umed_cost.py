"""What a training will take is told from its sizes and from a few iterations, which leave no trace."""

from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.method import Workspace
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.umed.cohort import Cohort, SegmentClasses
from MedUnlearnableLib.engine.umed.cost import training_cost
from MedUnlearnableLib.engine.umed.plan import Plan, estimate_training_mb

torch = pytest.importorskip("torch")

COLOR = Cohort(20, 3, 2, SegmentClasses(((1, 2), (5,))), (40, 30), (20, 20), (1,) * 20)
VOLUMES = replace(COLOR, channels=2, dimensions=3, sides=(24, 24, 24), extent=(9, 9, 9))
SIZES = {2: Plan((32, 48), 8, 20, 900, 2, 3), 3: Plan((24, 24, 24), 2, 20, 900, 2, 3)}


@pytest.mark.parametrize(
    ("cohort", "profile"),
    [(COLOR, "standard"), (COLOR, "paper"), (VOLUMES, "paper")],
    ids=["carriers", "color pictures", "volumes of two channels"],
)
def test_any_cohort_can_be_timed_and_leaves_no_trace(cohort, profile):
    before = torch.random.get_rng_state()
    plan, params = SIZES[cohort.dimensions], UMedParams(profile=profile)
    cost = training_cost(cohort, plan, params, "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert cost.plan == plan
    assert cost.memory_mb == estimate_training_mb(plan, cohort)
    assert cost.seconds > 0


def test_the_cost_is_that_of_the_training_and_does_not_train():
    random = np.random.default_rng(0)
    label = np.zeros((1, 40, 30), np.uint8)
    label[0, 8:20, 8:20] = 1
    images = random.integers(0, 255, (16, 1, 1, 40, 30)).astype(np.uint8)
    geometry = Geometry.of_spacing((1, 1, 1))
    cases = CasesInMemory(
        tuple(Case(f"{n}", image, geometry, (label,), modality="picture") for n, image in enumerate(images))
    )
    params = UMedParams(profile="standard", width=2, iterations=3)
    looked, trained = (UMed(params, RandomStreams.from_number(1)) for _ in range(2))
    cost = looked.training_cost(cases, Workspace(device="cpu"))
    workspace = Workspace(device="cpu")
    trained.fit(cases, workspace)
    assert cost.plan == Plan.from_json(workspace.kept().header["plan"])
    assert looked.state().header["layout"] is None
    assert looked.windows(cases.cases[0]) == trained.windows(cases.cases[0])
