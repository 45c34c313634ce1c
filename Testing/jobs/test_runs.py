"""Whole runs of the command line: what is written, what repeats, what stays secret, what the reader sees."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from MedUnlearnableLib.files import formats
from PIL import Image


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def record(out: Path, name: str = "a") -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / f"{name}.medunlearnable.json").read_text())
    return data


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "in"
    volumes.add(folder, "a")
    volumes.add(folder, "b", image=volumes.tissue(1))
    return folder


@pytest.fixture(scope="module")
def run(cohort: Path, cli: Any) -> tuple[Path, Path, Any, dict[str, str]]:
    """One run with a fresh secret seed and a saved state: input, output, what was shown, hashes of the input before."""
    before = hashes(cohort)
    out = cohort.parent / "out"
    ended = cli.protect(cohort, out, "--save-state", cohort.parent / "key.json", "--json")
    assert ended.code == 0, ended.err
    return cohort, out, ended, before


def test_a_run_writes_images_labels_records_and_a_manifest(run: Any) -> None:
    cohort, out, _, _ = run
    assert sorted(hashes(out)) == [
        "a.medunlearnable.json",
        "a.nii.gz",
        "b.medunlearnable.json",
        "b.nii.gz",
        "labels/a_seg.nii.gz",
        "labels/b_seg.nii.gz",
        "manifest.json",
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"]
    for entry in manifest["cases"]:
        (image,) = entry["images"]
        assert record(out, entry["id"])["files"] == {image: entry["files"][image]} == {image: hashes(out)[image]}
        assert (out / entry["label"]).read_bytes() == (cohort / Path(entry["label"]).name).read_bytes()


def test_inputs_are_byte_identical_afterwards(run: Any) -> None:
    cohort, _, _, before = run
    assert hashes(cohort) == before


def test_the_fresh_seed_appears_nowhere_in_what_is_handed_out(run: Any) -> None:
    _, out, ended, _ = run
    seed = json.loads((out.parent / "out-private" / "manifest.json").read_text())["seed"]
    assert len(bytes.fromhex(seed)) == 16
    shown = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for content in (*shown.values(), ended.out.encode(), ended.err.encode()):
        assert seed.encode() not in content
        assert bytes.fromhex(seed) not in content


def test_no_hash_of_an_input_appears_in_what_is_handed_out(run: Any) -> None:
    cohort, out, _, _ = run
    handed_out = b"".join(path.read_bytes() for path in out.rglob("*.json"))
    private = (out.parent / "out-private" / "manifest.json").read_text()
    for name in ("a", "b"):
        digest = hashes(cohort)[f"{name}.nii.gz"]
        assert digest.encode() not in handed_out
        assert digest in private


def test_files_with_a_key_are_their_owners_alone(run: Any) -> None:
    _, out, _, _ = run
    for path in (
        out.parent / "key.json",
        out.parent / "out-private/manifest.json",
        out.parent / "out-private/job/job.json",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_json_lines_parse_and_end_with_finished(run: Any) -> None:
    _, _, ended, _ = run
    assert ended.err == ""
    assert ended.events[0]["event"] == "started"
    assert ended.events[-1]["event"] == "finished"
    assert ended.events[-1]["exit_code"] == 0
    assert [event["case"] for event in ended.events if event["event"] == "case"] == ["a", "b"]
    assert [e["event"] for e in ended.events].count("finished") == 1


def test_two_fresh_runs_have_different_keys(run: Any, cohort: Path, cli: Any, tmp_path: Path) -> None:
    _, out, _, _ = run
    ended = cli.protect(cohort, tmp_path / "out")
    assert record(tmp_path / "out")["seed_id"] != record(out)["seed_id"]
    assert "2 of 2 cases done" in ended.out
    assert f"Hand out: {tmp_path / 'out'}" in ended.out


def test_the_same_seed_repeats_images_and_records_and_another_does_not(cohort: Path, cli: Any, tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        ended = cli.protect(cohort, tmp_path / name, "--seed", seed, "--quiet")
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    for case in ("a", "b"):
        one, again, other = (tmp_path / name / f"{case}.nii.gz" for name in ("one", "again", "other"))
        assert one.read_bytes() == again.read_bytes()
        assert one.read_bytes() != other.read_bytes()
        records = [record(tmp_path / name, case) for name in ("one", "again", "other")]
        for kept in records:
            del kept["seconds"]
        assert records[0] == records[1]
        assert records[0]["voxels_sha256"] != records[2]["voxels_sha256"]


def test_a_saved_state_gives_a_new_case_the_same_carrier_and_window(
    run: Any, cli: Any, volumes: Any, tmp_path: Path
) -> None:
    """A CT, so that the window is the cohort's; the sign of each change is the carrier's."""
    grid = np.indices(volumes.tissue().shape).sum(axis=0)
    for number, name in enumerate(("first", "second")):
        volumes.add(tmp_path / name, "ct", image=(grid * 9 + number * 100 - 100).astype(np.int16))
    shared = ("--window", "ct")
    key = tmp_path / "key.json"
    assert cli.protect(tmp_path / "first", tmp_path / "o1", *shared, "--save-state", key).code == 0
    assert cli.protect(tmp_path / "second", tmp_path / "o2", "--state", key).code == 0
    assert cli.protect(tmp_path / "second", tmp_path / "o3", *shared).code == 0
    first, second, fresh = (record(tmp_path / out, "ct") for out in ("o1", "o2", "o3"))
    assert (first["seed_id"], first["window"]) == (second["seed_id"], second["window"])
    assert fresh["seed_id"] != second["seed_id"]
    assert fresh["window"] != second["window"]
    changes = [
        formats.read(tmp_path / o / "ct.nii.gz").array.astype(int) - formats.read(tmp_path / i / "ct.nii.gz").array
        for i, o in (("first", "o1"), ("second", "o2"))
    ]
    both = (changes[0] != 0) & (changes[1] != 0)
    assert both.sum() > 100
    np.testing.assert_array_equal(np.sign(changes[0][both]), np.sign(changes[1][both]))


def test_a_repeated_case_with_its_state_gives_the_same_bytes(run: Any, cohort: Path, cli: Any, tmp_path: Path) -> None:
    _, out, _, _ = run
    ended = cli.protect(cohort / "a.nii.gz", tmp_path / "out", "--state", out.parent / "key.json")
    assert ended.code == 0
    assert (tmp_path / "out" / "a.nii.gz").read_bytes() == (out / "a.nii.gz").read_bytes()


def test_outside_the_mask_other_libraries_find_every_voxel_unchanged(run: Any) -> None:
    cohort, out, _, _ = run
    for name in ("a", "b"):
        before, after = (nib.load(folder / f"{name}.nii.gz") for folder in (cohort, out))
        voxels = [np.asarray(image.dataobj) for image in (before, after)]
        label = np.asarray(nib.load(cohort / f"{name}_seg.nii.gz").dataobj)
        far = np.ones(label.shape, bool)
        i, j, k = (slice(max(0, n.min() - 4), n.max() + 5) for n in np.nonzero(label))
        far[i, j, k] = False
        assert after.header == before.header
        np.testing.assert_array_equal(voxels[0][far], voxels[1][far])
        change = np.abs(voxels[0].astype(int) - voxels[1])
        assert 0 < change.max() <= record(out, name)["budget"]
        assert change.max() == record(out, name)["max_change"]
        assert np.count_nonzero(change) / change.size == pytest.approx(record(out, name)["share_changed"])


def test_a_folder_of_all_formats_is_one_run(cli: Any, volumes: Any, tmp_path: Path) -> None:
    """NIfTI, NRRD and PNG (8, 16 bit, gray and RGB): budget and mask hold on disk as SimpleITK reads it."""
    folder = tmp_path / "in"
    volumes.add(folder, "nifti")
    sitk.WriteImage(sitk.GetImageFromArray(volumes.tissue(2)), str(folder / "plain.nrrd"))
    sitk.WriteImage(sitk.GetImageFromArray(volumes.ball()), str(folder / "plain.seg.nrrd"))
    mask = np.zeros((24, 22), np.uint8)
    mask[8:16, 7:15] = 255
    plane = volumes.tissue(3)
    pictures = {
        "gray8": (plane[0] % 256).astype(np.uint8),
        "gray16": plane[1].astype(np.uint16) * 50,
        "rgb8": np.moveaxis(plane[:3] % 256, 0, -1).astype(np.uint8),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
        Image.fromarray(mask).save(folder / f"{name}_mask.png")
    rgb16 = sitk.GetImageFromArray(np.moveaxis(plane[:3], 0, -1).astype(np.uint16) * 50, isVector=True)
    sitk.WriteImage(rgb16, str(folder / "rgb16.png"))
    Image.fromarray(mask).save(folder / "rgb16_mask.png")

    ended = cli.protect(folder, tmp_path / "out")
    assert ended.code == 0, ended.err
    for path in sorted((tmp_path / "out").iterdir()):
        if path.suffix not in (".png", ".nrrd", ".gz"):
            continue
        before, after = (sitk.ReadImage(str(at / path.name)) for at in (folder, tmp_path / "out"))
        assert before.GetPixelIDTypeAsString() == after.GetPixelIDTypeAsString()
        change = np.abs(sitk.GetArrayFromImage(after).astype(int) - sitk.GetArrayFromImage(before))
        facts = record(tmp_path / "out", path.name.split(".")[0])
        assert 0 < change.max() == facts["max_change"] <= facts["budget"], path
        corner = change[(0, slice(0, 3), slice(0, 3)) if path.suffix != ".png" else (slice(0, 3), slice(0, 3))]
        assert not corner.any(), path


def test_of_x_nii_and_x_nii_gz_the_one_that_was_named_is_protected(cli: Any, volumes: Any, tmp_path: Path) -> None:
    path = volumes.add(tmp_path)
    nib.save(nib.Nifti1Image(np.zeros((22, 24, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    assert cli.protect(path, tmp_path / "out").code == 0
    before, after = (formats.read(at / "a.nii.gz").array for at in (tmp_path, tmp_path / "out"))
    assert 0 < np.abs(after.astype(int) - before).max() <= record(tmp_path / "out")["budget"]


def test_info_says_what_is_installed(cli: Any) -> None:
    ended = cli.run("info", "--json")
    assert ended.code == 0
    assert {"medunlearnable", "python", "numpy", "device", "memory"} <= json.loads(ended.out).keys()


def test_a_data_set_of_nnunet_is_protected_whole_and_resumed_from_another_folder(
    tmp_path: Path, cli: Any, volumes: Any
) -> None:
    """Channels together, what has no labels named, and relative paths that mean the same from elsewhere."""
    root = tmp_path / "in" / "Dataset001"
    for name in ("imagesTr/a_0000", "imagesTr/a_0001", "imagesTs/t_0000", "imagesTs/t_0001"):
        volumes.add(root / name.split("/")[0], name.split("/")[1], image=volumes.tissue(len(name)))
    for path in root.rglob("*_seg.nii.gz"):
        path.unlink()
    volumes.add(root / "labels", "a", image=volumes.ball())
    (root / "labels").rename(root / "labelsTr")
    (root / "labelsTr" / "a_seg.nii.gz").unlink()
    (root / "dataset.json").write_text('{"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz"}')
    ended = cli.run("protect", "umed", "--images", "in/Dataset001", "--out", "out", cwd=tmp_path)
    assert ended.code == 0, ended.err
    sentence = "imagesTs: 2 files without labels are left out, neither protected nor copied"
    assert f"warning: {sentence}" in ended.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["warnings"] == [sentence]
    assert manifest["cases"][0]["images"] == ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"]
    again = cli.run("protect", "umed", "--images", "Dataset001", "--out", "../out", "--resume", cwd=tmp_path / "in")
    assert again.code == 0, again.err
    assert "1 cases are finished" in again.out
