"""The control of every attack: the noise of the protection, but of another image and in another place.

It has the strength and the look of the protection and knows no label, because the donor is drawn without regard to it.
What it costs an attacker is no protection. (White noise in the mask is no control: it shows the mask. See the limits.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def label_free(
    clean: NDArray[np.float32], protected: NDArray[np.float32], cases: Sequence[str], random: np.random.Generator
) -> NDArray[np.float32]:
    """Clean images [N, C, *sides] with the change of a random other image, moved around by a quarter to three quarters.

    The donor is of another case where there is one. The result stays within the values of each image.
    """
    moved = np.empty_like(clean)
    sides = clean.shape[2:]
    for index, donor in enumerate(_donors(cases, random)):
        offset = [int(random.integers(side // 4, max(side // 4 + 1, 3 * side // 4))) for side in sides]
        change = np.roll(protected[donor] - clean[donor], offset, axis=tuple(range(1, 1 + len(sides))))
        moved[index] = np.clip(clean[index] + change, clean[index].min(), clean[index].max())
    return moved


def _donors(cases: Sequence[str], random: np.random.Generator) -> list[int]:
    names = np.asarray(cases)
    everyone = np.arange(len(names))
    donors = []
    for index in everyone:
        others = everyone[names != names[index]]
        donors.append(int(random.choice(others if len(others) else everyone)))
    return donors
