"""The forecast tells a task that is learned at once from one that is not, and when it cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused
from MedUnlearnableLib.engine.forecast import EASY_BELOW, forecast
from MedUnlearnableLib.engine.progress import Progress

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def discs(count, shown, shape=(1, 60, 50), spacing=(1.0, 1.0, 1.0)):
    """Discs on noise: where the label is when `shown`, else somewhere else."""
    random = np.random.default_rng(0)
    cases = []
    for number in range(count):
        labels = [np.broadcast_to(disc(shape[1:], random), shape) for _ in range(2)]
        image = random.normal(100, 10, (1, *shape)) + 60 * labels[0 if shown else 1]
        label = labels[0].astype(np.uint8)
        cases.append(Case(f"{number}", image.astype(np.int16), Geometry.of_spacing(spacing), (label,)))
    return CasesInMemory(tuple(cases))


def disc(sides, random):
    y, x = (random.integers(12, side - 12) for side in sides)
    row, column = np.ogrid[: sides[0], : sides[1]]
    return (row - y) ** 2 + (column - x) ** 2 < 10**2


def test_what_is_plain_to_see_is_called_easy_to_learn():
    outlook = forecast(discs(24, shown=True), np.random.default_rng(0))
    assert outlook.value > 0.8 > EASY_BELOW
    assert "easy to learn" in outlook.sentence
    assert "not with augmentation" in outlook.sentence


def test_volumes_whose_segments_cannot_be_seen_are_called_hard_to_learn():
    outlook = forecast(discs(12, shown=False, shape=(6, 60, 50), spacing=(1.0, 1.0, 3.0)), np.random.default_rng(0))
    assert outlook.value < EASY_BELOW
    assert "hard to learn" in outlook.sentence


class Unreadable(CasesInMemory):
    def load(self, case_id):
        if case_id in ("0", "1"):
            raise Refused("cannot be read")
        return super().load(case_id)


def test_too_few_cases_are_no_ground_for_a_forecast():
    empty = Case("none", np.zeros((1, 1, 60, 50), np.int16), Geometry.of_spacing((1.0, 1.0, 1.0)))
    cases = Unreadable((*discs(12, shown=True).cases, empty))
    outlook = forecast(cases, np.random.default_rng(0))
    assert outlook.value is None
    assert outlook.sentence == "no forecast: 10 cases have segments that are large enough for it, and it takes 12"


def test_images_that_no_network_can_learn_from_do_not_stop_the_run():
    """The mean of two channels is too large for their type."""
    cases = [replace(case, image=np.full((2, 1, 60, 50), 3e38, np.float32)) for case in discs(12, shown=True).cases]
    with np.errstate(over="ignore"):
        outlook = forecast(CasesInMemory(tuple(cases)), np.random.default_rng(0))
    assert outlook.value is None
    assert outlook.sentence.startswith("no forecast: train images hold NaN or infinite values")


def test_a_forecast_says_where_it_is_and_can_be_cancelled():
    class Impatient(Progress):
        def __init__(self):
            self.told = []

        def step(self, stage, done, total):
            self.told.append((stage, done, total))
            if done == 14:  # twelve cases are read, and two steps made
                raise Cancelled

    progress = Impatient()
    with pytest.raises(Cancelled):
        forecast(discs(12, shown=True), np.random.default_rng(0), progress)
    assert progress.told == [("forecast", done, 112) for done in range(15)]
