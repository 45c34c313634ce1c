"""Certificates beside real files: they survive other formats and programs, and restore what was there."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_helpers import some_volume, write_series
from MedUnlearnableLib import __version__
from MedUnlearnableLib.engine.case import Case, Geometry
from MedUnlearnableLib.engine.certificate.canonical import text_of
from MedUnlearnableLib.engine.certificate.keys import PrivateKey, PublicKey
from MedUnlearnableLib.engine.certificate.verify import Kind, Trust
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.record import Protected, Record
from MedUnlearnableLib.files import formats, nrrd
from MedUnlearnableLib.files.certificates import Sealer, certificate_beside, restore_file, verify_file, verify_folder
from MedUnlearnableLib.files.keys import TrustList, config_folder, find_public_key, load_key, save_key
from MedUnlearnableLib.files.volume import StoredImage, write_atomically, write_folder_atomically
from PIL import Image as Picture

ISSUER = PrivateKey(bytes(range(32)), "Clinic A")
PUBLIC = {"epsilon": 0.5, "accuracy": {"r\u00e9seau": (0.25,)}}
SECRETS = {"logos": [{"x": 3, "y": 4.5}]}
SHAPE = (5, 12, 14)
#: Columns at right angles (ITK reads no others), none along an axis of the body; spacing 0.8, 0.7, 2.5 mm.
OBLIQUE = np.array(
    [
        [0.8 * 0.96, -0.7 * 0.168, 2.5 * 0.224, -20.0],
        [0.8 * 0.28, 0.7 * 0.576, -2.5 * 0.768, 11.5],
        [0.0, 0.7 * 0.8, 2.5 * 0.6, 7.25],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def trusted(key: PublicKey) -> Trust:
    return Trust.TRUSTED if key == ISSUER.public else Trust.UNKNOWN


def float_volume() -> np.ndarray:
    volume = np.random.default_rng(4).normal(0, 50, SHAPE).astype("f4")
    volume.reshape(-1).view("u4")[:4] = 0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000
    return volume


VOLUMES = {
    "int16": some_volume("i2", SHAPE),
    "uint16": some_volume("u2", SHAPE),
    "uint8": some_volume("u1", SHAPE),
    "float32": float_volume(),
}


def write_nrrd(folder: Path, volume: np.ndarray) -> Path:
    path = folder / "a.nrrd"
    write_atomically(path, lambda file: nrrd.write(file, volume[np.newaxis], Geometry(OBLIQUE), None))
    return path


def write_nifti(folder: Path, volume: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(volume.T, OBLIQUE), folder / "a.nii.gz")
    return folder / "a.nii.gz"


def write_dicom(folder: Path, volume: np.ndarray) -> Path:
    return write_series(folder / "a", volume)


def write_picture(folder: Path, volume: np.ndarray) -> Path:
    Picture.fromarray(np.moveaxis(volume[:3], 0, -1).copy()).save(folder / "a.png")
    return folder / "a.png"


WRITERS = {"nrrd": write_nrrd, "nifti": write_nifti, "dicom": write_dicom, "png": write_picture}
CASES = [
    *((kind, dtype) for kind in ("nrrd", "nifti") for dtype in VOLUMES),
    *(("dicom", dtype) for dtype in ("int16", "uint16", "uint8")),
    ("png", "uint8"),
]


def protected_of(stored: StoredImage, image: np.ndarray) -> Protected:
    """What a method would give: the image, a record and what only the key holder may read."""
    case = Case("a", stored.array, stored.geometry or Geometry(np.eye(4)))
    record = Record(
        case="a", state="protected", method="MedLocker", profile="instant", version="0", parameters=PUBLIC,
        seed_id="", window=(0.0, 1.0), units="", budget=0.0, psnr_db=None, ssim=1.0, max_change=0.0,
        max_change_physical=0.0, share_changed=0.0, voxels_sha256="", seconds=0.0,
    )  # fmt: skip
    return Protected(case, image, record, SECRETS)


def protect(original: Path, folder: Path, sealer: Sealer | None = None) -> Path:
    """A file like `original` in `folder`, with a logo, and its certificate beside it."""
    stored = formats.read(original)
    image = stored.array.copy()
    image[..., 2:7, 3:9] = 7
    path = folder / original.name
    atomically = write_folder_atomically if stored.parts else write_atomically
    atomically(path, lambda place: stored.write_to(place, image))
    (sealer or Sealer(ISSUER)).write(path, stored, image, protected_of(stored, image))
    return path


@pytest.fixture(params=CASES, ids="-".join)
def pair(request, tmp_path: Path) -> tuple[Path, Path]:
    """An original and its protected file."""
    kind, dtype = request.param
    (tmp_path / "in").mkdir()
    original = WRITERS[kind](tmp_path / "in", VOLUMES[dtype])
    return original, protect(original, tmp_path / "out")


def same_values(a: Path, b: Path) -> bool:
    first, second = (formats.read(path).array for path in (a, b))
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


def test_every_format_is_verified_and_restored_bit_for_bit(pair, tmp_path):
    original, protected = pair
    assert verify_file(protected, trusted).kind is Kind.TRUSTED
    out = tmp_path / "restored" / original.name
    restored = restore_file(protected, out, ISSUER, trusted)
    assert same_values(out, original)
    assert restored.parameters == {"logos": [{"x": 3, "y": "4.5"}]}  # no floats in signed JSON
    if out.is_file():
        assert out.read_bytes() == original.read_bytes() or out.suffix in (".gz", ".png")  # recompressed
    with pytest.raises(Refused, match="exists already"):
        restore_file(protected, out, ISSUER, trusted)


def test_a_copy_in_another_format_has_the_same_certificate(pair, tmp_path):
    """SimpleITK reads and writes as Slicer does: DICOM and NIfTI become physical values in NRRD, and back."""
    _, protected = pair
    if protected.suffix == ".png":
        image = sitk.ReadImage(str(protected))
        endings = ["nrrd"]
    else:
        names = sorted(map(str, protected.iterdir())) if protected.is_dir() else [str(protected)]
        if len(names) > 1:
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(protected))
        image = sitk.ReadImage(names if len(names) > 1 else names[0])
        endings = ["nrrd", "nii.gz", "mha"]
    for ending in endings:
        for pixel in (image.GetPixelID(), sitk.sitkVectorFloat32 if endings == ["nrrd"] else sitk.sitkFloat32):
            copy_of = tmp_path / f"a.{ending}"
            sitk.WriteImage(sitk.Cast(image, pixel), str(copy_of))
            verdict = verify_file(copy_of, trusted, certificate_beside(protected))
            if protected.name == "a.nii.gz" and image.GetPixelID() == sitk.sitkFloat32:
                assert verdict.slices == (0,)  # ITK adds NIfTI's intercept of 0, and the sign of a zero is gone
            else:
                assert verdict.kind is Kind.TRUSTED, (ending, pixel, verdict)


def test_an_original_comes_back_from_a_copy_in_another_format(tmp_path):
    original = write_nifti(tmp_path, VOLUMES["int16"])
    protected = protect(original, tmp_path / "out")
    image = sitk.Cast(sitk.ReadImage(str(protected)), sitk.sitkFloat32)
    sitk.WriteImage(sitk.DICOMOrient(image, "ASL"), str(tmp_path / "out" / "a.nrrd"))
    restore_file(tmp_path / "out" / "a.nrrd", tmp_path / "back.nrrd", ISSUER, trusted)
    back = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "back.nrrd")), "RAS")
    expected = sitk.DICOMOrient(sitk.ReadImage(str(original)), "RAS")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(expected))


def test_hounsfield_units_of_a_dicom_series_are_restored_in_nrrd(tmp_path):
    volume = np.random.default_rng(0).integers(0, 3000, SHAPE).astype("i2")
    original = write_dicom(tmp_path, volume)
    protected = protect(original, tmp_path / "out")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(protected))
    sitk.WriteImage(sitk.ReadImage(names), str(tmp_path / "out" / "a.nrrd"))
    restore_file(tmp_path / "out" / "a.nrrd", tmp_path / "back.nrrd", ISSUER, trusted)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(original))
    back, expected = (sitk.GetArrayFromImage(sitk.ReadImage(n)) for n in (str(tmp_path / "back.nrrd"), names))
    np.testing.assert_array_equal(back, expected)
    assert back.min() < 0


def test_a_restored_dicom_series_is_no_longer_called_protected(tmp_path):
    protected = protect(write_dicom(tmp_path, VOLUMES["int16"]), tmp_path / "out")
    restore_file(protected, tmp_path / "back", ISSUER, trusted)
    marked, back = (pydicom.dcmread(folder / "00.dcm") for folder in (protected, tmp_path / "back"))
    assert marked.SeriesDescription == "thorax (not for diagnosis)"
    assert back.SeriesDescription == "thorax"
    assert back.DerivationDescription.endswith(f"original values restored by MedUnlearnable {__version__}")
    assert back.SeriesInstanceUID != marked.SeriesInstanceUID


def test_a_copy_that_cannot_hold_the_original_is_refused_and_nothing_written(tmp_path):
    protected = write_nrrd(tmp_path, np.full(SHAPE, 7, "u1"))
    stored = formats.read(write_nrrd(tmp_path / "in", VOLUMES["int16"]))
    sevens = np.full((1, *SHAPE), 7, "i2")
    Sealer(ISSUER).write(protected, stored, sevens, protected_of(stored, sevens))
    assert verify_file(protected, trusted).kind is Kind.TRUSTED
    with pytest.raises(Refused, match="cannot hold the original"):
        restore_file(protected, tmp_path / "back.nrrd", ISSUER, trusted)
    assert not (tmp_path / "back.nrrd").exists()


def test_a_detached_header_is_restored_with_its_data_file(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOLUMES["int16"]), str(tmp_path / "a.mhd"))
    (tmp_path / "out").mkdir()
    stored = formats.read(tmp_path / "a.mhd")
    image = stored.array.copy()
    image[:, 1] = 0
    for path, write in ((stored.data.path, stored.data.write_to), (stored.path, stored.write_to)):
        with (tmp_path / "out" / path.name).open("wb") as file:
            write(file, image)
    protected = tmp_path / "out" / "a.mhd"
    Sealer(ISSUER).write(protected, stored, image, protected_of(stored, image))
    restore_file(protected, tmp_path / "back" / "a.mhd", ISSUER, trusted)
    assert same_values(tmp_path / "back" / "a.mhd", tmp_path / "a.mhd")
    with pytest.raises(Refused, match=r"keep the name a\.mhd"):
        restore_file(protected, tmp_path / "back" / "b.mhd", ISSUER, trusted)


def test_a_large_payload_lies_beside_the_certificate(tmp_path):
    original = write_nrrd(tmp_path, some_volume("i2", (5, 400, 400)))
    stored = formats.read(original)
    image = stored.array[:, ::-1].copy()
    protected = tmp_path / "out" / "a.nrrd"
    write_atomically(protected, lambda file: stored.write_to(file, image))
    made = Sealer(ISSUER).write(protected, stored, image, protected_of(stored, image))
    assert [path.name for path in made] == ["a.mulcert.json", "a.mulpay"]
    restore_file(protected, tmp_path / "back.nrrd", ISSUER, trusted)
    assert same_values(tmp_path / "back.nrrd", original)

    payload = made[1].read_bytes()
    made[1].write_bytes(payload[:-1] + bytes([payload[-1] ^ 1]))
    assert verify_file(protected, trusted).kind is Kind.BAD_CERTIFICATE
    made[1].unlink()
    assert verify_file(protected, trusted).kind is Kind.TRUSTED
    with pytest.raises(Refused, match="missing"):
        restore_file(protected, tmp_path / "b.nrrd", ISSUER, trusted)
    assert not (tmp_path / "b.nrrd").exists()


def test_the_public_part_is_what_the_record_says(tmp_path):
    protected = protect(write_nrrd(tmp_path, VOLUMES["int16"]), tmp_path / "out")
    method = json.loads(certificate_beside(protected).read_text())["method"]
    assert method["name"] == "MedLocker"
    assert method["statement"] == {"epsilon": "0.5", "accuracy": {"r\\xe9seau": ["0.25"]}}


def test_a_small_payload_leaves_no_file(tmp_path):
    protect(write_nrrd(tmp_path, VOLUMES["int16"]), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mulcert.json", "a.nrrd"]


def test_truncated_and_damaged_files_get_a_verdict(tmp_path):
    protected = protect(write_nrrd(tmp_path, VOLUMES["int16"]), tmp_path / "out")
    whole, certificate = protected.read_bytes(), certificate_beside(protected)
    protected.write_bytes(whole[:-3])
    assert verify_file(protected, trusted).kind is Kind.OTHER_IMAGE
    protected.write_bytes(whole)
    certificate.write_bytes(certificate.read_bytes()[:-30])
    assert verify_file(protected, trusted).kind is Kind.BAD_CERTIFICATE


def test_missing_files_are_refused_by_name(tmp_path):
    path = write_nrrd(tmp_path, VOLUMES["uint8"])
    with pytest.raises(Refused, match=r"a\.mulcert\.json"):
        verify_file(path, trusted)
    with pytest.raises(Refused, match=r"b\.nrrd"):
        verify_file(tmp_path / "b.nrrd", trusted)


def test_a_folder_is_verified_as_a_whole(tmp_path):
    out = tmp_path / "out"
    for name in ("good", "tampered", "lost", "alone"):
        original = write_nrrd(tmp_path, VOLUMES["int16"])
        original = original.rename(tmp_path / f"{name}.nrrd")
        protect(original, out / "imagesTr")
    series = protect(write_dicom(tmp_path, VOLUMES["int16"]), out)
    tampered = out / "imagesTr" / "tampered.nrrd"
    tampered.write_bytes(tampered.read_bytes()[:-1] + b"\0")
    (out / "imagesTr" / "lost.nrrd").unlink()
    (out / "imagesTr" / "alone.mulcert.json").unlink()
    (out / "labels").mkdir()
    shutil.copy(out / "imagesTr" / "good.nrrd", out / "labels" / "good.nrrd")
    found = {path.name: verdict.kind for path, verdict in verify_folder(out, trusted)}
    assert found == {
        series.name: Kind.TRUSTED,
        "good.nrrd": Kind.TRUSTED,
        "tampered.nrrd": Kind.CHANGED,
        "lost.mulcert.json": Kind.OTHER_IMAGE,
        "alone.nrrd": Kind.BAD_CERTIFICATE,
    }
    with pytest.raises(Refused, match="no certificate"):
        verify_folder(out / "labels", trusted)


def test_nothing_of_the_patient_and_no_pixel_stands_in_the_files(tmp_path):
    """The series helper writes PatientName REMOVED, PatientID 1."""
    original = write_dicom(tmp_path, VOLUMES["int16"])
    protected = protect(original, tmp_path / "out")
    text = certificate_beside(protected).read_text()
    assert "REMOVED" not in text
    assert str(tmp_path) not in text
    assert '"logos"' not in text


# Keys


@pytest.fixture
def trust_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrustList:
    monkeypatch.setenv("MEDUNLEARNABLE_CONFIG", str(tmp_path / "config"))
    return TrustList()


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_a_key_file_is_for_its_owner_alone(tmp_path, passphrase):
    key = PrivateKey.fresh("Clinic A")
    previous = os.umask(0)
    try:
        private, public = save_key(tmp_path / "keys", key, passphrase)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    loaded = load_key(private)
    assert loaded.needs_passphrase == bool(passphrase)
    assert loaded.unlock(passphrase) == key
    assert find_public_key(str(public)) == (key.public, "Clinic A")
    assert find_public_key(key.public.text) == (key.public, "")
    if passphrase:
        assert text_of(key.seed) not in private.read_text()
        for wrong in ("", "Open sesame"):
            with pytest.raises(Refused, match=r"mulkey\.json: the passphrase is wrong"):
                loaded.unlock(wrong)


def test_a_key_is_never_overwritten(tmp_path):
    save_key(tmp_path, PrivateKey.fresh("a"), "")
    before = (tmp_path / "mulkey.json").read_bytes()
    with pytest.raises(Refused, match="never overwritten"):
        save_key(tmp_path, PrivateKey.fresh("b"), "")
    assert (tmp_path / "mulkey.json").read_bytes() == before


def test_a_key_file_whose_public_part_was_exchanged_is_refused(tmp_path):
    private, _ = save_key(tmp_path, ISSUER, "")
    data = json.loads(private.read_text())
    data["public_key"] = PrivateKey.fresh("b").public.text
    private.write_text(json.dumps(data))
    with pytest.raises(Refused, match="do not belong together"):
        load_key(private).unlock()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "mul-key/1"}', "no JSON"])
def test_what_is_no_key_file_is_refused_by_name(tmp_path, text):
    (tmp_path / "mulkey.json").write_text(text)
    with pytest.raises(Refused, match=r"mulkey\.json"):
        load_key(tmp_path / "mulkey.json")
    (tmp_path / "mulkey.pub").write_text(text)
    with pytest.raises(Refused, match=r"mulkey\.pub"):
        find_public_key(str(tmp_path / "mulkey.pub"))


def test_issuers_are_pinned_and_revoked_for_good(trust_list):
    assert trust_list.of(ISSUER.public) is Trust.UNKNOWN
    trust_list.pin(ISSUER.public, "Clinic A")
    assert TrustList().of(ISSUER.public) is Trust.TRUSTED
    trust_list.pin(PrivateKey.fresh("b").public, "b")
    trust_list.pin(ISSUER.public, "Clinic A", Trust.REVOKED)
    assert TrustList().of(ISSUER.public) is Trust.REVOKED
    assert [(issuer.name, issuer.trust) for issuer in TrustList().issuers()] == [
        ("b", Trust.TRUSTED),
        ("Clinic A", Trust.REVOKED),
    ]
    with pytest.raises(Refused, match="revoked"):
        trust_list.pin(ISSUER.public, "Clinic A")


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"format": "mul-trust/1", "issuers": [{}]}'])
def test_a_damaged_list_trusts_nobody(trust_list, text):
    trust_list.pin(ISSUER.public, "Clinic A")
    trust_list.path.write_text(text)
    with pytest.raises(Refused, match=r"trust\.json"):
        trust_list.of(ISSUER.public)


def test_settings_lie_where_the_system_has_them(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDUNLEARNABLE_CONFIG", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "MedUnlearnable"
