"""MedLocker from the command line, with the real worker: pictures, a volume, DICOM."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from MedUnlearnableLib.files import formats
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "files"))
from dicom_helpers import write_series

SIDE = 48


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight RGB pictures, bright in one of two corners, with boxes and classes."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "in").mkdir()
    boxes, classes = [["case", "x0", "y0", "x1", "y1"]], [["case", "label"]]
    for number in range(8):
        random = np.random.default_rng(number)
        image = random.integers(80, 120, (SIDE, SIDE, 3)).astype(np.uint8)
        shown = number % 2
        image[:20, 28 * shown : 28 * shown + 20] += np.uint8(60)
        Image.fromarray(image).save(root / "in" / f"p{number}.png")
        boxes.append([f"p{number}", 20, 30, 28, 38])  # type: ignore[list-item]
        classes.append([f"p{number}.png", ("left", "right")[shown]])
    for name, rows in (("boxes.csv", boxes), ("classes.csv", classes)):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


def model(root: Path) -> Path:
    """A TorchScript model that looks at the two corners."""
    torch = pytest.importorskip("torch")

    class Corners(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, planes: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            lead = planes[:, :, :20, :20].mean(dim=(1, 2, 3)) - planes[:, :, :20, 28:].mean(dim=(1, 2, 3))
            return torch.stack([lead, -lead], dim=1) * 10

    torch.jit.script(Corners()).save(str(root / "corners.pt"))
    description = {"kind": "torchscript", "file": "corners.pt", "size": [SIDE, SIDE], "channels": 3}
    (root / "corners.json").write_text(json.dumps({**description, "classes": ["left", "right"]}))
    return root / "corners.json"


def protect(cli: Any, images: Path, out: Path, *more: object) -> Any:
    return cli.run("protect", "medlocker", "--images", images, "--out", out, "--logo", "X", "--quiet", *more)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.medunlearnable.json"))]


def test_a_folder_of_pictures_is_marked_against_a_model(pictures: Path, cli: Any, tmp_path: Path) -> None:
    options = ("--boxes", pictures / "boxes.csv", "--classes", pictures / "classes.csv", "--model", model(pictures),
               "--logos", 3, "--seed", 1)  # fmt: skip
    refused = protect(cli, pictures / "in", tmp_path / "refused", *options)
    assert refused.code == 1
    assert "--trust-models" in refused.err
    ended = protect(cli, pictures / "in", tmp_path / "out", *options, "--trust-models")
    assert ended.code == 0, ended.err
    found = records(tmp_path / "out")
    assert len(found) == 8
    for record in found:
        chosen = record["parameters"]
        assert chosen["clean_accuracy"] == {"corners": 1.0}
        assert chosen["lesion_overlap_voxels"] == 0
        assert record["profile"] == "standard"
        after = np.asarray(Image.open(tmp_path / "out" / f"{record['case']}.png"))
        before = np.asarray(Image.open(pictures / "in" / f"{record['case']}.png"))
        assert (after != before).any()
        assert np.array_equal(after[30:38, 20:28], before[30:38, 20:28])
    assert sum(record["parameters"]["misled_spots"] for record in found) >= 6


def test_without_a_model_and_few_labels_the_key_decides_the_place(pictures: Path, cli: Any, tmp_path: Path) -> None:
    ended = protect(cli, pictures / "in", tmp_path / "out", "--boxes", pictures / "boxes.csv")
    assert ended.code == 0, ended.err
    assert {record["profile"] for record in records(tmp_path / "out")} == {"instant"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "no model is given" in manifest["profile_reason"] or "not installed" in manifest["profile_reason"]


def test_a_volume_keeps_its_lesion_free(volumes: Any, cli: Any, tmp_path: Path) -> None:
    path = volumes.add(tmp_path / "in")
    ended = protect(cli, path, tmp_path / "out", "--margin", 0, "--slab", 0, "--mode", "sealed")
    assert ended.code == 0, ended.err
    before, after = formats.read(path).array, formats.read(tmp_path / "out" / "a.nii.gz").array
    changed = (before != after)[0]
    assert not changed[volumes.ball() > 0].any()
    assert np.flatnonzero(changed.any(axis=(1, 2))).tolist() == [2, 3]


def test_a_data_set_of_two_channels_is_marked_in_both_and_stays_such_a_set(
    volumes: Any, cli: Any, tmp_path: Path
) -> None:
    data = tmp_path / "Dataset001_Two"
    (data / "imagesTr").mkdir(parents=True)
    (data / "labelsTr").mkdir()
    for number, values in enumerate((volumes.tissue(0), (volumes.tissue(1) / 7000).astype(np.float32))):
        nib.save(nib.Nifti1Image(values.T, np.eye(4)), data / "imagesTr" / f"b_{number:04}.nii.gz")
    nib.save(nib.Nifti1Image(volumes.ball().T, np.eye(4)), data / "labelsTr" / "b.nii.gz")
    description = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "ball": 1}, "numTraining": 1}
    (data / "dataset.json").write_text(json.dumps({**description, "file_ending": ".nii.gz"}))
    ended = protect(cli, data, tmp_path / "out", "--profile", "instant", "--margin", 0, "--slab", 0)
    assert ended.code == 0, ended.err
    changes = []
    for number, dtype in enumerate((np.int16, np.float32)):
        name = f"imagesTr/b_{number:04}.nii.gz"
        before, after = formats.read(data / name).array, formats.read(tmp_path / "out" / name).array
        assert before.dtype == after.dtype == dtype
        changed = (before != after)[0]
        assert np.flatnonzero(changed.any(axis=(1, 2))).tolist() == [2, 3]
        assert not changed[volumes.ball() > 0].any()
        changes.append(float(np.abs(after.astype(float) - before).max()))
    (path,) = (tmp_path / "out").rglob("*.medunlearnable.json")
    record = json.loads(path.read_text())
    assert [channel["max_change"] for channel in record["channels"]] == changes
    whole, small = (channel["window"] for channel in record["channels"])
    assert small[1] < 1 < 100 <= whole[0]
    assert record["parameters"]["lesion_overlap_voxels"] == 0


def test_dicom_says_that_a_mark_is_burned_in(cli: Any, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(900, 1200, (3, 32, 32)).astype(np.int16)
    series = write_series(tmp_path / "series", volume)
    assert protect(cli, series, tmp_path / "out", "--placement", "volume").code == 0
    written = sorted((tmp_path / "out" / "series").iterdir())
    assert len(written) == 3
    assert {pydicom.dcmread(path).BurnedInAnnotation for path in written} == {"YES"}


@pytest.mark.parametrize(("more", "code", "told"), [
    (("--logo", "no.png"), 1, "no.png"),
    (("--profile", "standard"), 1, "--model"),
    (("--profile", "paper"), 2, "--profile paper"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence_and_writes_nothing(
    pictures: Path, cli: Any, tmp_path: Path, more: tuple[str, ...], code: int, told: str
) -> None:
    pytest.importorskip("torch")
    ended = protect(cli, pictures / "in", tmp_path / "out", *more)
    assert ended.code == code, ended.err
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert not list((tmp_path / "out").glob("*.png"))
