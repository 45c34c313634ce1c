"""The pictures of the generated samples in Slicer's Sample Data module: python Testing/benchmarks/sample_thumbnails.py

Each shows the slice with most of the finding, in the sample's display window.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from MedUnlearnableLib.files.samples import SAMPLES, Sample
from PIL import Image, ImageOps

ICONS = Path(__file__).resolve().parents[2] / "MedUnlearnable" / "Resources" / "Icons"
SIZE = (260, 280)  # what Slicer's documentation asks for
COLORS = 128  # a palette keeps the color picture small


def thumbnail(sample: Sample) -> Image.Image:
    k = int(np.argmax(np.sum(sample.labels == sample.finding, axis=(1, 2))))
    black, white = sample.display_window
    shown = np.clip((sample.image[k] - black) / (white - black) * 255, 0, 255).astype(np.uint8)
    _, down, across = sample.geometry.spacing_kji
    picture = Image.fromarray(shown)
    square = picture.resize((picture.width, round(picture.height * down / across)), Image.Resampling.BICUBIC)
    return ImageOps.pad(square, SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    for name, generate in SAMPLES.items():
        picture = thumbnail(generate())
        path = ICONS / f"{name}.png"
        picture.quantize(COLORS).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
