"""MedLocker against a model: the search, its budget, its repeatability, and what is confirmed in the end."""

import json
from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Channel, Classes, Geometry
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.medlocker import pool
from MedUnlearnableLib.engine.medlocker.candidates import Candidates, Site
from MedUnlearnableLib.engine.medlocker.method import MedLocker
from MedUnlearnableLib.engine.medlocker.params import MedLockerParams
from MedUnlearnableLib.engine.medlocker.search import SearchSettings, search
from MedUnlearnableLib.engine.medlocker.targets import TargetModel
from MedUnlearnableLib.engine.medlocker.training import TrainingSettings
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.streams import RandomStreams
from scipy import optimize

torch = pytest.importorskip("torch")

SIDE = 48
NAMES = ("dark", "bright")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quadrants(planes):
    """Bright if the upper left quarter outshines the lower right one."""
    half = SIDE // 2
    lead = planes[:, :, :half, :half].mean(dim=(1, 2, 3)) - planes[:, :, half:, half:].mean(dim=(1, 2, 3))
    return torch.stack([-lead, lead], dim=1) * 10


MODEL = TargetModel("quadrants", quadrants, (SIDE, SIDE), 1, classes=NAMES, sha256="ab")


def case(number, depth=1, lead=6, modality="picture", segments=True, **more):
    random = np.random.default_rng(number)
    image = random.integers(80, 120, (1, depth, SIDE, SIDE)).astype(np.uint8)
    shown = number % 2
    corner = slice(0, SIDE // 2) if shown else slice(SIDE // 2, SIDE)
    image[..., corner, corner] += np.uint8(lead)
    mask = np.zeros((depth, SIDE, SIDE), np.uint8)
    mask[:, 20:26, 20:26] = 1
    return Case(f"case{number}", image, Geometry.of_spacing((1, 1, 4)), (mask,) if segments else (), modality=modality,
                classes=Classes(NAMES, ((shown,),)), **more)  # fmt: skip


def locker(seed=0, targets=(MODEL,), **params):
    return MedLocker(
        MedLockerParams(**{"logo": "X", "margin_mm": 1, **params}), RandomStreams.from_number(seed), targets
    )


def fitted(cases, **options):
    method = locker(**options)
    method.fit(CasesInMemory(tuple(cases)))
    return method


def site(number, name="s", lead=6, logos=1):
    side = 12
    image = case(number, lead=lead).image[:, 0][np.newaxis] / np.float32(255)
    nearest = np.indices((SIDE - side + 1,) * 2)
    inks = np.stack([np.full((1, side, side), v, np.float32) for v in (1.0, 0.0)])
    return Site(f"{name}{number}", image.astype(np.float32), number % 2, np.ones((logos, side, side), np.float32), inks,
                nearest, (1.0, 1.0))  # fmt: skip


def test_marks_mislead_the_model_on_the_integers_that_are_written():
    cases = [case(n) for n in range(4)]
    method = fitted(cases)
    assert method.pool.accuracy == {"quadrants": 1.0}
    for one in cases:
        protected = method.protect(one)
        named = quadrants(torch.from_numpy(protected.image[:, 0][np.newaxis] / np.float32(255))).argmax(1).item()
        assert named != one.classes.shown[0][0]
        assert protected.record.parameters["misled_spots"] == 1
        assert protected.record.parameters["lesion_overlap_voxels"] == 0
        assert protected.record.parameters["clean_accuracy"] == {"quadrants": 1.0}
        assert protected.record.parameters["models"] == ["ab"]


def test_a_seed_repeats_the_marks_and_every_case_has_its_own():
    cases = [case(n) for n in range(3)]
    first, again, other = (
        [fitted(cases, seed=seed).protect(one).secrets["marks"] for one in cases] for seed in (3, 3, 4)
    )
    assert first == again != other
    assert first[0] != first[2]


def test_a_case_of_a_folder_gets_the_marks_it_would_get_alone():
    cases = [case(n) for n in range(3)]
    together = fitted(cases)
    alone = fitted([cases[1]])
    unseen = fitted([cases[0]])
    images = [method.protect(cases[1]).image for method in (together, alone, unseen)]
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])


def test_a_state_keeps_what_was_found(monkeypatch):
    one = case(1)
    method = fitted([one])
    restored = MedLocker.from_state(State.from_json(json.loads(json.dumps(method.state().to_json()))))
    restored.pool.models = [MODEL]
    monkeypatch.setattr("MedUnlearnableLib.engine.medlocker.method.search", pytest.fail)
    assert np.array_equal(restored.protect(one).image, method.protect(one).image)


def test_without_gradients_scores_are_enough():
    scores = TargetModel.of_scores(
        lambda planes: quadrants(torch.from_numpy(planes)).numpy(), (SIDE, SIDE), classes=NAMES
    )
    protected = fitted([case(1)], targets=[scores]).protect(case(1))
    assert protected.record.parameters["misled_spots"] == 1


def test_models_see_each_channel_through_its_own_window():
    """The class shows in a channel whose values are a thousandth of the other's."""
    second = TargetModel("second", lambda planes: quadrants(planes[:, 1:]), (SIDE, SIDE), 2, classes=NAMES)
    cases = []
    for number in range(4):
        one = case(number, lead=2)
        shown = one.image.astype(np.float32) / 1000
        other = np.random.default_rng(number + 10).integers(0, 4000, shown.shape).astype(np.float32)
        cases.append(replace(one, image=np.concatenate([other, shown]), modality="", channels=(Channel(), Channel())))
    method = fitted(cases, targets=[second], logos=3)
    assert method.pool.accuracy == {"second": 1.0}
    for one in cases:
        protected = method.protect(one)
        assert protected.record.parameters["misled_spots"] == 1
        assert protected.record.parameters["lesion_overlap_voxels"] == 0


def test_no_site_costs_more_than_it_may_and_solved_ones_leave():
    unsolvable = [site(n, "hard", lead=100) for n in range(2)]
    easy = [site(n, "easy", lead=2) for n in range(2)]
    settings = SearchSettings(logos=1, population=8, forwards=60, tried=4)
    found = search(unsolvable + easy, [MODEL], settings, RandomStreams.from_number(0))
    for hard in found[:2]:
        assert not hard.solved
        assert 60 - 8 < hard.forwards <= 60
        assert hard.margin > 0
    for solved in found[2:]:
        assert solved.solved
        assert solved.margin < 0 < solved.clean_margin
        assert solved.forwards < 30


def test_a_site_does_not_depend_on_its_neighbors():
    settings = SearchSettings(logos=2, population=6, forwards=50)
    streams = RandomStreams.from_number(5)
    sites = [site(n, lead=30, logos=2) for n in range(3)]
    together = search(sites, [MODEL], settings, streams)
    alone = [search([one], [MODEL], settings, streams)[0] for one in sites]
    assert [one.ladder for one in together] == [one.ladder for one in alone]


def test_evolution_reaches_what_scipy_reaches():
    """The same places scored by scipy's own differential evolution, with as many forwards."""
    one = site(1, lead=60)
    settings = SearchSettings(logos=1, population=16, forwards=800, tried=0, confidence=1e9)
    ours = search([one], [MODEL], settings, RandomStreams.from_number(0))[0]
    candidates = Candidates([one], [MODEL], "cpu")

    def margin(genes):
        marks = one.decoded(genes.T, settings.opacity)
        return candidates.margins(np.zeros(len(marks), np.intp), marks).mean(axis=1)

    theirs = optimize.differential_evolution(
        margin, [(0, 1)] * 4, popsize=4, maxiter=48, vectorized=True, updating="deferred", polish=False, rng=0, tol=0
    )
    assert min(ours.history) <= theirs.fun + 0.02
    assert ours.history == sorted(ours.history, reverse=True)


def test_the_slope_points_to_better_places_than_chance():
    sites = [site(n, lead=45, logos=2) for n in range(4)]
    cost = {}
    for tried in (0, 4):
        settings = SearchSettings(logos=2, population=8, forwards=400, tried=tried, fade=False)
        cost[tried] = sum(f.forwards for f in search(sites, [MODEL], settings, RandomStreams.from_number(1)))
    assert cost[4] < cost[0]


def test_opacity_falls_as_far_as_the_wrong_class_still_wins():
    settings = SearchSettings(logos=1, population=8, forwards=100)
    faded, full = (
        search([site(1)], [MODEL], replace(settings, fade=fade), RandomStreams.from_number(0))[0]
        for fade in (True, False)
    )
    assert faded.ladder[0][0].opacity <= full.ladder[0][0].opacity
    assert faded.solved
    assert faded.margin < 0
    assert faded.ladder[1] == full.ladder[0]


def test_every_model_of_an_ensemble_has_to_be_wrong():
    def mirrored(planes):
        return quadrants(planes.flip(2).flip(3)).flip(1)

    def rows(planes):
        half = SIDE // 2
        lead = planes[:, :, :half].mean(dim=(1, 2, 3)) - planes[:, :, half:].mean(dim=(1, 2, 3))
        return torch.stack([-lead, lead], dim=1) * 10

    both = [MODEL, TargetModel("rows", rows, (SIDE, SIDE), 1, classes=NAMES)]
    protected = fitted([case(1)], targets=both, logos=3).protect(case(1))
    assert protected.record.parameters["misled_spots"] == 1
    plane = torch.from_numpy(protected.image[:, 0][np.newaxis] / np.float32(255))
    assert {quadrants(plane).argmax(1).item(), rows(plane).argmax(1).item()} == {0}


def test_marks_at_the_resolution_of_a_model_are_those_of_the_image():
    """A picture of twice the size: what the search scored is what the model sees of the written integers."""
    large = case(1)
    image = large.image.repeat(2, axis=2).repeat(2, axis=3)
    large = replace(large, image=image, segments=())
    method = fitted([large])
    protected = method.protect(large)
    found = next(iter(method._found.values()))
    planes = torch.from_numpy(protected.image[:, 0][np.newaxis] / np.float32(255))
    logits = MODEL(planes)[0]
    assert found.margin == pytest.approx(float(logits[1] - logits[0]), abs=0.1)


def test_a_volume_is_scored_as_a_whole_and_says_how_many_slices_share_a_place():
    one = case(1, depth=4, modality="MR", lead=1)
    protected = fitted([one], placement="volume").protect(one)
    assert protected.record.parameters["spots"] == 1
    window = protected.record.window
    planes = (np.clip(protected.image[0], *window) - window[0]) / (window[1] - window[0])
    assert quadrants(torch.from_numpy(planes[:, np.newaxis].astype(np.float32))).mean(dim=0).argmax() == 0


def test_a_model_that_guesses_is_warned_of():
    def bright(planes):
        return torch.tensor([[0.0, 1.0]]) + 0 * planes.mean(dim=(1, 2, 3))[:, None]

    constant = TargetModel("constant", bright, (SIDE, SIDE), 1, classes=NAMES)
    protected = fitted([case(n) for n in range(4)], targets=[constant]).protect(case(0))
    assert any("that it fails says little" in text for text in protected.record.warnings)
    assert protected.record.parameters["wrong_before"] == 1


def test_where_no_lesion_is_known_the_model_is_asked():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3))
    one = case(1, segments=False)
    one.image[0, 0, 30:38, 6:14] = 250
    network.requires_grad_(True)
    conv = TargetModel("conv", network, (SIDE, SIDE), 1, classes=NAMES, module=network)
    protected = fitted([one], targets=[conv]).protect(one)
    assert any("Grad-CAM" in text for text in protected.record.warnings)
    assert np.array_equal(protected.image[0, 0, 30:38, 6:14], one.image[0, 0, 30:38, 6:14])


def test_without_a_model_and_without_labels_there_is_nothing_to_mislead():
    with pytest.raises(Refused, match="--model"):
        fitted([replace(case(0), classes=None)], targets=[])


class _Interrupted(Exception):
    pass


class _Kept(Workspace):
    """Forgets to go on after so many times of keeping."""

    def __init__(self, state=None, keeps=10**9):
        super().__init__(Progress(), "cpu")
        self._kept = state
        self.left = keeps

    def keep(self, state):
        super().keep(State.from_json(json.loads(json.dumps(state.to_json()))))
        self.left -= 1
        if not self.left:
            raise _Interrupted


def test_targets_are_trained_on_the_spot_and_a_killed_run_ends_with_the_same_bytes(monkeypatch):
    monkeypatch.setattr(pool, "TRAINED_SIZE", (32, 32))
    monkeypatch.setattr(pool, "TrainingSettings", lambda architecture=None, **saved: TrainingSettings(
        **(saved or {"architecture": architecture, "width": 4, "epochs": 3, "batch_size": 4})))  # fmt: skip
    cases = CasesInMemory(tuple(case(n, lead=60) for n in range(10)))
    whole = locker(targets=())
    whole.fit(cases, _Kept())
    assert set(whole.pool.accuracy) == {"residual", "plain"}
    expected = whole.state()
    state, restarts = None, 0
    while True:
        workspace = _Kept(state, keeps=2)
        method = locker(targets=())
        try:
            method.fit(cases, workspace)
            break
        except _Interrupted:
            state, restarts = workspace.kept(), restarts + 1
    assert restarts >= 3
    found = method.state()
    assert found.header == expected.header
    assert found.arrays.keys() == expected.arrays.keys()
    assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())
    image = MedLocker.from_state(found).protect(cases.load("case3")).image
    assert np.array_equal(image, whole.protect(cases.load("case3")).image)
