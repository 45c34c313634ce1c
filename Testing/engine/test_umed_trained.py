"""UMed, trained profiles: budget and masks, seams, the same bytes after a resume, states, and whether it protects."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.attack import AttackData, AttackSettings, attack
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams, examiner, joint_training, noise
from MedUnlearnableLib.engine.umed.examiner import Examiner
from MedUnlearnableLib.engine.umed.recipes import RECIPES
from scipy import ndimage

torch = pytest.importorskip("torch")

MILLIMETER = Geometry.of_spacing((1, 1, 1))
COUNT = 16  # the smallest cohort


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(number, side=32, channels=1, dtype=np.uint8):
    """A faint disc, label 1, and beside it a square, label 2, on a smooth texture."""
    random = np.random.default_rng(number)
    row, column = np.mgrid[:side, :side]
    y, x = random.uniform(9, side - 9, 2)
    label = ((row - y) ** 2 + (column - x) ** 2 < 25).astype(np.uint8)
    label[2:6, 2:6] = 2
    texture = ndimage.gaussian_filter(random.normal(size=(channels, side, side)), (0, 1.5, 1.5))
    image = 120 + 25 * texture / texture.std() + 18 * (label > 0)
    return Case(f"p{number}", image[:, None].astype(dtype), MILLIMETER, (label[None],), modality="picture")


def volume(number, shape=(20, 24, 28), dtype=np.int16):
    random = np.random.default_rng(number)
    image = ndimage.gaussian_filter(random.normal(size=shape), 1)
    label = np.zeros(shape, np.uint8)
    label[5:14, 6:15, 8:18] = 1
    values = 500 + 100 * image / image.std() + 60 * label
    return Case(f"v{number}", values[None].astype(dtype), MILLIMETER, (label,), modality="MR")


def fitted(cases, workspace=None, **params):
    params = {"profile": "standard", "width": 2, "iterations": 3, **params}
    method = UMed(UMedParams(**params), RandomStreams.from_number(5))
    method.fit(CasesInMemory(tuple(cases)), workspace or on_cpu())
    return method


def on_cpu(progress=None):
    return Workspace(progress, "cpu")


@pytest.fixture(scope="module")
def pictures():
    return [picture(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def volumes():
    return [volume(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def of_pictures(pictures):
    return fitted(pictures)


@pytest.fixture(scope="module")
def of_volumes(volumes):
    return fitted(volumes)


def region(case):
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    return np.logical_or(*contour_and_interior(case.segments, radius))


@given(
    number=st.integers(100, 200),
    side=st.integers(24, 70),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
    epsilon=st.sampled_from([5, 8, 12.5]),
)
@settings(max_examples=20, deadline=None)
def test_only_the_region_changes_and_never_beyond_the_budget(of_pictures, number, side, dtype, epsilon):
    case = picture(number, side, dtype=dtype)
    method = UMed.from_state(of_pictures.state(), epsilon=epsilon / 255)
    protected = method.protect(case, on_cpu())
    difference = protected.image.astype(np.float64) - case.image
    assert protected.image.dtype == case.image.dtype
    assert not difference[:, ~region(case)].any()
    assert 0 < np.abs(difference).max() <= protected.record.budget
    around = difference[:, region(case) & (case.segments[0] == 0)]
    assert 0 < np.abs(around).max() <= epsilon / 2 + 0.5  # half the budget, on the grid


def test_volumes_are_perturbed_as_volumes_and_never_beyond_the_budget(volumes, of_volumes):
    case = volumes[3]
    protected = of_volumes.protect(case, on_cpu())
    difference = protected.image.astype(int) - case.image
    assert of_volumes.state().header["trained"]["ports"]["dimensions"] == 3
    assert not difference[:, ~region(case)].any()
    assert 0 < np.abs(difference).max() <= protected.record.budget


@pytest.mark.parametrize("profile", ["standard", "paper"])
def test_tiles_leave_no_seam(pictures, profile, monkeypatch):
    method = fitted(pictures, profile=profile)
    large = picture(7, side=90)
    large = replace(large, segments=(np.ones((1, 90, 90), np.uint8) + (large.segments[0] == 1),))
    whole = method.protect(large, on_cpu()).image
    monkeypatch.setitem(noise._TILE_SIDE, 2, 16)
    assert np.array_equal(method.protect(large, on_cpu()).image, whole)


def test_tiles_of_volumes_leave_no_seam(of_volumes, monkeypatch):
    case = volume(30, (18, 22, 96))
    case = replace(case, segments=(np.ones(case.shape_kji, np.uint8),))
    whole = of_volumes.protect(case, on_cpu()).image
    monkeypatch.setitem(noise._TILE_SIDE, 3, 32)
    assert np.array_equal(of_volumes.protect(case, on_cpu()).image, whole)


def test_the_seed_decides_every_byte(pictures, of_pictures):
    again = fitted(pictures)
    assert weights(again) == weights(of_pictures)
    assert np.array_equal(*(m.protect(pictures[0], on_cpu()).image for m in (again, of_pictures)))


class StopsAt(Progress):
    """The user cancels a training at this iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def step(self, stage, done, total):
        if stage == "train" and done == self.iteration:
            raise Cancelled


@pytest.mark.parametrize("profile", ["standard", "paper"])
def test_a_stopped_training_ends_with_the_same_bytes(pictures, profile, monkeypatch):
    straight = fitted(pictures, profile=profile, iterations=9)
    monkeypatch.setattr(joint_training, "_KEEP_EVERY_SECONDS", -1)
    workspace = on_cpu()
    for stop in (2, 3, 7):
        workspace.progress = StopsAt(stop)
        with pytest.raises(Cancelled):
            fitted(pictures, workspace, profile=profile, iterations=9)
        workspace.keep(State.from_json(json.loads(json.dumps(workspace.kept().to_json()))))
    workspace.progress = Progress()
    assert weights(fitted(pictures, workspace, profile=profile, iterations=9)) == weights(straight)


def test_a_fresh_surrogate_takes_over_and_is_resumed_too(pictures, monkeypatch):
    monkeypatch.setattr(joint_training, "_KEEP_EVERY_SECONDS", -1)
    monkeypatch.setitem(RECIPES, "standard", replace(RECIPES["standard"], surrogate_life=3))
    straight = fitted(pictures, iterations=8)
    workspace = on_cpu(StopsAt(4))
    with pytest.raises(Cancelled):
        fitted(pictures, workspace, iterations=8)
    workspace.progress = Progress()
    assert weights(fitted(pictures, workspace, iterations=8)) == weights(straight)


def weights(method):
    return {name: array.tobytes() for name, array in method.state().arrays.items()}


def test_a_state_protects_new_cases_without_training(of_pictures):
    new = picture(99, side=44)
    restored = UMed.from_state(State.from_json(json.loads(json.dumps(of_pictures.state().to_json()))))
    assert np.array_equal(restored.protect(new, on_cpu()).image, of_pictures.protect(new, on_cpu()).image)


def test_a_state_refuses_labels_and_channels_it_has_not_seen(of_pictures):
    case = picture(1)
    with pytest.raises(Refused, match="label 7"):
        of_pictures.protect(replace(case, segments=(np.where(case.segments[0] == 2, 7, 0),)), on_cpu())
    with pytest.raises(Refused, match="3 channels"):
        of_pictures.protect(picture(1, channels=3), on_cpu())


def test_color_pictures_have_noise_of_their_own_in_each_channel():
    cases = [picture(number, channels=3) for number in range(COUNT)]
    protected = fitted(cases, iterations=10).protect(cases[0], on_cpu())
    difference = protected.image.astype(int) - cases[0].image
    assert not np.array_equal(difference[0], difference[1])


def test_slices_across_any_axis_are_the_same_slices(pictures):
    """Thick slices stacked along i instead of k: transposed in, transposed out."""
    stacks = [stack_of([3 * number + k for k in range(3)]) for number in range(COUNT)]
    turned = [
        replace(
            case,
            image=np.moveaxis(case.image, 1, 3),
            segments=(np.moveaxis(case.segments[0], 0, 2),),
            geometry=Geometry.of_spacing((9, 1, 1)),
        )
        for case in stacks
    ]
    upright, lying = (fitted(cases).protect(cases[4], on_cpu()).image for cases in (stacks, turned))
    assert np.array_equal(np.moveaxis(lying, 3, 1), upright)


def stack_of(numbers):
    slices = [picture(number) for number in numbers]
    image = np.concatenate([case.image for case in slices], axis=1)
    labels = np.concatenate([case.segments[0] for case in slices])
    return Case("stack", image, Geometry.of_spacing((1, 1, 9)), (labels,), modality="MR")


def test_few_cases_are_refused_before_any_training(pictures):
    empty = replace(pictures[0], segments=(np.zeros((1, 32, 32), np.uint8),))
    with pytest.raises(Refused, match="15 cases with segments are too few"):
        fitted([*pictures[1:], empty])


def test_a_case_that_protect_refuses_does_not_stop_the_training(pictures):
    broken = replace(pictures[0], image=np.zeros((1, 1, 32, 32), np.float32), modality="MR")
    method = fitted([broken, *pictures[1:], picture(50)])
    assert method.protect(pictures[1], on_cpu()).record.state == "protected"


def test_protect_before_fit_is_wrong_usage(pictures):
    method = UMed(UMedParams(profile="standard"), RandomStreams.from_number(0))
    with pytest.raises(UsageError, match="fit"):
        method.protect(pictures[0], on_cpu())


class Listens(Progress):
    def __init__(self):
        self.steps, self.curves = [], {}

    def step(self, stage, done, total):
        self.steps.append((stage, done, total))

    def curve(self, name, step, value):
        self.curves.setdefault(name, {})[step] = value


def test_the_training_says_where_it_is(pictures):
    progress = Listens()
    fitted(pictures, on_cpu(progress))
    assert [step for step in progress.steps if step[0] == "train"] == [("train", n, 3) for n in range(4)]
    assert list(progress.curves) == ["loss"]
    assert list(progress.curves["loss"]) == [1, 2, 3]


# Held-out attackers, which say how good the noise is


@pytest.fixture
def examined(monkeypatch):
    """Noise is examined in every second iteration, by attackers of a few steps."""
    monkeypatch.setattr(examiner, "ITERATIONS", 12)
    monkeypatch.setitem(RECIPES, "standard", replace(RECIPES["standard"], examined_every=2))


def test_the_noise_that_held_out_attackers_learned_least_from_is_kept(pictures, examined, monkeypatch):
    progress = Listens()
    method = fitted(pictures, on_cpu(progress), iterations=8)
    scores = progress.curves["held-out DSC"]
    assert set(scores) <= {2, 4, 6, 8}
    monkeypatch.setitem(RECIPES, "standard", replace(RECIPES["standard"], examined_every=None))
    assert weights(method) == weights(fitted(pictures, iterations=min(scores, key=scores.get)))


def test_a_training_that_is_examined_is_resumed_with_the_same_bytes(pictures, examined, monkeypatch):
    monkeypatch.setattr(joint_training, "_KEEP_EVERY_SECONDS", -1)
    straight = fitted(pictures, iterations=8)
    workspace = on_cpu(StopsAt(5))
    with pytest.raises(Cancelled):
        fitted(pictures, workspace, iterations=8)
    workspace.progress = Progress()
    workspace.keep(State.from_json(json.loads(json.dumps(workspace.kept().to_json()))))
    assert weights(fitted(pictures, workspace, iterations=8)) == weights(straight)


def test_a_training_ends_when_the_noise_gets_no_better(pictures, examined, monkeypatch):
    monkeypatch.setattr(examiner, "_PATIENCE", 1)
    progress = Listens()
    fitted(pictures, on_cpu(progress), iterations=60)
    *before, last = progress.curves["held-out DSC"].values()
    assert 1 <= len(before) < 29
    assert last >= min(before)
    assert before == sorted(set(before), reverse=True)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), max_size=8))
def test_an_examiner_waits_for_three_scores_that_are_no_better(scores):
    judge = Examiner(every=1)
    for number, score in enumerate(scores):
        judge.note(score, {"weight": torch.tensor(number)})
    if scores:
        best = scores.index(min(scores))
        assert judge.best["weight"] == best
        assert judge.has_seen_enough == (len(scores) - 1 - best >= 3)


# Whether it protects: an attacker trained on protected pictures, tested on clean ones.

ATTACKER = AttackSettings(width=4, steps=160, batch_size=8, learning_rate=1e-2, curve_points=1)


def attacked(images, cases, tests):
    labels, test_labels = (np.stack([case.segments[0][0] for case in some]) for some in (cases, tests))
    data = AttackData(images, labels, np.stack([case.image[:, 0] for case in tests]), test_labels)
    return attack(data, ATTACKER).dsc


def disc(number):
    """The disc alone is labeled."""
    case = picture(number)
    return replace(case, segments=((case.segments[0] == 1).astype(np.uint8),))


def test_protection_works_and_the_same_noise_without_labels_does_not():
    cases, tests = ([disc(number) for number in numbers] for numbers in (range(64), range(900, 924)))
    method = fitted(cases, width=4, iterations=50, epsilon=24 / 255)
    elsewhere = [replace(case, segments=other.segments) for case, other in zip(cases, cases[1:] + cases[:1])]
    clean = np.stack([case.image[:, 0] for case in cases])
    protected, label_free = (
        np.stack([method.protect(case, on_cpu()).image[:, 0] for case in some]) for some in (cases, elsewhere)
    )
    on_clean = attacked(clean, cases, tests)
    assert attacked(protected, cases, tests) < 0.65 * on_clean
    assert attacked(label_free, cases, tests) > 0.75 * on_clean
