"""SALM's error-minimizing noise: masks, cap, budget, exact resume, and samples found by their id."""

from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Classes, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.salm import SALM, MinMinParams, SALMParams
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.team import Team

torch = pytest.importorskip("torch")

NAMES = ("a", "b")
QUICK = MinMinParams(width=4, noise_steps=3, network_steps=4, batch_size=8, least_rounds=2, most_rounds=2)
EPSILON = 8 / 255


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cohort(count=12, channels=1, depth=1, side=16, several=False):
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        image = random.integers(20, 230, (channels, depth, side, side)).astype(np.uint8)
        image[..., :4] = 0  # air
        shown = ((number % 2,),) if not several else (((), (0,), (1,), (0, 1))[number % 4],)
        found.append(
            Case(f"case{number:02}", image, Geometry.of_spacing((1, 1, 1)), modality="picture",
                 classes=Classes(NAMES, shown, several))
        )  # fmt: skip
    return found


def fitted(cases, workspace=None, seed=1, **choices):
    method = SALM(SALMParams("paper", share=0.1, min_min=replace(QUICK, **choices)), RandomStreams.from_number(seed))
    method.fit(CasesInMemory(tuple(cases)), workspace or Workspace())
    return method


def images(method, cases, workspace):
    return [method.protect(case, workspace).image for case in cases]


@pytest.fixture(scope="module")
def trained():
    cases, workspace = cohort(), Workspace()
    method = fitted(cases, workspace)
    return cases, method, workspace, images(method, cases, workspace)


def test_budget_region_and_cap_hold_for_every_sample(trained):
    cases, method, workspace, protected = trained
    for case, image in zip(cases, protected):
        difference = image.astype(int) - case.image
        assert 0 < np.abs(difference).max() <= 8
        assert not difference[..., :4].any()
        assert np.count_nonzero(difference) <= 0.45 * 16 * 12
    assert method.protect(cases[0], workspace).record.budget == 8


@pytest.mark.parametrize(("refresh", "most"), [("once", 0.1), ("round", 0.1), ("step", 0.25)])
def test_a_mask_takes_exactly_k_pixels_at_a_time(refresh, most):
    cases, workspace = cohort(4), Workspace()
    method = fitted(cases, workspace, refresh=refresh, cap=0.25, batch_size=4)
    touched = workspace.array("salm-touched-0", (4 * 16 * 16,), bool).reshape(4, -1)
    allowed = 16 * 12
    assert (touched.sum(1) <= most * allowed + 1).all()
    if refresh != "step":
        assert (touched.sum(1) == round(0.1 * allowed)).all()
    for case, own in zip(cases, touched):
        difference = method.protect(case, workspace).image.astype(int) - case.image
        assert not (difference.ravel() != 0)[~own].any()


def test_noise_lowers_the_error_of_the_surrogate_and_is_told(trained):
    points = []

    class Listener(Progress):
        def curve(self, name, step, value):
            points.append((name, step, value))

    cases, _, _, protected = trained
    again = Workspace(Listener())
    assert all(np.array_equal(a, b) for a, b in zip(images(fitted(cases, again), cases, again), protected))
    errors = [value for name, _, value in points if name == "surrogate error"]
    assert len(errors) == 2 and errors[-1] <= 0.5


class KilledAt(Progress):
    """Raises at the n-th step, as a kill would, but without losing this process."""

    def __init__(self, number):
        self.number = number

    def step(self, stage, done, total):
        self.number -= 1
        if self.number == 0:
            raise Cancelled


@pytest.mark.parametrize("killed_at", [25, 32, 33, 36, 38])
def test_a_training_killed_anywhere_ends_with_the_same_bytes(trained, killed_at):
    cases, method, _, protected = trained
    workspace = Workspace(KilledAt(killed_at))
    with pytest.raises(Cancelled):
        fitted(cases, workspace)
    workspace.progress = Progress()
    resumed = fitted(cases, workspace)
    assert all(np.array_equal(a, b) for a, b in zip(images(resumed, cases, workspace), protected))
    ours, theirs = resumed.state(), method.state()
    assert ours.header == theirs.header
    assert all(np.array_equal(ours.arrays[name], theirs.arrays[name]) for name in theirs.arrays)


def test_a_saved_method_finds_the_noise_of_its_run_by_sample_id(trained):
    cases, method, workspace, protected = trained
    restored = SALM.from_state(State.from_json(method.state().to_json()))
    shuffled = np.random.default_rng(0).permutation(len(cases))
    for place in shuffled[:5]:
        assert np.array_equal(restored.protect(cases[place], workspace).image, protected[place])


def test_only_the_leader_of_a_team_trains_and_the_others_use_its_noise(trained):
    cases, method, workspace, protected = trained
    elsewhere = Workspace(team=Team(rank=1, size=2))
    fitted(cases, elsewhere)
    assert elsewhere.kept() is None
    follower = SALM.from_state(method.state())
    assert np.array_equal(follower.protect(cases[1], workspace).image, protected[1])


def test_shuffled_cases_give_every_sample_the_same_noise(trained):
    cases, _, _, protected = trained
    workspace = Workspace()
    method = fitted(cases[::-1], workspace)
    assert all(np.array_equal(a, b) for a, b in zip(images(method, cases, workspace), protected))


def test_without_a_case_the_others_still_get_noise_of_their_own(trained):
    cases, _, _, _ = trained
    workspace = Workspace()
    fewer = cases[:3] + cases[4:]
    method = fitted(fewer, workspace)
    for case, image in zip(fewer, images(method, fewer, workspace)):
        difference = image.astype(int) - case.image
        assert difference.any() and not difference[..., :4].any()  # of this image: its own air is spared


def test_a_new_case_is_optimized_against_the_surrogates(trained):
    cases, method, workspace, _ = trained
    new = replace(cases[0], id="new", image=np.roll(cases[0].image, 5, axis=-2))
    elsewhere = SALM.from_state(method.state())
    first, second = (elsewhere.protect(new, Workspace()).image for _ in range(2))
    difference = first.astype(int) - new.image
    assert np.array_equal(first, second)
    assert 0 < np.abs(difference).max() <= 8 and not difference[..., :4].any()
    assert np.array_equal(method.protect(new, workspace).image, first)


def test_noise_of_a_class_is_shared_by_its_samples():
    cases, workspace = cohort(6), Workspace()
    method = fitted(cases, workspace, noise="class")
    changes = [image.astype(int) - case.image for case, image in zip(cases, images(method, cases, workspace))]
    roomy = np.all([(case.image > 30) & (case.image < 220) for case in cases], axis=0)
    assert changes[0].any()
    assert np.array_equal(changes[0][roomy], changes[2][roomy])
    assert not np.array_equal(changes[0][roomy], changes[1][roomy])
    new = replace(cases[1], id="new")
    assert np.array_equal(SALM.from_state(method.state()).protect(new).image - new.image, changes[1].astype(np.uint8))
    with pytest.raises(Refused, match="needs samples of one size"):
        fitted([*cases, replace(cohort(1, side=20)[0], id="larger")], noise="class")


def test_color_volumes_and_several_classes_are_protected():
    for choices, cases in (
        ({}, cohort(6, channels=3)),
        ({}, cohort(4, depth=3)),
        ({"unit": "volume"}, cohort(4, depth=6)),
        ({"surrogates": ("cnn", "resnet18")}, cohort(6)),
        ({}, cohort(8, several=True)),
    ):
        workspace = Workspace()
        method = fitted(cases, workspace, **choices)
        changes = [image.astype(int) - case.image for case, image in zip(cases, images(method, cases, workspace))]
        assert all(0 < np.abs(change).max() <= 8 for change in changes)
        assert all(not change[..., :4].any() for change in changes)


def test_what_cannot_be_learned_is_refused():
    one_class = [replace(case, classes=Classes(NAMES, ((0,),))) for case in cohort(4)]
    with pytest.raises(Refused, match="all cases show the same class"):
        fitted(one_class)
    with pytest.raises(Refused, match="some images are gray and some are in color"):
        fitted([*cohort(2), *(replace(case, id=f"c{case.id}") for case in cohort(2, channels=3))])
    with pytest.raises(Refused, match="the samples are slices, not whole volumes"):
        sliced = [replace(case, classes=Classes(NAMES, ((0,), (1,)))) for case in cohort(2, depth=2)]
        fitted(sliced, unit="volume")
    with pytest.raises(Refused, match="learned on a cohort"):
        SALM(SALMParams("paper"), RandomStreams.from_number(1)).protect(cohort(1)[0])


@pytest.mark.parametrize(
    "wrong", [{"refresh": "x"}, {"noise": "x"}, {"unit": "x"}, {"surrogates": ()}, {"surrogates": ("x",)},
              {"least_rounds": 3}, {"cap": 0.0}]
)  # fmt: skip
def test_impossible_choices_are_wrong_usage(wrong):
    with pytest.raises(UsageError):
        replace(QUICK, **wrong)
