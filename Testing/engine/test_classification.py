"""The attack test for classes: it tells protection from none, repeats itself, and says what it cannot do."""

import json
from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.classification import (
    ClassAttackData,
    ClassAttackSettings,
    attack_classes,
    compare_classifiers,
)
from MedUnlearnableLib.engine.classifiers import CLASSIFIERS, build_classifier, seeded_classifier
from MedUnlearnableLib.engine.errors import Cancelled, MedUnlearnableError, Refused, UsageError
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.scores import area_under_roc, balanced_credits
from scipy import ndimage

torch = pytest.importorskip("torch")

SIDE = 16
QUICK = ClassAttackSettings(width=2, steps=4, batch_size=8, curve_points=2)
LEARNING = ClassAttackSettings(width=6, steps=80, batch_size=16, learning_rate=1e-2, curve_points=2)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def faint_stripes(count, seed):
    """Smooth textures; class 1 also has bright blobs of 3 pixels."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, 2, count)
    texture = ndimage.gaussian_filter(random.normal(size=(count, SIDE, SIDE)), [0, 3, 3])
    blobs = ndimage.gaussian_filter((random.random((count, SIDE, SIDE)) < 0.04).astype(float), [0, 1, 1])
    images = 110 + 25 * texture / texture.std() + 180 * blobs * classes[:, None, None]
    return images.clip(0, 255).astype(np.uint8)[:, None], classes


def with_patterns(images, classes, levels=8):
    row, column = np.mgrid[:SIDE, :SIDE]
    patterns = np.stack([1 - 2 * ((row + column) & 1), 1 - 2 * (column & 1)])
    return (images + levels * patterns[classes][:, None]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clean_data():
    images, classes = faint_stripes(160, 1)
    return ClassAttackData(images, classes, *faint_stripes(80, 2), clean_train_images=images)


@pytest.fixture(scope="module")
def protected_data(clean_data):
    return replace(clean_data, train_images=with_patterns(clean_data.train_images, clean_data.train_classes))


@pytest.fixture(scope="module")
def clean_result(clean_data):
    return attack_classes(clean_data, LEARNING)


@pytest.fixture(scope="module")
def protected_result(protected_data):
    return attack_classes(protected_data, LEARNING)


def test_a_clean_set_is_learned(clean_result):
    assert clean_result.balanced_accuracy > 0.85
    assert clean_result.auc > 0.9
    assert clean_result.curve[-1].loss < clean_result.curve[0].loss


def test_positive_control_a_pattern_for_each_class_spoils_the_attacker(protected_result):
    assert protected_result.balanced_accuracy < 0.65
    assert protected_result.train_accuracy > 0.95


def test_label_free_control_one_pattern_for_all_does_not(clean_data, clean_result):
    same = with_patterns(clean_data.train_images, np.zeros_like(clean_data.train_classes))
    control = attack_classes(replace(clean_data, train_images=same), LEARNING)
    assert control.train_accuracy > 0.85
    assert control.auc > 0.8


def test_the_difference_comes_with_an_interval_over_cases(clean_result, protected_result):
    drop = compare_classifiers(clean_result, protected_result, np.random.default_rng(0))
    assert 0.1 < drop.low < drop.mean < drop.high
    assert drop.mean == pytest.approx(clean_result.balanced_accuracy - protected_result.balanced_accuracy)


@pytest.mark.parametrize("recipe", ["shift_flip", "standard", "randaugment"])
def test_the_same_seed_repeats_the_result_and_another_does_not(clean_data, recipe):
    settings = replace(QUICK, recipe=recipe)
    first = attack_classes(clean_data, settings)
    torch.rand(1)
    again = attack_classes(clean_data, settings)
    assert replace(first, seconds=0).to_json() == replace(again, seconds=0).to_json()
    assert first.curve != attack_classes(clean_data, replace(settings, seed=1)).curve
    json.dumps(first.to_json(), allow_nan=False)


@pytest.mark.parametrize("architecture", CLASSIFIERS)
@pytest.mark.parametrize("shape", [(2, 3, 33, 40), (2, 1, 9, 33, 34)])
def test_every_architecture_takes_every_shape_and_learns(architecture, shape):
    if architecture == "densenet121":
        pytest.importorskip("monai")
        if min(shape[2:]) < 32:
            with pytest.raises(UsageError, match="32 pixels or more"):
                build_classifier(architecture, shape[1], 4, shape[2:])
            return
    network = seeded_classifier(0, architecture, shape[1], 4, shape[2:], width=4)
    logits = network(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 4)
    logits.square().sum().backward()
    assert all(weights.grad is not None for weights in network.parameters())
    assert sum(float(weights.grad.abs().sum()) > 0 for weights in network.parameters()) > 1


@pytest.mark.parametrize(("side", "expected"), [(64, 64), (128, 32)])
def test_a_small_image_meets_a_stem_without_stride_and_a_large_one_not(side, expected):
    network = build_classifier("resnet18", 1, 2, (side, side), width=4)
    first_block = next(part for part in network if type(part).__name__ == "Residual")
    sizes = []
    first_block.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    network(torch.zeros(2, 1, side, side))
    assert sizes == [expected]


def test_volumes_and_several_classes_of_a_sample_are_scored():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (6, 1, 4, 12, 12)).astype(np.uint8)
    classes = np.array([[0, 1], [1, 1], [1, 0], [0, 0], [1, 0], [0, 1]])
    data = ClassAttackData(images, classes, images, classes, test_cases=("a", "b", "a", "c", "b", "c"))
    result = attack_classes(data, replace(QUICK, steps=2))
    assert result.cases == ("a", "b", "c")
    assert np.mean(result.credit_by_case) == pytest.approx(result.balanced_accuracy)
    assert 0 <= result.auc <= 1


def test_scores_by_hand():
    true = np.array([0, 0, 0, 1])
    credits = balanced_credits(np.array([0, 0, 1, 1]), true)
    assert credits.mean() == pytest.approx((2 / 3 + 1) / 2)
    assert balanced_credits(np.zeros(4, int), true).mean() == pytest.approx(0.5)
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert area_under_roc(scores, positive) == 0.75
    assert area_under_roc(np.ones(4), positive) == 0.5
    assert np.isnan(area_under_roc(scores, positive & False))


def test_clean_cases_defenses_and_adversarial_training_reach_the_attacker(protected_data, clean_data):
    all_clean = attack_classes(protected_data, replace(QUICK, clean_share=1.0))
    assert all_clean.credit_by_case == attack_classes(clean_data, replace(QUICK, clean_share=1.0)).credit_by_case
    plain = attack_classes(protected_data, QUICK).curve[0].loss
    for change in ({"defense": "blur0.8"}, {"adversarial_epsilon": 8 / 255}, {"clean_share": 0.5}):
        assert attack_classes(protected_data, replace(QUICK, **change)).curve[0].loss != plain


@pytest.mark.parametrize("change", [{"scaling": "set"}, {"mixup": 0.4}, {"label_smoothing": 0.1}])
def test_what_makes_an_attacker_stronger_reaches_the_training_and_repeats(clean_data, change):
    settings = replace(QUICK, **change)
    first, again = (attack_classes(clean_data, settings).curve for _ in range(2))
    assert first == again != attack_classes(clean_data, QUICK).curve


def test_scaled_by_the_set_images_keep_how_bright_they_are():
    random = np.random.default_rng(0)
    classes = np.arange(120) % 2
    images = (random.integers(0, 60, (120, 1, SIDE, SIDE)) + 100 * classes[:, None, None, None]).astype(np.uint8)
    data = ClassAttackData(images[:60], classes[:60], images[60:], classes[60:])
    by_itself, by_the_set = (
        attack_classes(data, replace(LEARNING, steps=30, recipe="none", scaling=scaling)).balanced_accuracy
        for scaling in ("image", "set")
    )
    assert by_the_set > 0.9
    assert by_itself < 0.8


def test_balanced_the_rare_class_is_not_given_up(clean_data):
    images, classes = clean_data.train_images, clean_data.train_classes
    few = np.concatenate([np.flatnonzero(classes == 0), np.flatnonzero(classes == 1)[:6]])
    rare = replace(clean_data, train_images=images[few], train_classes=classes[few], clean_train_images=None)
    plain, balanced = (
        attack_classes(rare, replace(LEARNING, steps=30, balanced=balanced)) for balanced in (False, True)
    )
    assert balanced.balanced_accuracy > plain.balanced_accuracy


def test_a_blur_undoes_the_pattern(protected_data):
    blurred = attack_classes(protected_data, replace(LEARNING, defense="blur0.8"))
    assert blurred.balanced_accuracy > 0.75


def test_cancelling_takes_effect_before_the_next_step(clean_data):
    class StopAtTwo(Progress):
        def step(self, stage, done, total):
            if done == 2:
                raise Cancelled

    with pytest.raises(Cancelled):
        attack_classes(clean_data, QUICK, StopAtTwo())


def test_unsuitable_data_and_settings_are_refused_in_a_sentence(clean_data):
    images, classes = clean_data.train_images, clean_data.train_classes

    def data(**changes):
        return replace(clean_data, **changes)

    with pytest.raises(Refused, match="all training images are of one class"):
        data(train_classes=classes * 0)
    with pytest.raises(Refused, match="the test set has a class that the training set lacks"):
        data(test_classes=clean_data.test_classes + 1)
    with pytest.raises(Refused, match="train images hold NaN"):
        data(train_images=np.full(images.shape, np.nan))
    with pytest.raises(Refused, match=r"train images must be \[N, C, H, W\]"):
        data(train_images=images[:, 0])
    with pytest.raises(Refused, match=r"train classes .* do not fit images"):
        data(train_classes=classes[:-1])
    with pytest.raises(Refused, match="2 names of test cases do not fit 80 images"):
        data(test_cases=("a", "b"))
    with pytest.raises(Refused, match="training and test images have different shapes"):
        data(train_images=images[..., 1:], clean_train_images=None)
    for wrong in ({"recipe": "x"}, {"defense": "x"}, {"architecture": "x"}, {"scaling": "x"}):
        with pytest.raises(UsageError, match=r"unknown .* 'x'; known are "):
            replace(QUICK, **wrong)
    several = data(
        train_classes=np.eye(2, dtype=int)[classes], test_classes=np.eye(2, dtype=int)[clean_data.test_classes]
    )
    with pytest.raises(UsageError, match="are for samples of a single class each"):
        attack_classes(several, replace(QUICK, balanced=True))
    with pytest.raises(UsageError, match="label_smoothing is a share"):
        replace(QUICK, label_smoothing=1)
    with pytest.raises(UsageError, match="adversarial_epsilon is a share"):
        replace(QUICK, adversarial_epsilon=8)


def test_a_missing_monai_is_one_sentence(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(MedUnlearnableError, match="'densenet121' needs MONAI"):
        build_classifier("densenet121", 1, 2, (32, 32))
