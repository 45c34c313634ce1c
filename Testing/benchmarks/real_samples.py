"""Real files protected by the command line with profile instant, read back, and compared with their sources.

Needs the sample images beside the repository. Where a sample has no label, a threshold label stands in (said so).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import SAMPLES, save
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.files import formats, nrrd
from MedUnlearnableLib.files.cases import CaseFiles, load_case
from MedUnlearnableLib.files.volume import read_json, write_atomically

#: name, image, label or None, threshold for the label where there is none (stored units)
FILES: list[tuple[str, str, str | None, float]] = [
    ("CT body, 41 organs", "ct_body_3mm_hu_int16.nii.gz", "ct_body_3mm_labels.nii.gz", 0),
    ("CT head, oblique", "ct_head_oblique_hu_int16.nrrd", None, 300),
    ("MR body, negative values", "mr_body_3mm_int16.nii.gz", None, 600),
    ("Ultrasound benign_10", "busi_fullres_with_masks/benign_10.png", "busi_fullres_with_masks/benign_10_mask.png", 0),
    ("Ultrasound 200", "busi_fullres_with_masks/benign_200.png", "busi_fullres_with_masks/benign_200_mask.png", 0),
]  # fmt: skip


def main() -> None:
    if not SAMPLES.is_dir():
        sys.exit(f"the sample images are not in {SAMPLES}; nothing was measured")
    rows = []
    for name, image, label, threshold in FILES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(protect_and_compare(name, image, label, threshold, Path(folder)))
    print("| file | size | label | PSNR (dB) | SSIM | max change | changed | outside mask identical | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        change = f"{row['max_change']:g} {row['units']}".strip()
        print(
            f"| {row['name']} | {row['size']} | {row['label']} | {row['psnr_db']:.2f} | {row['ssim']:.5f} | {change} "
            f"| {row['share_changed']:.1%} | {'yes' if row['outside_identical'] else 'NO'} | {row['seconds']:.2f} |"
        )
    save("real_samples", rows)


def protect_and_compare(name: str, image: str, label: str | None, threshold: float, folder: Path) -> dict[str, Any]:
    source = folder / Path(image).name
    shutil.copyfile(SAMPLES / image, source)
    label_path = SAMPLES / label if label else threshold_label(source, threshold, folder)
    out = folder / "out"
    command = [sys.executable, "-m", "MedUnlearnableLib", "protect", "umed", "--quiet", "--seed", "1"]
    subprocess.run([*command, "--images", source, "--labels", label_path, "--out", out], check=True)
    stored, case = load_case(CaseFiles("x", source, label_path))
    back = formats.read(out / source.name)
    record = read_json(next(out.glob("*.medunlearnable.json")))
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    region = np.logical_or(*contour_and_interior(case.segments, radius))
    same_geometry = stored.geometry is None or np.array_equal(stored.geometry.ijk_to_ras, back.geometry.ijk_to_ras)  # type: ignore[union-attr]
    assert same_geometry and back.array.dtype == stored.array.dtype, name
    return {
        "name": name,
        "file": image,
        "size": " x ".join(str(n) for n in case.shape_kji[::-1]),
        "label": "its own" if label else f"threshold {threshold:g}",
        "psnr_db": record["psnr_db"],
        "ssim": record["ssim"],
        "max_change": record["max_change_physical"],
        "units": record["units"],
        "window": record["window"],
        "share_changed": record["share_changed"],
        "outside_identical": bool(np.array_equal(stored.array[:, ~region], back.array[:, ~region])),
        "seconds": record["seconds"],
    }


def threshold_label(image: Path, threshold: float, folder: Path) -> Path:
    stored = formats.read(image)
    assert stored.geometry is not None
    mask = (stored.array > threshold).astype(np.uint8)
    path = folder / "threshold.nrrd"
    geometry = stored.geometry
    write_atomically(path, lambda file: nrrd.write(file, mask, geometry, None))
    return path


if __name__ == "__main__":
    main()
