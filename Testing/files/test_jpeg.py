"""JPEG in, PNG out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files import formats, labels
from MedUnlearnableLib.files.cases import FileCases, find_cases
from MedUnlearnableLib.files.outputs import OutputFolder
from PIL import Image, ImageCms

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save(path: Path, mode: str = "RGB", **options: Any) -> Path:
    pixels = np.random.default_rng(0).integers(20, 230, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, "JPEG", **options)
    return path


def save_label(path: Path, value: int = 255) -> Path:
    mask = np.zeros((40, 50), np.uint8)
    mask[10:30, 15:35] = value
    Image.fromarray(mask).save(path)
    return path


@pytest.mark.parametrize("value", [255, 0])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("ending", [".jpg", ".JPEG"])
def test_the_result_is_a_png_of_the_same_name_that_says_so(tmp_path: Path, mode: str, ending: str, value: int) -> None:
    """Without foreground, too: a single JPEG would show which picture is unprotected."""
    (tmp_path / "in").mkdir()
    path = save(tmp_path / "in" / f"x{ending}", mode, icc_profile=PROFILE, dpi=(100, 100))
    save_label(tmp_path / "in" / "x_mask.png", value)
    (files,) = find_cases(tmp_path / "in", None)
    source = FileCases([files])
    protected = UMed(UMedParams(), RandomStreams.from_number(1)).protect(source.load("x"))
    entry = OutputFolder(tmp_path / "out").write(files, source.stored("x"), protected)
    assert entry["images"] == ["x.png"]
    assert any("JPEG is lossy, so the result is a PNG" in warning for warning in entry["warnings"])
    assert json.loads((tmp_path / "out" / "x.medunlearnable.json").read_text())["files"].keys() == {"x.png"}
    with Image.open(tmp_path / "out" / "x.png") as written, Image.open(path) as before:
        assert (written.format, written.mode) == ("PNG", mode)
        assert written.info["icc_profile"] == PROFILE
        assert written.info["dpi"] == pytest.approx((100, 100), rel=1e-3)
        shown = np.asarray(written)
        assert (shown != np.asarray(before)).any() == bool(value)
    np.testing.assert_array_equal(shown.reshape(40, 50, -1), np.moveaxis(protected.image[:, 0], 0, -1))


def test_the_real_fundus_is_read_as_pillow_reads_it(samples: Path) -> None:
    stored = formats.read(samples / "fundus_retina_cc0.jpg")
    with Image.open(samples / "fundus_retina_cc0.jpg") as picture:
        np.testing.assert_array_equal(np.moveaxis(stored.array[:, 0], 0, -1), np.asarray(picture))
    assert stored.modality == "picture"


def test_what_cannot_be_kept_is_refused_by_name(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    whole = save(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "png.jpg", "PNG")
    save(tmp_path / "print.jpg", "CMYK")
    save(tmp_path / "turned.jpg", exif=turned)
    messages = {
        "cut": "damaged",
        "text": "no JPEG",
        "png": "no JPEG",
        "print": "CMYK colors",
        "turned": "must be turned",
    }
    for name, message in messages.items():
        with pytest.raises(Refused, match=rf"{name}\.jpg: .*{message}"):
            formats.read(tmp_path / f"{name}.jpg")


def test_a_jpeg_is_no_label(tmp_path: Path) -> None:
    image = formats.read(save(tmp_path / "x.jpg"))
    with pytest.raises(Refused, match=r"y\.jpg: JPEG is lossy and smears label values"):
        labels.read(save(tmp_path / "y.jpg", "L"), image)
