"""What subtracting a guessed carrier restores, without the key. The attacker knows labels, mask rule and budget.

    checkerboard  the plain checkerboard, the better of its two signs
    random key    a guessed key of the same family (best of 64 guesses)
    estimated     the sign estimated in the protected volume itself: the high-pass, multiplied by the checkerboard,
                  averaged over a window of the mask and over the axis the carrier is constant along

Restored: share of the changed voxels that get their exact value back. The PSNR is that of the cleaned volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import SAMPLES, save
from MedUnlearnableLib.engine.carrier import FASTEST_BEAT, Carrier, fine_axes
from MedUnlearnableLib.engine.case import Case, CasesInMemory
from MedUnlearnableLib.engine.masks import Box, contour_and_interior, contour_radius, local_binary_texture
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import TEXTURE_FLOOR, UMed, UMedParams
from MedUnlearnableLib.engine.window import IntensityWindow
from MedUnlearnableLib.files.cases import CaseFiles, load_case
from MedUnlearnableLib.files.samples import synthetic_ct
from numpy.typing import NDArray
from scipy import ndimage

GUESSES = 64
WINDOW_PIXELS = 15
SEEDS = range(3)


def volumes() -> list[Case]:
    sample = synthetic_ct()
    cases = [Case("generated CT", sample.image[np.newaxis], sample.geometry, (sample.labels,), modality="CT")]
    if SAMPLES.is_dir():
        files = [
            ("ct_body", "ct_body_3mm_hu_int16.nii.gz", "ct_body_3mm_labels.nii.gz"),
            ("busi benign_10", "busi_fullres_with_masks/benign_10.png", "busi_fullres_with_masks/benign_10_mask.png"),
        ]
        cases += [load_case(CaseFiles(name, SAMPLES / image, SAMPLES / label))[1] for name, image, label in files]
    return cases


def attacker_bound(case: Case, protected: NDArray[Any], window: IntensityWindow, epsilon: float) -> NDArray[Any]:
    """|delta| as the attacker rebuilds it: the mask from the labels, the texture from the protected image."""
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    contour, interior = contour_and_interior(case.segments, radius)
    texture = np.maximum(local_binary_texture(window.normalize(protected[0])), TEXTURE_FLOOR)
    return epsilon * np.where(contour, 1.0, np.where(interior, texture, 0.0))


def estimated_sign(case: Case, protected: NDArray[Any], mask: NDArray[np.bool_], board: NDArray[Any]) -> NDArray[Any]:
    """+1 or -1 per voxel: which phase of the checkerboard lies there."""
    axes = fine_axes(case.geometry.spacing_kji, case.shape_kji)
    gray = protected[0].astype(np.float64)
    smooth = gray
    for axis in axes:
        smooth = ndimage.convolve1d(smooth, [0.25, 0.5, 0.25], axis=axis)
    evidence = (gray - smooth) * board * mask
    other = next(axis for axis in range(3) if axis not in axes)
    evidence = np.broadcast_to(evidence.sum(axis=other, keepdims=True), evidence.shape)
    for axis in axes:
        evidence = ndimage.uniform_filter1d(evidence, WINDOW_PIXELS, axis=axis)
    return np.where(evidence >= 0, 1, -1)


def cell(case: Case, seed: int) -> dict[str, Any]:
    method = UMed(UMedParams(), RandomStreams.from_number(seed))
    method.fit(CasesInMemory((case,)))
    result = method.protect(case)
    lo, hi = result.record.window
    window = IntensityWindow(lo, hi, 1.0)
    epsilon = method.params.budget_share
    bound = attacker_bound(case, result.image, window, epsilon)
    changed = result.image != case.image
    whole: Box = (slice(0, case.shape_kji[0]), slice(0, case.shape_kji[1]), slice(0, case.shape_kji[2]))
    place = (whole, case.geometry.spacing_kji, case.shape_kji)
    board = Carrier((0.0, 0.0), 0.0).pattern(*place)

    def cleaned(guess: NDArray[Any]) -> tuple[float, float]:
        """Share of changed voxels restored, PSNR of the cleaned volume."""
        mask = np.broadcast_to(bound > 0, case.shape_kji)
        image = np.stack([window.write_back(channel, -bound * guess, mask, epsilon) for channel in result.image])
        restored = float(np.mean(image[changed] == case.image[changed]))
        return restored, measure(case.image, image, window).psnr_db or np.inf

    random = np.random.default_rng(seed + 1000)
    row: dict[str, Any] = {"volume": case.id, "seed": seed, "psnr_protected": result.record.psnr_db}
    row["checkerboard"] = max(cleaned(sign * board) for sign in (1, -1))
    row["random key"] = max(cleaned(Carrier.draw(random).pattern(*place)) for _ in range(GUESSES))
    row["estimated"] = cleaned(board * estimated_sign(case, result.image, bound > 0, board))
    return row


def distinguishable_keys(pixels: int) -> float:
    """Keys that differ in more than a quarter of the voxels of a square image, as bits.

    Two beats differ so when they part by half a sign run over the image: 1 / (2 * pixels) cycles a pixel; four phases.
    """
    step = 1 / (2 * pixels)
    return float(np.log2(max(1.0, np.pi * (FASTEST_BEAT / step) ** 2) * 4))


def main() -> None:
    rows = [cell(case, seed) for case in volumes() for seed in SEEDS]
    print(
        f"{'volume':16}{'seed':>5}{'protected':>11}  "
        + "".join(f"{name:>26}" for name in ("checkerboard", "random key", "estimated"))
    )
    for row in rows:
        figures = (
            f"{row[name][0]:.1%} back, {row[name][1]:.1f} dB" for name in ("checkerboard", "random key", "estimated")
        )
        print(
            f"{row['volume']:16}{row['seed']:5}{row['psnr_protected']:8.1f} dB  "
            + "".join(f"{text:>26}" for text in figures)
        )
    bits = {str(pixels): distinguishable_keys(pixels) for pixels in (128, 512)}
    print("key, bits that tell: " + ", ".join(f"{value:.1f} at {pixels} px" for pixels, value in bits.items()))
    save("carrier_key", [*rows, {"key_bits": bits}])


if __name__ == "__main__":
    main()
