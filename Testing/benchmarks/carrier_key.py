"""What subtracting a guessed carrier restores, without the key. The attacker knows labels, mask rule and budget.

The key is one bit, the sign of the checkerboard. The attacker reads it off the protected image (the high-pass,
multiplied by the checkerboard, summed over the mask) and subtracts budget * bound * carrier. The bound of the interior
follows the texture, which he takes from the protected image.

Restored: share of the changed voxels that get their exact value back. The PSNR is that of the cleaned image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import SAMPLES, save
from MedUnlearnableLib.engine.carrier import Carrier, fine_axes
from MedUnlearnableLib.engine.case import Case, CasesInMemory
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius, local_binary_texture
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import TEXTURE_FLOOR, UMed, UMedParams
from MedUnlearnableLib.engine.window import IntensityWindow
from MedUnlearnableLib.files.cases import CaseFiles, load_case
from MedUnlearnableLib.files.samples import synthetic_ct
from numpy.typing import NDArray
from scipy import ndimage

SEEDS = (0, 2)  # one of each sign


def without_carrier(case: Case, protected: NDArray[Any], window: IntensityWindow, epsilon: float) -> NDArray[Any]:
    """The protected image [C, D, H, W] as the attacker cleans it; `case` gives him labels and geometry only."""
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    contour, interior = contour_and_interior(case.segments, radius)
    gray = np.mean([window.normalize(channel) for channel in protected], axis=0)
    texture = np.maximum(local_binary_texture(gray), TEXTURE_FLOOR["instant"])
    inside = np.logical_or.reduce([layer != 0 for layer in case.segments])
    bound = epsilon * np.where(contour & inside, 1.0, np.where(interior, texture, 0.0))
    carrier = checkerboard(case) * sign_read_off(case, gray, bound > 0)
    return np.stack([window.write_back(channel, -bound * carrier, bound > 0, epsilon) for channel in protected])


def checkerboard(case: Case) -> NDArray[np.int8]:
    k, j, i = (slice(0, n) for n in case.shape_kji)
    return Carrier(1).pattern((k, j, i), case.geometry.spacing_kji, case.shape_kji)


def sign_read_off(case: Case, gray: NDArray[Any], mask: NDArray[np.bool_]) -> int:
    smooth = gray
    for axis in fine_axes(case.geometry.spacing_kji, case.shape_kji):
        smooth = ndimage.convolve1d(smooth, [0.25, 0.5, 0.25], axis=axis)
    return 1 if np.sum((gray - smooth) * checkerboard(case) * mask) >= 0 else -1


def cases() -> list[Case]:
    sample = synthetic_ct()
    found = [Case("generated CT", sample.image[np.newaxis], sample.geometry, (sample.labels,), modality="CT")]
    files = [
        ("CT body", "ct_body_3mm_hu_int16.nii.gz", "ct_body_3mm_labels.nii.gz"),
        ("ultrasound", "busi_fullres_with_masks/benign_10.png", "busi_fullres_with_masks/benign_10_mask.png"),
    ]
    for name, image, label in files if SAMPLES.is_dir() else []:
        found.append(load_case(CaseFiles(name, SAMPLES / image, SAMPLES / label))[1])
    return found


def cell(case: Case, seed: int) -> dict[str, Any]:
    method = UMed(UMedParams(), RandomStreams.from_number(seed))
    method.fit(CasesInMemory((case,)))
    result = method.protect(case)
    window = IntensityWindow(*result.record.window, 1.0)
    cleaned = without_carrier(case, result.image, window, method.params.budget_share)
    changed = result.image != case.image
    return {
        "image": case.id,
        "sign": Carrier.draw(method.streams.generator("carrier")).sign,
        "psnr_protected_db": result.record.psnr_db,
        "restored_exactly": float(np.mean(cleaned[changed] == case.image[changed])),
        "psnr_cleaned_db": measure(case.image, cleaned, window).psnr_db,
    }


def main() -> None:
    rows = [cell(case, seed) for case in cases() for seed in SEEDS]
    print(f"{'image':16}{'sign':>5}{'protected':>13}{'restored exactly':>18}{'cleaned':>12}")
    for row in rows:
        print(
            f"{row['image']:16}{row['sign']:5}{row['psnr_protected_db']:10.1f} dB{row['restored_exactly']:18.1%}"
            f"{row['psnr_cleaned_db']:9.1f} dB"
        )
    save("carrier_key", rows)


if __name__ == "__main__":
    main()
