"""The attack test: it tells protection from none, repeats itself, and says what it cannot do."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.attack import AttackData, AttackResult, AttackSettings, attack, compare, segmentation_loss
from MedUnlearnableLib.engine.errors import Cancelled, MedUnlearnableError, Refused, UsageError
from MedUnlearnableLib.engine.networks import seeded_network
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.training import worst_case
from scipy import ndimage

torch = pytest.importorskip("torch")

SIDE = 32
QUICK = AttackSettings(width=2, steps=6, batch_size=4, curve_points=2)
LEARNING = AttackSettings(width=4, steps=160, batch_size=8, learning_rate=1e-2, curve_points=2)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def faint_discs(count, seed):
    """Discs 20 levels brighter than a smooth texture of standard deviation 25: learnable, but not at a glance."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((count, SIDE, SIDE), np.uint8)
    texture = ndimage.gaussian_filter(random.normal(size=labels.shape), [0, 1.5, 1.5])
    for label in labels:
        y, x, radius = random.uniform((9, 9, 4), (23, 23, 7))
        label[(row - y) ** 2 + (column - x) ** 2 < radius**2] = 1
    images = 110 + 25 * texture / texture.std() + 20 * labels
    return images.clip(0, 255).astype(np.uint8)[:, None], labels


def with_carrier(images, mask, levels=12):
    checkerboard = 1 - 2 * (np.indices(images.shape[2:]).sum(0) % 2)
    return (images + levels * checkerboard * mask).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clean_data():
    images, labels = faint_discs(64, 1)
    return AttackData(images, labels, *faint_discs(32, 2), clean_train_images=images)


@pytest.fixture(scope="module")
def protected_data(clean_data):
    mask = ndimage.binary_dilation(clean_data.train_labels > 0, np.ones((1, 5, 5)))[:, None]
    return replace(clean_data, train_images=with_carrier(clean_data.train_images, mask))


@pytest.fixture(scope="module")
def clean_result(clean_data):
    return attack(clean_data, LEARNING)


@pytest.fixture(scope="module")
def protected_result(protected_data):
    return attack(protected_data, LEARNING)


def test_a_clean_set_is_learned(clean_result):
    assert clean_result.dsc > 0.85
    assert clean_result.curve[-1].loss < clean_result.curve[0].loss


def test_positive_control_a_carrier_on_the_label_spoils_the_attacker(protected_result):
    assert protected_result.dsc < 0.4
    assert protected_result.train_dsc > 0.85


def test_label_free_control_the_same_carrier_everywhere_does_not(clean_data, clean_result):
    everywhere = replace(clean_data, train_images=with_carrier(clean_data.train_images, 1))
    assert attack(everywhere, LEARNING).dsc > 0.7 * clean_result.dsc


def test_the_difference_comes_with_an_interval_over_cases(clean_result, protected_result):
    drop = compare(clean_result, protected_result, np.random.default_rng(0))
    assert 0.3 < drop.low < drop.mean < drop.high
    assert drop.mean == pytest.approx(clean_result.dsc - protected_result.dsc)


def without_time(result):
    return replace(result, seconds=0).to_json()


@pytest.mark.parametrize("recipe", ["plain", "nnunet"])
def test_the_same_seed_repeats_the_result_and_another_does_not(clean_data, recipe):
    settings = replace(QUICK, recipe=recipe)
    first = attack(clean_data, settings)
    torch.rand(1)
    np.random.rand()
    assert without_time(first) == without_time(attack(clean_data, settings))
    assert first.curve != attack(clean_data, replace(settings, seed=1)).curve


def test_a_result_survives_json(clean_data):
    result = attack(clean_data, replace(QUICK, spacing_mm=(0.5, 2.0)))
    result = replace(result, dsc_by_case=[[math.nan], *result.dsc_by_case[1:]], train_dsc=math.nan)
    text = json.dumps(result.to_json(), allow_nan=False)
    assert AttackResult.from_json(json.loads(text)).to_json() == result.to_json()
    assert AttackResult.from_json(json.loads(text)).settings == result.settings


def test_volumes_labels_and_cases_are_scored_one_by_one():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (4, 2, 6, 18, 20)).astype(np.uint8)
    labels = random.choice([0, 2, 5], (4, 6, 18, 20))
    labels[3] = 0
    result = attack(
        AttackData(images, labels, images, labels, test_cases=("a", "b", "a", "c")), replace(QUICK, steps=2)
    )
    assert result.labels == (2, 5) and result.cases == ("a", "b", "c")
    assert np.shape(result.dsc_by_case) == np.shape(result.hd95_mm_by_case) == (3, 2)
    assert result.dsc == pytest.approx(np.nanmean(result.dsc_by_case))


def test_clean_cases_replace_whole_cases(protected_data, clean_data):
    seen = replace(protected_data, train_cases=[f"case {index // 2}" for index in range(64)])
    settings = replace(QUICK, clean_share=1.0)
    all_clean = attack(seen, settings)
    assert all_clean.dsc_by_case == attack(replace(clean_data, train_cases=seen.train_cases), settings).dsc_by_case
    with pytest.raises(UsageError, match=r"clean_share 0.01 of 32 training cases is not even one case"):
        attack(seen, replace(settings, clean_share=0.01))
    with pytest.raises(UsageError, match="clean_share needs the clean training images"):
        attack(replace(seen, clean_train_images=None), settings)


def test_a_defense_reaches_the_attacker(protected_data):
    plain, blurred = (attack(protected_data, replace(QUICK, defense=name)) for name in ("none", "blur0.8"))
    assert plain.curve[0].loss != blurred.curve[0].loss


def test_adversarial_training_differs_and_stays_within_its_reach(clean_data):
    settings = replace(QUICK, adversarial_epsilon=8 / 255)
    assert attack(clean_data, settings).curve != attack(clean_data, QUICK).curve
    with pytest.raises(UsageError, match="a share of the window from 0 to 1, not 8"):
        replace(QUICK, adversarial_epsilon=8)
    image, reach = torch.zeros(2, 1, 4, 4), torch.tensor([0.1, 0.3]).reshape(2, 1, 1, 1)
    moved = worst_case(image, reach, lambda x: (x * torch.ones(4, 4).triu()).sum())
    assert torch.allclose(moved.abs().amax((1, 2, 3)), reach.flatten())


def test_pretrained_weights_are_the_start_and_others_are_refused(clean_data):
    network = seeded_network(5, "unet", 1, 2, (SIDE, SIDE), QUICK.width)
    weights = network.state_dict()
    started = attack(clean_data, replace(QUICK, steps=1, curve_points=1), pretrained=weights)
    assert started.curve == attack(clean_data, replace(QUICK, steps=1, curve_points=1), pretrained=weights).curve
    assert started.curve != attack(clean_data, replace(QUICK, steps=1, curve_points=1)).curve
    other_head = seeded_network(5, "unet", 1, 7, (SIDE, SIDE), QUICK.width).state_dict()
    attack(clean_data, replace(QUICK, steps=1), pretrained=other_head)
    with pytest.raises(Refused, match="of another architecture"):
        attack(clean_data, QUICK, pretrained={"x": torch.zeros(1)})
    with pytest.raises(Refused, match="weights of the same width"):
        attack(clean_data, QUICK, pretrained=seeded_network(5, "unet", 1, 2, (SIDE, SIDE), 5).state_dict())


def test_cancelling_takes_effect_before_the_next_step(clean_data):
    class StopAtThree(Progress):
        heard = 0

        def step(self, stage, done, total):
            self.heard = done
            assert (stage, total) == ("attack", QUICK.steps)
            if done == 3:
                raise Cancelled

    listener = StopAtThree()
    with pytest.raises(Cancelled):
        attack(clean_data, QUICK, listener)
    assert listener.heard == 3


def test_segmentation_loss_by_hand():
    target = torch.tensor([[[0, 1], [1, 1]]])
    sure = 40.0 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1)
    assert float(segmentation_loss(sure, target)) == pytest.approx(0, abs=1e-5)
    unsure = torch.zeros(1, 2, 2, 2)
    assert float(segmentation_loss(unsure, target)) == pytest.approx(math.log(2) + 1 - 4 / 6)


def test_a_class_that_a_sample_does_not_show_has_no_dice():
    target = torch.tensor([[[0, 2], [2, 2]]])
    unsure = torch.zeros(1, 3, 2, 2)
    assert float(segmentation_loss(unsure, target)) == pytest.approx(math.log(3) + 1 - 3 / (16 / 3))
    assert float(segmentation_loss(unsure, target * 0)) == pytest.approx(math.log(3))


def test_unsuitable_data_and_settings_are_refused_in_a_sentence(clean_data):
    images, labels = clean_data.train_images, clean_data.train_labels

    def data(**changes):
        return replace(clean_data, **changes)

    with pytest.raises(Refused, match="no training label has any foreground"):
        data(train_labels=labels * 0)
    with pytest.raises(Refused, match="no label of the training set occurs in the test set"):
        data(test_labels=clean_data.test_labels * 3)
    with pytest.raises(Refused, match="train images hold NaN or infinite values"):
        data(train_images=np.where(labels[:, None], np.nan, images))
    with pytest.raises(Refused, match=r"train images must be \[N, C, H, W\]"):
        data(train_images=images[:, 0])
    with pytest.raises(Refused, match=r"train labels .* do not fit images"):
        data(train_labels=labels[:, :-1])
    with pytest.raises(Refused, match="2 names of test cases do not fit 32 images"):
        data(test_cases=("a", "b"))
    with pytest.raises(Refused, match="different numbers of channels"):
        data(train_images=images.repeat(2, 1), clean_train_images=None)
    with pytest.raises(Refused, match="different numbers of dimensions"):
        data(train_images=images[:, :, None], train_labels=labels[:, None], clean_train_images=None)
    with pytest.raises(Refused, match="clean and protected training images have different shapes"):
        data(clean_train_images=images[:5])
    for wrong in ({"recipe": "x"}, {"defense": "x"}, {"architecture": "x"}):
        with pytest.raises(UsageError, match=r"unknown .* 'x'; known are "):
            replace(QUICK, **wrong)
    with pytest.raises(UsageError, match="must be at least 1"):
        replace(QUICK, steps=0)
    with pytest.raises(UsageError, match="a share from 0 to 1, not 25"):
        replace(QUICK, clean_share=25)


def test_a_missing_gpu_and_a_diverging_training_are_one_sentence(clean_data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="PyTorch finds no GPU; use 'cpu'"):
        attack(clean_data, replace(QUICK, device="cuda"))
    with pytest.raises(MedUnlearnableError, match="diverged before step"):
        attack(clean_data, replace(QUICK, learning_rate=1e20))


def test_attackers_tested_on_different_cases_are_not_compared(clean_result):
    with pytest.raises(UsageError, match="tested on different cases"):
        compare(clean_result, replace(clean_result, cases=("x",)), np.random.default_rng(0))


WITHOUT_TORCH = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import MedUnlearnableLib.engine.attack
"""


def test_the_files_load_without_torch():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, env={"PYTHONPATH": ":".join(sys.path)})
