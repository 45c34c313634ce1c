"""The images to attack: slices of all cases at one size, split so that no test case was seen in training.

Values are scaled, each image by its own intensity window, to 0-255 without clipping or rounding: an attacker z-scores
them anyway, and JPEG and bits need a common window. Pixels are never resampled for segmentation: finer detail is what
protection changes. Pictures to classify are reduced where they are larger than the attackers take, as a trainer would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..carrier import fine_axes
from ..case import Case, Classes
from ..errors import Refused
from ..window import IntensityWindow
from .control import label_free

WINDOW = (0.0, 255.0)  # of the scaled images
CLASS_SIDE = 128  # pixels; larger pictures to classify are reduced to it, whatever the effort, for that weakens noise
TEST_SHARE = 0.3
_BLOCKS, _TEST_BLOCKS = 10, (2, 5, 8)  # cases in the order of their names, so that neighbors stay together
_FEWEST_CASES = 4  # below, volumes are split into slabs
_GAP_SLICES = 2  # left out between the slabs of a volume, because neighbors look alike
_FEWEST_IMAGES = 8  # in each part
_THRESHOLDS = np.linspace(0, 1, 21)  # shares of the highest frequency of a label


@dataclass(frozen=True)
class Slices:
    """Slices of one case: images [N, C, H, W] float32 scaled to 0-255; targets labels [N, H, W], or classes [N]."""

    case: str
    clean: NDArray[np.float32]
    protected: NDArray[np.float32]
    targets: NDArray[np.integer]


@dataclass(frozen=True)
class Cohort:
    """What is attacked. `train` and `test` [N] pick images; those of the gap between slabs are in neither."""

    clean: NDArray[np.float32]  # [N, C, H, W]
    protected: NDArray[np.float32]
    label_free: NDArray[np.float32]
    targets: NDArray[np.integer]  # labels [N, H, W], or classes [N]
    cases: tuple[str, ...]  # the unit of every interval, by image
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    by_case: bool  # whether whole cases were held out; else slabs of the volumes

    @property
    def is_segmentation(self) -> bool:
        return self.targets.ndim == 3

    @property
    def floor(self) -> float:
        """The score of who knows nothing: DSC 0, or the balanced accuracy of a guess."""
        return 0.0 if self.is_segmentation else 1 / len(np.unique(self.targets))

    @property
    def trivial(self) -> float:
        """The score of an answer that never looks at the image: a guess, or the best map of where labels mostly lie."""
        if not self.is_segmentation:
            return self.floor
        values = [value for value in np.unique(self.targets[self.test]) if value > 0]
        return float(
            np.mean([_best_fixed_dsc(*(self.targets[part] == v for part in (self.train, self.test))) for v in values])
        )

    @property
    def test_cases(self) -> int:
        return len({case for case, held_out in zip(self.cases, self.test) if held_out})

    @cached_property
    def digest(self) -> str:
        """Names data and split: results of other data are never taken for those of these."""
        digest = hashlib.sha256()
        for array in (self.clean, self.protected, self.label_free, self.targets, self.train, self.test):
            digest.update(np.ascontiguousarray(array).data)
        digest.update("\0".join(self.cases).encode())
        return digest.hexdigest()


def slices_of(clean: Case, protected: Case, windows: Sequence[IntensityWindow], most: int, side: int) -> Slices:
    """At most `most` slices of a case, spread evenly. `windows`: of each channel.

    A case with classes: its slices that have one, reduced to `CLASS_SIDE`. Else: its slices with a segment, cropped to
    at most `side` pixels around the segments. Refuses samples of several classes, which the attackers here do not know.
    """
    axis = _slice_axis(clean) if clean.classes is None else 0  # classes are those of slices along k
    slices = [np.moveaxis(case.image, 1 + axis, 0) for case in (clean, protected)]
    if clean.classes is not None:
        classes = _classes_of_slices(clean.classes, len(slices[0]))
        picked = _spread(np.flatnonzero(classes >= 0), most)
        before, after = (_reduced(_scaled(part[picked], windows)) for part in slices)
        return Slices(clean.id, before, after, classes[picked])
    labels = np.moveaxis(_label_map(clean), axis, 0)
    picked = _spread(np.flatnonzero(labels.any(axis=(1, 2))), most)
    rows, columns = (_around(np.asarray(labels.any(axis=(0, other))), side) for other in (2, 1))
    before, after = (_scaled(part[picked][:, :, rows, columns], windows) for part in slices)
    return Slices(clean.id, before, after, labels[picked][:, rows, columns])


def assemble(cases: Sequence[Slices], random: np.random.Generator) -> Cohort:
    """All slices at the largest size among them, with split and control. Refuses what is too little to attack.

    `random` draws the control. Raises `Refused` where there are too few images for two parts, or channels differ.
    """
    cases = [case for case in cases if len(case.targets)]
    if not cases:
        raise Refused("no slice has a segment, so there is nothing an attacker could learn")
    channels = {case.clean.shape[1] for case in cases}
    if len(channels) > 1:
        raise Refused("some images are gray and some have colors, so no attacker can be trained on all; give one kind")
    sides = tuple(max(case.clean.shape[axis] for case in cases) for axis in (2, 3))
    clean, protected = (np.concatenate([_padded(part, sides) for part in parts]) for parts in _images(cases))
    targets = np.concatenate(
        [_padded(case.targets, sides) if case.targets.ndim == 3 else case.targets for case in cases]
    )
    owners = [case.case for case in cases for _ in case.targets]
    by_case = len(cases) >= _FEWEST_CASES
    train, test = _split_by_case(cases) if by_case else _split_by_slab(cases)
    if min(train.sum(), test.sum()) < _FEWEST_IMAGES:
        raise Refused(
            f"{train.sum()} images to train on and {test.sum()} to test on are too few for an attack; "
            f"at least {_FEWEST_IMAGES} of each are needed: give more cases, or volumes with more slices"
        )
    units = owners if by_case else [f"{name} slice {index}" for index, name in enumerate(owners)]
    control = label_free(clean, protected, owners, random)
    return Cohort(clean, protected, control, targets, tuple(units), train, test, by_case)


def _images(cases: Sequence[Slices]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    return [case.clean for case in cases], [case.protected for case in cases]


def _best_fixed_dsc(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> float:
    """Mean DSC on the test masks [N, H, W] that have any voxel, of the training masks' mean at its best threshold."""
    test = test[test.any(axis=(1, 2))]
    prior = train.mean(axis=0)
    scores = []
    for threshold in prior.max() * _THRESHOLDS:
        answer = prior >= threshold
        common = (test & answer).sum(axis=(1, 2))
        scores.append(float(np.mean(2 * common / (test.sum(axis=(1, 2)) + answer.sum()))))
    return max(scores)


def _split_by_case(cases: Sequence[Slices]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whole cases, in blocks of neighbors in the order given; each class by itself, where cases have one."""
    groups: dict[int, list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(int(case.targets[0]) if case.targets.ndim == 1 else 0, []).append(number)
    held_out = set()
    for members in groups.values():
        blocks = np.arange(len(members)) * _BLOCKS // max(len(members), _BLOCKS)
        held_out |= {member for member, block in zip(members, blocks) if block in _TEST_BLOCKS}
    test = np.array([number in held_out for number, case in enumerate(cases) for _ in case.targets])
    return ~test, test


def _split_by_slab(cases: Sequence[Slices]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The last slices of each volume are held out, and some between the slabs are left out."""
    train, test = [], []
    for case in cases:
        index, count = np.arange(len(case.targets)), len(case.targets)
        first_test = count - round(TEST_SHARE * count)
        train.append(index < first_test - _GAP_SLICES)
        test.append(index >= first_test)
    return np.concatenate(train), np.concatenate(test)


def _slice_axis(case: Case) -> int:
    """The axis of k, j, i across the slices: the one that is left beside the two finest."""
    (axis,) = set(range(3)) - set(fine_axes(case.geometry.spacing_kji, case.shape_kji))
    return axis


def _scaled(slices: NDArray[np.generic], windows: Sequence[IntensityWindow]) -> NDArray[np.float32]:
    """Slices [N, C, H, W], each channel's window on 0-255. NaN and Inf become the nearer end of the window."""
    scaled = np.empty(slices.shape, np.float32)
    for channel, window in enumerate(windows):
        values = slices[:, channel].astype(np.float64)
        finite = np.nan_to_num(values, nan=window.lo, posinf=window.hi, neginf=window.lo)
        scaled[:, channel] = (finite - window.lo) * (WINDOW[1] / window.width)
    return scaled


def _classes_of_slices(classes: Classes, count: int) -> NDArray[np.int64]:
    """[N], -1 where a slice has no class."""
    if classes.several:
        raise Refused("samples of several classes can be protected, but not audited yet; give one class for each")
    shown = [classes.of_slice(k) for k in range(count)]
    return np.array([-1 if sample is None else sample[0] for sample in shown], np.int64)


def _label_map(case: Case) -> NDArray[np.integer]:
    """One layer [D, H, W]: labels of a later layer get numbers of their own and cover those of an earlier one."""
    labels = np.zeros(case.shape_kji, np.int64)
    for layer in case.segments:
        labels = np.where(layer > 0, layer + labels.max(), labels)
    return labels


def _spread(indices: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]


def _around(used: NDArray[np.bool_], side: int) -> slice:
    """`side` pixels of an axis, or all there are, around the middle of those used."""
    middle = int(np.flatnonzero(used).mean()) if used.any() else len(used) // 2
    start = min(max(0, middle - side // 2), max(0, len(used) - side))
    return slice(start, start + side)


def _reduced(images: NDArray[np.float32]) -> NDArray[np.float32]:
    factor = CLASS_SIDE / max(images.shape[2:])
    return (
        images if factor >= 1 else ndimage.zoom(images, (1, 1, factor, factor), order=1, grid_mode=True, mode="nearest")
    )


def _padded(array: NDArray[np.generic], sides: Sequence[int]) -> NDArray[np.generic]:
    """With zeros on all sides to [..., *sides]: the lower end of the window, or background."""
    missing = [(0, 0)] * (array.ndim - 2)
    for have, want in zip(array.shape[-2:], sides):
        missing.append(((want - have) // 2, want - have - (want - have) // 2))
    return np.pad(array, missing)
