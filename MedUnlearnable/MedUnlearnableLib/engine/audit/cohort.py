"""The images to attack: slices, and volumes, of all cases at one size, split so that no test case was seen in training.

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
from .conditions import Condition
from .control import label_free

WINDOW = (0.0, 255.0)  # of the scaled images
CLASS_SIDE = 128  # pixels; larger pictures to classify are reduced to it, whatever the effort, for that weakens noise
TEST_SHARE = 0.3
_BLOCKS, _TEST_BLOCKS = 10, (2, 5, 8)  # cases in the order of their names, so that neighbors stay together
_FEWEST_CASES = 4  # below, volumes are split into slabs
_GAP_SLICES = 2  # left out between the slabs of a volume, because neighbors look alike
_FEWEST_IMAGES, _FEWEST_VOLUMES = 8, 3  # in each part
_LEAST_DEPTH = 8  # voxels of the shortest side, of what is called a volume
_THRESHOLDS = np.linspace(0, 1, 21)  # shares of the highest frequency of a label


@dataclass(frozen=True)
class Samples:
    """Of one case: images [N, C, *sides] float32 scaled to 0-255, sides (H, W) of slices or (D, H, W) of a volume.

    targets: labels [N, *sides], or classes [N], or [N, K] of 0 and 1 where a sample may show several.
    """

    case: str
    clean: NDArray[np.float32]
    protected: NDArray[np.float32]
    targets: NDArray[np.integer]


@dataclass(frozen=True)
class Cohort:
    """What is attacked. `train` and `test` [N] pick images; those of the gap between slabs are in neither."""

    clean: NDArray[np.float32]  # [N, C, *sides]
    protected: NDArray[np.float32]
    label_free: NDArray[np.float32]
    targets: NDArray[np.integer]  # labels [N, *sides], or classes [N] or [N, K]
    cases: tuple[str, ...]  # the unit of every interval, by image
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    by_case: bool  # whether whole cases were held out; else slabs of the volumes
    volumes: Cohort | None = None  # the same cases, for attackers that see volumes

    def shown_to(self, condition: Condition) -> Cohort:
        """What such an attacker sees."""
        return self.volumes if condition.volumes and self.volumes is not None else self

    @property
    def is_segmentation(self) -> bool:
        return self.targets.ndim > 2

    @property
    def shows_several(self) -> bool:
        """Whether a sample may show several classes."""
        return self.targets.ndim == 2

    @property
    def floor(self) -> float:
        """The score of who knows nothing: DSC 0, or the balanced accuracy of a guess."""
        if self.is_segmentation:
            return 0.0
        return 1 / 2 if self.shows_several else 1 / len(np.unique(self.targets))

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


def slices_of(clean: Case, protected: Case, windows: Sequence[IntensityWindow], most: int, side: int) -> Samples:
    """At most `most` slices of a case, spread evenly. `windows`: of each channel.

    A case with classes: its slices that have a label, reduced to `CLASS_SIDE`. Else: its slices with a segment, cropped
    to at most `side` pixels that hold the segments.
    """
    axis = _slice_axis(clean) if clean.classes is None else 0  # classes are those of slices along k
    slices = [np.moveaxis(case.image, 1 + axis, 0) for case in (clean, protected)]
    if clean.classes is not None:
        labeled = np.array([k for k in range(len(slices[0])) if clean.classes.of_slice(k) is not None], np.int64)
        picked = _spread(labeled, most)
        before, after = (_reduced(_scaled(part[picked], windows), CLASS_SIDE) for part in slices)
        return Samples(clean.id, before, after, _targets(clean.classes, picked.tolist()))
    labels = np.moveaxis(_label_map(clean), axis, 0)
    picked = _spread(np.flatnonzero(labels.any(axis=(1, 2))), most)
    place = _around(labels, (side, side), clean.id)
    before, after = (_scaled(part[picked][(slice(None), slice(None), *place)], windows) for part in slices)
    return Samples(clean.id, before, after, labels[picked][(slice(None), *place)])


def volume_of(clean: Case, protected: Case, windows: Sequence[IntensityWindow], side: int) -> Samples | None:
    """The case as one volume of at most `side` voxels: cropped around its segments, or reduced where it has a class.

    None of what is too flat, of a case without any label, and where slices have classes of their own.
    """
    if min(clean.shape_kji) < _LEAST_DEPTH:
        return None
    whole = [case.image[np.newaxis] for case in (clean, protected)]
    if clean.classes is not None:
        if len(clean.classes.shown) != 1 or clean.classes.shown[0] is None:
            return None
        before, after = (_reduced(_scaled(part, windows), side) for part in whole)
        return Samples(clean.id, before, after, _targets(clean.classes, [0]))
    labels = _label_map(clean)
    if not labels.any():
        return None
    place = _around(labels[np.newaxis], (side, side, side), clean.id)
    before, after = (_scaled(part[(slice(None), slice(None), *place)], windows) for part in whole)
    return Samples(clean.id, before, after, labels[place][np.newaxis])


def assemble(cases: Sequence[Samples], random: np.random.Generator, volumes: Cohort | None = None) -> Cohort:
    """All samples at the largest size among them, with split and control. Refuses what is too little to attack.

    `random` draws the control. Raises `Refused` where there are too few images for two parts, or channels differ.
    """
    cases = [case for case in cases if len(case.targets)]
    if not cases:
        raise Refused("no slice has a segment, so there is nothing an attacker could learn")
    channels = {case.clean.shape[1] for case in cases}
    if len(channels) > 1:
        raise Refused("some images are gray and some have colors, so no attacker can be trained on all; give one kind")
    sides = tuple(max(case.clean.shape[axis] for case in cases) for axis in range(2, cases[0].clean.ndim))
    clean, protected = (np.concatenate([_padded(part, sides) for part in parts]) for parts in _images(cases))
    targets = np.concatenate(
        [_padded(case.targets, sides) if case.targets.ndim > 2 else case.targets for case in cases]
    )
    owners = [case.case for case in cases for _ in case.targets]
    of_volumes = len(sides) == 3
    by_case = of_volumes or len(cases) >= _FEWEST_CASES
    train, test = _split_by_case(cases) if by_case else _split_by_slab(cases)
    what, fewest = ("volumes", _FEWEST_VOLUMES) if of_volumes else ("images", _FEWEST_IMAGES)
    if min(train.sum(), test.sum()) < fewest:
        raise Refused(
            f"{train.sum()} {what} to train on and {test.sum()} to test on are too few for an attack; "
            f"at least {fewest} of each are needed: give more cases"
            f"{'' if of_volumes else ', or volumes with more slices'}"
        )
    units = owners if by_case else [f"{name} slice {index}" for index, name in enumerate(owners)]
    control = label_free(clean, protected, owners, random)
    return Cohort(clean, protected, control, targets, tuple(units), train, test, by_case, volumes)


def _images(cases: Sequence[Samples]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    return [case.clean for case in cases], [case.protected for case in cases]


def _best_fixed_dsc(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> float:
    """Mean DSC on the test masks [N, *sides] that have any voxel, of the training masks' mean at its best threshold."""
    sides = tuple(range(1, test.ndim))
    test = test[test.any(axis=sides)]
    prior = train.mean(axis=0)
    scores = []
    for threshold in prior.max() * _THRESHOLDS:
        answer = prior >= threshold
        common = (test & answer).sum(axis=sides)
        scores.append(float(np.mean(2 * common / (test.sum(axis=sides) + answer.sum()))))
    return max(scores)


def _split_by_case(cases: Sequence[Samples]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whole cases, in blocks of neighbors in the order given; each class by itself, where cases have one."""
    groups: dict[bytes, list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(b"" if case.targets.ndim > 2 else case.targets[0].tobytes(), []).append(number)
    held_out = set()
    for members in groups.values():
        blocks = np.arange(len(members)) * _BLOCKS // max(len(members), _BLOCKS)
        held_out |= {member for member, block in zip(members, blocks) if block in _TEST_BLOCKS}
    test = np.array([number in held_out for number, case in enumerate(cases) for _ in case.targets])
    return ~test, test


def _split_by_slab(cases: Sequence[Samples]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
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


def _scaled(images: NDArray[np.generic], windows: Sequence[IntensityWindow]) -> NDArray[np.float32]:
    """Images [N, C, *sides], each channel's window on 0-255. NaN and Inf become the nearer end of the window."""
    scaled = np.empty(images.shape, np.float32)
    for channel, window in enumerate(windows):
        values = images[:, channel].astype(np.float64)
        finite = np.nan_to_num(values, nan=window.lo, posinf=window.hi, neginf=window.lo)
        scaled[:, channel] = (finite - window.lo) * (WINDOW[1] / window.width)
    return scaled


def _targets(classes: Classes, places: Sequence[int]) -> NDArray[np.int64]:
    """Of slices that have a label: class numbers [N], or [N, K] of 0 and 1 where a sample may show several."""
    shown = [classes.of_slice(k) or () for k in places]
    if classes.several:
        several = [[int(k in sample) for k in range(len(classes.names))] for sample in shown]
        return np.array(several, np.int64).reshape(-1, len(classes.names))
    return np.array([sample[0] for sample in shown], np.int64)


def _label_map(case: Case) -> NDArray[np.integer]:
    """One layer [D, H, W]: labels of a later layer get numbers of their own and cover those of an earlier one."""
    labels = np.zeros(case.shape_kji, np.int64)
    for layer in case.segments:
        labels = np.where(layer > 0, layer + labels.max(), labels)
    return labels


def _spread(indices: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """The middle one of each of `most` equal parts: the first and last slices show hardly anything of a segment."""
    if len(indices) <= most:
        return indices
    return indices[((np.arange(most) + 0.5) * len(indices) / most).astype(int)]


def _around(labels: NDArray[np.integer], most: Sequence[int], case: str) -> tuple[slice, ...]:
    """At most so many pixels of each axis of `labels` [N, *sides] but the first, at a place that holds all labels.

    Which of these places is drawn by the name of the case: labels in the middle could be found without looking.
    """
    random = np.random.default_rng(list(case.encode()))
    place = []
    for axis, side in enumerate(most, start=1):
        used = np.asarray(labels.any(axis=tuple(other for other in range(labels.ndim) if other != axis)))
        shown = np.flatnonzero(used) if used.any() else np.arange(len(used))
        lowest, highest = max(0, int(shown[-1]) + 1 - side), max(0, min(int(shown[0]), len(used) - side))
        if lowest <= highest:
            start = int(random.integers(lowest, highest + 1))
        else:  # the labels are larger
            start = min(max(0, int(shown.mean()) - side // 2), len(used) - side)
        place.append(slice(start, start + side))
    return tuple(place)


def _reduced(images: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """To at most so many pixels a side, linearly, where the images are larger."""
    factor = most / max(images.shape[2:])
    if factor >= 1:
        return images
    factors = (1, 1, *[factor] * (images.ndim - 2))
    return ndimage.zoom(images, factors, order=1, grid_mode=True, mode="nearest")


def _padded(array: NDArray[np.generic], sides: Sequence[int]) -> NDArray[np.generic]:
    """With zeros on all sides to [..., *sides]: the lower end of the window, or background."""
    missing = [(0, 0)] * (array.ndim - len(sides))
    for have, want in zip(array.shape[-len(sides) :], sides):
        missing.append(((want - have) // 2, want - have - (want - have) // 2))
    return np.pad(array, missing)
