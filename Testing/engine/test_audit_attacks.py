"""The attack test of the Audit: a carrier protects, noise that knows no label does not, blur undoes the carrier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.audit import attacks as audit_attacks
from MedUnlearnableLib.engine.audit.attacks import Attacks, ConditionResults, KeptInMemory
from MedUnlearnableLib.engine.audit.budget import SEEDS, Effort, fits, parse_budget, rows
from MedUnlearnableLib.engine.audit.cells import Cell, CellResult, Pretrained, Training
from MedUnlearnableLib.engine.audit.cohort import Samples, assemble, slices_of, volume_of
from MedUnlearnableLib.engine.audit.conditions import (
    ARMS,
    CLEAN,
    LABEL_FREE,
    PROTECTED,
    Condition,
    class_conditions,
    segmentation_conditions,
)
from MedUnlearnableLib.engine.audit.summary import summarize
from MedUnlearnableLib.engine.audit.verdict import (
    FAILS,
    FEWEST_TEST_CASES,
    HOLDS,
    UNKNOWN,
    WEAKENED,
    judge,
    reservations,
    share_of_clean,
)
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Classes, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, MedUnlearnableError, UsageError
from MedUnlearnableLib.engine.networks import seeded_network
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.salm import SALM, SALMParams
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.window import IntensityWindow
from scipy import ndimage

SIDE = 32
PLAIN, BLUR = Condition("training from scratch", "plain"), Condition("blur", "plain", "blur0.8")
LEARNING = Training(steps=120, width=4, batch_size=8, device="cpu", curve_points=2, learning_rate=1e-2)
QUICK = Effort(True, 0.4, most_steps=8, width=2, images=100, side=32, volumes=9, volume_side=16)


def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def faint_disc(number):
    """A disc brighter than the smooth texture around it by less than its deviation, as a case of two slices."""
    random = np.random.default_rng(number)
    row, column = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((2, SIDE, SIDE), np.int64)
    texture = ndimage.gaussian_filter(random.normal(size=labels.shape), [0, 1.5, 1.5])
    for label in labels:
        y, x, radius = random.uniform((8, 8, 4), (24, 24, 7))
        label[(row - y) ** 2 + (column - x) ** 2 < radius**2] = 1
    return (110 + 25 * texture / texture.std() + 22 * labels).astype(np.float32)[:, None], labels


def with_carrier(images, labels, levels=20):
    """A checkerboard under the label and around it."""
    mask = ndimage.binary_dilation(labels > 0, np.ones((1, 5, 5)))[:, None]
    return images + np.float32(levels) * (1 - 2 * (np.indices((SIDE, SIDE)).sum(0) % 2)) * mask


def cohort_of(protect, cases=50):
    slices = []
    for number in range(cases):
        images, labels = faint_disc(number)
        slices.append(Samples(f"case {number:02}", images, protect(images, labels), labels))
    return assemble(slices, random())


@pytest.fixture(scope="module")
def carrier_cohort():
    return cohort_of(with_carrier)


@pytest.fixture(scope="module")
def results(carrier_cohort):
    """Both conditions with one seed."""
    found = {}
    for condition in (PLAIN, BLUR):
        found[condition.name] = ConditionResults(condition)
        for arm in ARMS:
            result = Cell(condition, arm, 0).run(carrier_cohort, LEARNING, None, Progress())
            found[condition.name].by_arm[arm].append(result)
    return found


def test_positive_control_a_carrier_protects_against_training_from_scratch(results):
    verdict = judge(results[PLAIN.name], 0.0, 0.2, random())
    assert verdict.scores[CLEAN] > 0.75
    assert verdict.scores[PROTECTED] < 0.3
    assert verdict.word == HOLDS, verdict


def test_negative_control_the_same_noise_without_labels_costs_little(results):
    verdict = judge(results[PLAIN.name], 0.0, 0.2, random())
    assert verdict.scores[LABEL_FREE] > 0.7 * verdict.scores[CLEAN]


def test_blur_undoes_the_carrier(results):
    verdict = judge(results[BLUR.name], 0.0, 0.2, random())
    assert verdict.scores[PROTECTED] > 0.8 * verdict.scores[CLEAN]
    assert verdict.word in (FAILS, WEAKENED), verdict


def test_label_free_noise_is_not_called_protection(results):
    """Protection that is nothing but noise in random places: its own control row stands in for it."""
    plain = results[PLAIN.name]
    unlearned = {**plain.by_arm, PROTECTED: plain.by_arm[LABEL_FREE]}
    assert judge(ConditionResults(PLAIN, unlearned), 0.0, 0.2, random()).word == FAILS


def test_the_control_has_the_noise_of_another_case_in_another_place(carrier_cohort):
    own = carrier_cohort.protected - carrier_cohort.clean
    moved = carrier_cohort.label_free - carrier_cohort.clean
    assert np.abs(moved).mean() == pytest.approx(np.abs(own).mean(), rel=0.15)
    same_place = [np.corrcoef(np.abs(a).ravel(), np.abs(b).ravel())[0, 1] for a, b in zip(own, moved) if a.any()]
    assert np.mean(same_place) < 0.1
    for image, clean in zip(carrier_cohort.label_free, carrier_cohort.clean):
        assert clean.min() <= image.min() and image.max() <= clean.max()


def test_classes_are_attacked_alike():
    """Stripes of the class on top of noise: two steps are enough to see that all parts fit together."""
    slices = []
    for number in range(40):
        images = np.random.default_rng(number).normal(100, 20, (2, 1, 16, 16)).astype(np.float32)
        stripes = 40 * (np.indices((16, 16))[number % 2] % 2)
        slices.append(Samples(str(number), images, images + np.float32(1) * stripes, np.full(2, number % 2)))
    cohort = assemble(slices, random())
    result = Cell(class_conditions(False)[0], PROTECTED, 0).run(cohort, replace(LEARNING, steps=2), None, Progress())
    (regularized,) = [condition for condition in class_conditions(False) if condition.regularized]
    assert (
        Cell(regularized, PROTECTED, 0).run(cohort, replace(LEARNING, steps=2), None, Progress()).curve != result.curve
    )
    assert len(result.score_by_case) == cohort.test_cases
    assert np.mean(result.score_by_case) == pytest.approx(result.score)
    assert cohort.floor == 0.5


def textures(several):
    """Cases of one smooth texture each, which has faint blobs in every second one."""
    random = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(random.normal(size=(200, 16, 16)), [0, 3, 3])
    blobs = ndimage.gaussian_filter((random.random((200, 16, 16)) < 0.04).astype(float), [0, 1, 1])
    cases = []
    for number, image in enumerate(
        110 + 25 * texture / texture.std() + 180 * blobs * (np.arange(200) % 2)[:, None, None]
    ):
        classes = Classes(("plain", "blobs"), ((number % 2,),), several)
        pixels = image.clip(1, 254).astype(np.uint8)[np.newaxis, np.newaxis]
        cases.append(Case(f"{number:03}", pixels, Geometry.of_spacing((1, 1, 1)), classes=classes))
    return tuple(cases)


@pytest.mark.parametrize("several", [False, True])
def test_positive_control_salm_protects_in_the_cells_of_an_audit(several):
    """From case to score through all an audit does: when it says that SALM fails, the fault is not its own."""
    cases = textures(several)
    method = SALM(SALMParams("instant", epsilon=16 / 255, share=1.0), RandomStreams.from_number(1))
    method.fit(CasesInMemory(cases))
    window = (IntensityWindow(0.0, 255.0, None),)
    samples = [slices_of(c, replace(c, image=method.protect(c).image), window, most=1, side=16) for c in cases]
    cohort, condition = assemble(samples, random()), class_conditions(False)[0]
    training = replace(LEARNING, steps=80, width=6, batch_size=16)
    found = {arm: Cell(condition, arm, 0).run(cohort, training, None, Progress()) for arm in ARMS}
    assert min(found[CLEAN].score, found[LABEL_FREE].score, found[PROTECTED].train_score) > 0.8
    assert found[PROTECTED].score < 0.65


def test_volumes_are_attacked_as_volumes_and_each_label_has_its_score():
    """Two labels; a few steps are enough to see that all parts fit together."""
    cases = []
    for number in range(12):
        images, labels = faint_disc(number)
        image, label = np.repeat(images[:1, 0], 8, 0)[np.newaxis], np.repeat(labels[:1], 8, 0)
        label[4:] *= 2
        cases.append(Case(f"{number:02}", image, Geometry.of_spacing((1, 1, 1)), (label,)))
    window = (IntensityWindow(0.0, 255.0, None),)
    volumes = assemble([volume_of(case, case, window, side=16) for case in cases], random())
    cohort = assemble([slices_of(case, case, window, most=4, side=32) for case in cases], random(), volumes)
    of_volumes = Condition("a network for volumes", "plain", volumes=True)
    two_steps = replace(LEARNING, steps=2, width=2, batch_size=2)
    for condition, shape in ((PLAIN, (32, 1, 32, 32)), (of_volumes, (8, 1, 8, 16, 16))):
        cell = Cell(condition, PROTECTED, 0)
        assert cell.trained_on(cohort.shown_to(condition)).shape == shape
        result = cell.run(cohort, two_steps, None, Progress())
        assert list(result.score_by_label) == ["1", "2"]
        assert len(result.cases) == 4
    assert Cell(PLAIN, CLEAN, 0).key(cohort, two_steps, None) != Cell(of_volumes, CLEAN, 0).key(cohort, two_steps, None)


def test_volumes_of_a_class_are_attacked_as_volumes():
    window, cases = (IntensityWindow(0.0, 255.0, None),), []
    for number in range(20):
        image = np.random.default_rng(number).integers(0, 255, (1, 8, 12, 12)).astype(np.uint8)
        classes = Classes(("x", "y"), ((number % 2,),))
        cases.append(Case(f"{number:02}", image, Geometry.of_spacing((1, 1, 1)), classes=classes))
    volumes = assemble([volume_of(case, case, window, side=12) for case in cases], random())
    cohort = assemble([slices_of(case, case, window, most=2, side=12) for case in cases], random(), volumes)
    (condition,) = [condition for condition in class_conditions(False, True) if condition.volumes]
    result = Cell(condition, PROTECTED, 0).run(cohort, replace(LEARNING, steps=2, width=2), None, Progress())
    assert len(result.cases) == volumes.test.sum() == 6


# Which rows there are


def test_a_budget_is_a_number_with_a_unit():
    assert (parse_budget("90s"), parse_budget("10m"), parse_budget(" 1.5h")) == (90, 600, 5400)
    for text in ("10", "m", "-3m", "0m", "ten minutes", "1d"):
        with pytest.raises(UsageError, match="--budget"):
            parse_budget(text)


def test_ten_minutes_are_small_attackers_of_at_most_forty_seconds():
    effort = Effort.of(600)
    assert effort.small and effort.fit_seconds == 40
    assert not Effort.of(3600).small
    assert effort.steps(seconds_a_step=0.1, other_seconds=5) == 350
    assert effort.steps(seconds_a_step=1e-4, other_seconds=0) == effort.most_steps
    assert effort.steps(seconds_a_step=100, other_seconds=0) == effort.steps(seconds_a_step=1, other_seconds=99) == 0


def test_the_most_informative_rows_come_first():
    conditions = segmentation_conditions(pretrained=False)
    order = list(rows(conditions, small=True))
    assert order[0].condition.name == "training from scratch"
    assert {row.seed for row in order[: len(conditions)]} == {0}
    large = list(rows(conditions, small=False))
    core, rest = conditions[:3], conditions[3:]
    assert [(row.condition, row.seed) for row in large[:9]] == [(c, s) for s in range(SEEDS) for c in core]
    assert [(row.condition, row.seed) for row in large[9 : 9 + len(rest)]] == [(c, 0) for c in rest]
    assert sorted(map(str, order)) == sorted(map(str, large))


def test_every_condition_is_there_once_and_pretrained_starts_only_with_weights():
    for made in (segmentation_conditions, class_conditions):
        names = [condition.name for condition in made(False)]
        assert len(set(names)) == len(names)
        assert set(names) ^ {condition.name for condition in made(True)} == {"a pretrained start"}
        assert set(names) ^ {condition.name for condition in made(False, True)} == {"a network for volumes"}
        for wanted in ("narrow intensity window", "wide intensity", "z-score", "6 bits", "adversarial", "25 %", "50 %"):
            assert any(wanted in name for name in names), wanted


def test_a_row_is_begun_when_half_of_it_fits():
    assert fits(100, 50) and not fits(100, 49)
    assert fits(0, -10)  # what a resumed run has already


class FakeCells:
    """Stands in for training: every cell takes 40 s, and nothing is trained."""

    def __init__(self, monkeypatch, seconds=40.0):
        self.run_keys = []
        self.widths = []

        def run(cell, cohort, training, pretrained, progress):
            if cell.condition.architecture == "unheard of":
                raise UsageError("unknown architecture")
            self.widths.append(training.width)
            for step in range(training.steps + 1):
                progress.step("attack", step, training.steps)
            self.run_keys.append((cell.condition.name, cell.arm, cell.seed, training.steps))
            probe = training.curve_points == 1
            return result_of(cell.arm, [0.5] * 4, seed=cell.seed, seconds=1.0 if probe else seconds)

        monkeypatch.setattr(Cell, "run", run)


def result_of(arm, scores, seed=0, train_score=0.9, seconds=40.0):
    cases = [str(number) for number in range(len(scores))]
    return CellResult(arm, seed, 100, float(np.nanmean(scores)), train_score, cases, list(scores), [], seconds)


def test_a_ten_minute_budget_is_used_and_little_more(monkeypatch, carrier_cohort):
    fake = FakeCells(monkeypatch)
    attacks = Attacks(carrier_cohort, segmentation_conditions(False), Effort.of(600), KeptInMemory())
    attacks.run(600, spent_seconds=20)
    trained = [key for key in fake.run_keys if key[3] > 12]  # the others were to see the pace
    assert 460 <= 40 * len(trained) + 20 <= 700
    done = [name for name, result in attacks.results.items() if result.seeds]
    assert done[0] == "training from scratch"
    assert len(attacks.left_out) == len(attacks.results) - len(done) > 0
    for name in done:
        assert {key[1] for key in trained if key[0] == name} <= set(ARMS)
        assert all(len(cells) == 1 for cells in attacks.results[name].by_arm.values())


def test_attackers_are_narrower_where_few_steps_would_fit(monkeypatch, carrier_cohort):
    """The pace of a wide network is set here; which width it leads to must survive a restart."""
    fake = FakeCells(monkeypatch)
    for seconds_at_full_width, width in ((0.1, 16), (0.4, 8)):
        monkeypatch.setattr(
            audit_attacks._StepClock,
            "seconds_a_step",
            property(lambda self, s=seconds_at_full_width: s * fake.widths[-1] / 16),
        )
        kept = KeptInMemory()
        for _ in range(2):
            attacks = Attacks(carrier_cohort, (PLAIN,), Effort.of(3600), kept)
            attacks.run(3600)
            assert (attacks.width, fake.widths[-1]) == (width, width)


def test_attackers_of_hardly_any_steps_are_named_but_not_run(monkeypatch, carrier_cohort):
    """Before, they cost many times their share of the budget and could not do the task."""
    fake = FakeCells(monkeypatch)
    monkeypatch.setattr(audit_attacks._StepClock, "seconds_a_step", property(lambda self: 5.0))
    attacks = Attacks(carrier_cohort, (PLAIN, BLUR), Effort.of(3600), KeptInMemory())
    attacks.run(3600)
    assert attacks.results["blur"].problem.startswith("this attacker is too slow here: 14 training steps fit")
    assert attacks.results["blur"].problem in judge(attacks.results["blur"], 0.0, 0.2, random()).reason
    usual = {steps for name, _, _, steps in fake.run_keys if name == PLAIN.name}
    assert usual == {1, 12, 40}


def test_a_resumed_run_has_all_seeds_of_a_slow_usual_attacker(monkeypatch, carrier_cohort):
    """What is kept needs no time, also where the attacker took more steps than fitted."""
    fake, kept = FakeCells(monkeypatch), KeptInMemory()
    monkeypatch.setattr(audit_attacks._StepClock, "seconds_a_step", property(lambda self: 5.0))
    for seconds in (SEEDS * len(ARMS) * 40, 60):
        attacks = Attacks(carrier_cohort, (PLAIN,), Effort.of(3600), kept)
        attacks.run(seconds)
        assert attacks.results[PLAIN.name].seeds == SEEDS
    assert len([key for key in fake.run_keys if key[3] == 40]) == SEEDS * len(ARMS)


def test_a_pretrained_start_has_the_width_of_its_weights(monkeypatch, carrier_cohort):
    fake = FakeCells(monkeypatch)
    weights = Pretrained(seeded_network(0, "unet", 1, 2, (32, 32), 5).state_dict(), "digest")
    pretrained = Condition("a pretrained start", "plain", pretrained=True)
    Attacks(carrier_cohort, (PLAIN, pretrained), Effort.of(600), KeptInMemory(), pretrained=weights).run(600)
    assert {8, 5} == set(fake.widths)


def test_the_first_row_is_run_in_any_time(monkeypatch, carrier_cohort):
    FakeCells(monkeypatch)
    attacks = Attacks(carrier_cohort, segmentation_conditions(False), Effort.of(10), KeptInMemory())
    attacks.run(10)
    assert [name for name, result in attacks.results.items() if result.seeds] == ["training from scratch"]


def test_a_resumed_run_trains_nothing_twice_and_counts_its_seconds(monkeypatch, carrier_cohort):
    fake, kept = FakeCells(monkeypatch), KeptInMemory()
    for _ in range(2):
        attacks = Attacks(carrier_cohort, segmentation_conditions(False), Effort.of(600), kept)
        attacks.run(600)
    assert len(set(fake.run_keys)) == len(fake.run_keys)
    longer = Attacks(carrier_cohort, segmentation_conditions(False), Effort.of(600), kept)
    longer.run(1200)
    assert len(longer.left_out) < len(attacks.left_out)
    assert len(set(fake.run_keys)) == len(fake.run_keys)


def test_an_attacker_shares_its_clean_row_with_the_shares_of_clean_cases(carrier_cohort):
    quarter = Condition("25 % clean cases", "plain", clean_share=0.25)
    keys = [Cell(c, arm, 0).key(carrier_cohort, LEARNING, None) for c in (PLAIN, quarter) for arm in ARMS]
    assert len(set(keys)) == 5
    weights = Pretrained({}, "digest")
    pretrained = Condition("a pretrained start", "plain", pretrained=True)
    assert Cell(PLAIN, CLEAN, 0).key(carrier_cohort, LEARNING, weights) == keys[1]
    assert Cell(pretrained, CLEAN, 0).key(carrier_cohort, LEARNING, weights) != keys[1]


def test_other_data_have_other_keys(carrier_cohort):
    weaker = replace(carrier_cohort, protected=carrier_cohort.clean)
    cell = Cell(PLAIN, PROTECTED, 0)
    assert cell.key(carrier_cohort, LEARNING, None) != cell.key(weaker, LEARNING, None)


def test_a_condition_that_cannot_be_run_is_named_and_the_others_go_on(monkeypatch, carrier_cohort):
    FakeCells(monkeypatch)
    broken = Condition("a broken one", "plain", architecture="unheard of")
    attacks = Attacks(carrier_cohort, (PLAIN, broken, BLUR), Effort.of(600), KeptInMemory())
    attacks.run(600)
    assert "unknown architecture" in attacks.results["a broken one"].problem
    assert attacks.results["blur"].seeds
    verdict = judge(attacks.results["a broken one"], 0.0, 0.2, random())
    assert (verdict.word, verdict.seeds) == (UNKNOWN, 0)
    with pytest.raises(MedUnlearnableError, match="unknown architecture"):
        Attacks(carrier_cohort, (broken, PLAIN), QUICK, KeptInMemory()).run(30)


def test_cancelling_stops_in_the_middle_of_a_cell(carrier_cohort):
    class StopAtThree(Progress):
        def step(self, stage, done, total):
            if done == 3:
                raise Cancelled

    with pytest.raises(Cancelled):
        Attacks(carrier_cohort, (PLAIN,), QUICK, KeptInMemory(), progress=StopAtThree()).run(30)


# What may be concluded


def verdict_of(clean, protected, label_free, seeds=3, cases=200, spread=0.02, train=0.9, floor=0.0, trivial=0.2):
    """A verdict on simulated scores."""
    draw = random()
    difficulty = draw.normal(0, 0.05, cases)  # the same for all arms: cases are paired
    results = ConditionResults(PLAIN)
    for arm, mean in ((CLEAN, clean), (PROTECTED, protected), (LABEL_FREE, label_free)):
        for seed in range(seeds):
            scores = mean + difficulty + draw.normal(0, spread, cases)
            learned = train if arm == PROTECTED else 0.9
            results.by_arm[arm].append(result_of(arm, scores, seed, train_score=learned))
    return judge(results, floor, trivial, random())


@pytest.mark.parametrize(
    ("clean", "protected", "label_free", "word"),
    [
        (0.8, 0.1, 0.79, HOLDS),
        (0.8, 0.6, 0.79, WEAKENED),
        (0.8, 0.79, 0.8, FAILS),
        (0.8, 0.9, 0.8, FAILS),
        (0.8, 0.3, 0.5, WEAKENED),  # the control explains a good part of the loss
        (0.8, 0.1, 0.2, UNKNOWN),  # the control alone spoils the attacker
        (0.25, 0.0, 0.25, UNKNOWN),  # hardly better than a trivial answer on clean data
    ],
)
def test_the_word_follows_what_labels_cost_beyond_the_control(clean, protected, label_free, word):
    assert verdict_of(clean, protected, label_free).word == word


def test_an_attacker_that_did_not_learn_its_own_images_proves_nothing():
    verdict = verdict_of(0.8, 0.1, 0.8, train=0.2)
    assert verdict.word == UNKNOWN
    assert "did not learn its own training images" in verdict.reason


def test_a_wide_interval_never_reads_as_protection():
    assert verdict_of(0.8, 0.36, 0.8, cases=200).word == HOLDS
    assert verdict_of(0.8, 0.36, 0.8, cases=5, spread=0.3, seeds=1).word != HOLDS


def test_accuracy_is_counted_above_chance():
    assert verdict_of(0.9, 0.5, 0.9, floor=0.5, trivial=0.5).lost.mean == pytest.approx(1.0, abs=0.03)
    assert verdict_of(0.9, 0.7, 0.9, floor=0.5, trivial=0.5).lost.mean == pytest.approx(0.5, abs=0.03)


def test_a_missing_row_is_no_verdict():
    results = ConditionResults(PLAIN)
    results.by_arm[CLEAN].append(result_of(CLEAN, [0.8] * 30))
    results.by_arm[PROTECTED].append(result_of(PROTECTED, [0.0] * 30))
    assert judge(results, 0.0, 0.2, random()).word == UNKNOWN


def test_cases_without_a_score_are_left_out_of_every_arm():
    results = ConditionResults(PLAIN)
    for arm, scores in ((CLEAN, [0.8] * 20), (PROTECTED, [0.1] * 20), (LABEL_FREE, [0.8] * 20)):
        results.by_arm[arm].append(result_of(arm, [*scores, np.nan]))
    verdict = judge(results, 0.0, 0.2, random())
    assert verdict.word == HOLDS
    assert verdict.lost.mean == pytest.approx(0.875)


def test_few_seeds_few_cases_slabs_and_small_attackers_are_indicative_only():
    full = verdict_of(0.8, 0.1, 0.8, cases=FEWEST_TEST_CASES)
    assert reservations(full, by_case=True, small=False) == []
    assert full.wording == HOLDS
    for changes, words in (
        ({"small": True}, "small"),
        ({"usual": verdict_of(0.8, 0.1, 0.8, cases=FEWEST_TEST_CASES - 1)}, f"{FEWEST_TEST_CASES - 1} test cases"),
        ({"by_case": False}, "same volumes"),
        ({"usual": verdict_of(0.8, 0.1, 0.8, seeds=2)}, "2 of 3 seeds"),
    ):
        (reason,) = reservations(**{"usual": full, "by_case": True, "small": False, **changes})
        assert words in reason


def test_a_verdict_by_one_seed_is_indicative_beside_others_that_are_more():
    full, single = verdict_of(0.8, 0.1, 0.8), replace(verdict_of(0.8, 0.1, 0.8, seeds=1), condition="blur")
    summary = summarize([full, single], reservations(full, by_case=True, small=False), [])
    assert (single.wording, summary.few, summary.indicative_only) == ("holds (indicative)", ["blur"], False)


@pytest.mark.parametrize("cases", [20, 80])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(cases):
    """Simulated cohorts of paired, skewed scores with a known mean: 95 % intervals, 400 of them."""
    draw, covered = random(), 0
    truth = (0.8 - 0.3) / 0.8
    for _ in range(400):
        difficulty = draw.beta(8, 2, cases) - 0.8
        clean = 0.8 + difficulty
        protected = 0.3 + 0.5 * difficulty + draw.normal(0, 0.1, cases)
        interval = share_of_clean(clean, protected, clean, 0.0, draw)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 400 <= 0.98


def test_a_result_survives_json():
    result = replace(result_of(CLEAN, [0.5, np.nan]), curve=[(4, 1.0, 0.3)], score_by_label={"1": 0.5})
    back = CellResult.from_json(result.to_json())
    assert (back.curve, back.score_by_label) == (result.curve, result.score_by_label)
    assert np.array_equal(back.score_by_case, result.score_by_case, equal_nan=True)
