"""UMed, trained profiles: budget and masks, seams, the same bytes after a resume, states, and whether it protects."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine import masks
from MedUnlearnableLib.engine.attack import AttackData, AttackSettings, attack
from MedUnlearnableLib.engine.carrier import LAYOUTS
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius, local_deviation
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.team import Team
from MedUnlearnableLib.engine.umed import UMed, UMedParams, carrier_search, joint_training, noise
from MedUnlearnableLib.engine.umed.carrier_search import TRIALS, CarrierSearch
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
    return fitted(volumes, profile="paper")


@pytest.fixture(scope="module")
def generators(pictures):
    return fitted(pictures, profile="paper")


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
    assert of_volumes.state().header["generators"]["dimensions"] == 3
    assert not difference[:, ~region(case)].any()
    assert 0 < np.abs(difference).max() <= protected.record.budget


def test_tiles_leave_no_seam(generators, monkeypatch):
    large = picture(7, side=90)
    large = replace(large, segments=(np.ones((1, 90, 90), np.uint8) + (large.segments[0] == 1),))
    whole = generators.protect(large, on_cpu()).image
    monkeypatch.setitem(noise._TILE_SIDE, 2, 16)
    assert np.array_equal(generators.protect(large, on_cpu()).image, whole)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slabs_leave_no_seam(of_pictures, layout, monkeypatch):
    state = of_pictures.state()
    method = UMed.from_state(State({**state.header, "layout": layout}))
    case = volume(30)
    whole = method.protect(case, on_cpu()).image
    monkeypatch.setattr(masks, "_SLAB_VOXELS", 1)
    assert np.array_equal(method.protect(case, on_cpu()).image, whole)


def test_stripes_are_fainter_in_even_tissue(of_pictures):
    """Half of the budget where the tissue hides them, a quarter of that where it is even; the rest stays."""
    image = np.clip(np.random.default_rng(0).normal(0, 1, (64, 64)) * np.linspace(0, 50, 64) + 120, 20, 230)
    case = Case(
        "c", image[None, None].astype(np.uint8), MILLIMETER, (np.ones((1, 64, 64), np.uint8),), modality="picture"
    )
    state = of_pictures.state()
    method = UMed.from_state(State({**state.header, "layout": "columns"}), epsilon=16 / 255)
    change = np.abs(method.protect(case, on_cpu()).image.astype(int) - case.image)[0, 0]
    assert set(np.unique(change[:, :4])) == {6, 10}
    assert set(np.unique(change[:, -8:])) <= {*range(3), *range(14, 17)}
    deviation = local_deviation(case.image[0].astype(float), (0, 3, 3))[0]
    assert (change <= 8.5 + np.maximum(2, deviation / 4)).all()


def test_a_state_of_standard_protects_volumes_slice_by_slice_and_without_networks(of_pictures, volumes):
    protected = of_pictures.protect(volumes[0], on_cpu())
    assert not of_pictures.state().arrays
    difference = protected.image.astype(int) - volumes[0].image
    assert not difference[:, ~region(volumes[0])].any()
    assert 0 < np.abs(difference).max() <= protected.record.budget


def test_tiles_of_volumes_leave_no_seam(of_volumes, monkeypatch):
    case = volume(30, (18, 22, 96))
    case = replace(case, segments=(np.ones(case.shape_kji, np.uint8),))
    whole = of_volumes.protect(case, on_cpu()).image
    monkeypatch.setitem(noise._TILE_SIDE, 3, 32)
    assert np.array_equal(of_volumes.protect(case, on_cpu()).image, whole)


def test_the_seed_decides_every_byte(pictures, of_pictures):
    again = fitted(pictures)
    assert learned(again) == learned(of_pictures)
    assert np.array_equal(*(m.protect(pictures[0], on_cpu()).image for m in (again, of_pictures)))


def test_the_seed_decides_every_weight(pictures, generators):
    again = fitted(pictures, profile="paper")
    assert learned(again) == learned(generators)
    assert np.array_equal(*(m.protect(pictures[0], on_cpu()).image for m in (again, generators)))


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
    for stop in {"paper": (2, 3, 7), "standard": (11, 30, 50)}[profile]:
        workspace.progress = StopsAt(stop)
        with pytest.raises(Cancelled):
            fitted(pictures, workspace, profile=profile, iterations=9)
        workspace.keep(State.from_json(json.loads(json.dumps(workspace.kept().to_json()))))
    workspace.progress = Progress()
    resumed = fitted(pictures, workspace, profile=profile, iterations=9)
    assert learned(resumed) == learned(straight)
    assert np.array_equal(*(m.protect(pictures[0], on_cpu()).image for m in (resumed, straight)))


def learned(method):
    state = method.state()
    return state.header["layout"], {name: array.tobytes() for name, array in state.arrays.items()}


@pytest.mark.parametrize("profile", ["standard", "paper"])
def test_a_state_protects_new_cases_without_training(pictures, profile):
    method, new = fitted(pictures, profile=profile), picture(99, side=44)
    restored = UMed.from_state(State.from_json(json.loads(json.dumps(method.state().to_json()))))
    assert np.array_equal(restored.protect(new, on_cpu()).image, method.protect(new, on_cpu()).image)


def test_generators_refuse_channels_they_have_not_seen(generators):
    with pytest.raises(Refused, match="3 channels"):
        generators.protect(picture(1, channels=3), on_cpu())


def test_generators_give_each_channel_of_color_pictures_noise_of_its_own():
    cases = [picture(number, channels=3) for number in range(COUNT)]
    protected = fitted(cases, profile="paper", iterations=10).protect(cases[0], on_cpu())
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
    steps = [step for step in progress.steps if step[0] == "train"]
    assert {total for _, _, total in steps} == {3 * len(TRIALS)}
    assert sorted({done for _, done, _ in steps}) == list(range(3 * len(TRIALS) + 1))
    assert list(progress.curves) == [f"DSC left by {layout}" for layout in LAYOUTS]
    assert all(list(curve) == [0, 1, 2] for curve in progress.curves.values())
    progress = Listens()
    fitted(pictures, on_cpu(progress), profile="paper")
    assert [step for step in progress.steps if step[0] == "train"] == [("train", n, 3) for n in range(4)]
    assert list(progress.curves["loss"]) == [1, 2, 3]


# The attackers of `standard`, who choose the carrier


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=len(TRIALS), max_size=len(TRIALS)))
def test_the_layout_that_leaves_least_over_all_attackers_is_taken(scores):
    search = CarrierSearch(plan=None, epsilon=1, device="cpu")
    search.load(State({"scores": scores}))
    means = {}
    for (layout, _), score in zip(TRIALS, scores):
        means[layout] = means.get(layout, 0) + score
    assert search.is_over
    assert means[search.layout] == pytest.approx(min(means.values()))


@dataclass(frozen=True)
class Member(Team):
    """One of several processes, whose sums are worked out beforehand."""

    sums: list = field(default_factory=list)

    def add_up(self, tensors):
        for tensor, total in zip(tensors, self.sums.pop(0)):
            tensor.copy_(torch.tensor(total))


def test_a_team_shares_the_trials_and_ends_with_the_same_scores(pictures, monkeypatch):
    """Each of two members makes every second trial."""
    alone = on_cpu()
    fitted(pictures, alone)
    scores = alone.kept().header["scores"]
    tried = []
    monkeypatch.setattr(
        carrier_search, "trial", lambda samples, *trial: tried.append(TRIALS.index(trial[:2])) or scores[tried[-1]]
    )
    rounds = [[scores[first : first + 2] + [0.0] * (2 - len(scores[first : first + 2]))]
              for first in range(0, len(TRIALS), 2)]  # fmt: skip
    for rank in range(2):
        tried.clear()
        member = on_cpu()
        member.team = Member(rank, 2, list(rounds))
        method = fitted(pictures, member)
        assert tried == list(range(rank, len(TRIALS), 2))
        assert method.state().header["layout"] == fitted(pictures).state().header["layout"]


def grain(number, layout):
    """A faint disc in tissue whose grain is smoothed away where stripes of this layout alternate."""
    case = disc(number)
    random = np.random.default_rng(number)
    sigma = {"rows": (2.5, 0.4), "columns": (0.4, 2.5)}[layout]
    tissue = ndimage.gaussian_filter(random.normal(size=case.image.shape[-2:]), sigma)
    image = np.clip(120 + 30 * tissue / tissue.std() + 6 * case.segments[0][0], 0, 255)
    return replace(case, image=image[None, None].astype(np.uint8))


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_attackers_choose_stripes_across_which_the_tissue_is_quiet(layout):
    cases = [grain(number, layout) for number in range(64)]
    method = fitted(cases, width=4, iterations=60, epsilon=16 / 255)
    assert method.state().header["layout"] == layout


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
