"""NIfTI: only voxel bytes change, and geometry is what nibabel says it is."""

from __future__ import annotations

import gzip
import math
import tempfile
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats, nifti
from MedUnlearnableLib.files.volume import StoredImage

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
Order = Literal["<", ">"]
ORDERS: tuple[Order, ...] = ("<", ">")
HEADERS = {1: nib.Nifti1Header, 2: nib.Nifti2Header}
# A comment extension (code 6) of 32 bytes, as nifti1.h lays it out.
EXTENSION = {order: np.array([32, 6], order + "i4").tobytes() + b"scanner said so".ljust(24, b"\0") for order in ORDERS}


def nifti_bytes(
    voxels: np.ndarray, order: Order = "<", version: int = 1, gap: bytes = b"", tail: bytes = b"", **fields: Any
) -> bytes:
    """A file made by nibabel's header class; `gap` lies between header and voxels, `tail` behind them."""
    header = HEADERS[version](endianness=order)
    header.set_data_dtype(voxels.dtype.newbyteorder(order))
    header.set_data_shape(voxels.shape)
    header["magic"] = b"n+1" if version == 1 else b"n+2"
    head = {1: 348, 2: 540}[version]
    extender = b"\0\0\0\0" if not gap else b"\1\0\0\0"
    header["vox_offset"] = head + 4 + len(gap)
    for name, value in fields.items():
        header[name] = value
    data = voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    return header.binaryblock + extender + gap + data + tail


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def rewrite(stored: StoredImage, target: Path) -> np.ndarray:
    """Changes a few voxels, writes, and returns what the file should hold now, [C, D, H, W]."""
    changed = stored.array.copy()
    changed[..., ::2] += 1
    with target.open("wb") as file:
        stored.write_to(file, changed)
    return changed


def unscaled(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


def some_voxels(dtype: str, shape: tuple[int, ...] = (5, 4, 3)) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_only_voxel_bytes_change(tmp_path: Path, version: int, order: Order, dtype: str, ending: str) -> None:
    content = nifti_bytes(
        some_voxels(dtype),
        order,
        version,
        gap=EXTENSION[order],
        tail=b"behind the voxels",
        scl_slope=-0.25,
        scl_inter=3,
        intent_code=1001,
        intent_name=b"estimate",
        descrip=b"kept",
        qform_code=2,
        sform_code=4,
        quatern_b=0.1,
        qoffset_x=12.5,
    )
    source, target = save(tmp_path / f"x{ending}", content), tmp_path / f"out{ending}"
    stored = nifti.read(source)
    expected = rewrite(stored, target)

    voxels = expected[0].T
    assert unscaled(target).dtype == np.dtype(dtype).newbyteorder(order)
    np.testing.assert_array_equal(unscaled(target), voxels)
    before, after = nib.load(source), nib.load(target)
    assert after.header == before.header
    assert after.header.extensions == before.header.extensions
    start = len(content) - len(b"behind the voxels") - stored.array.nbytes
    assert unpacked(target)[:start] == content[:start]
    assert unpacked(target)[start + stored.array.nbytes :] == b"behind the voxels"
    assert (stored.units.slope, stored.units.intercept) == (-0.25, 3.0)


@pytest.mark.parametrize("offset", [348, 352, 353, 1001])
def test_voxels_may_begin_at_any_byte(tmp_path: Path, offset: int) -> None:
    voxels = some_voxels("i2")
    content = nifti_bytes(voxels)
    moved = content[:348] + bytes(range(256))[: offset - 348].ljust(offset - 348, b"\7") + content[352:]
    header = nib.Nifti1Header(moved[:348])
    header["vox_offset"] = offset
    source = save(tmp_path / "x.nii", header.binaryblock + moved[348:])
    stored = nifti.read(source)
    np.testing.assert_array_equal(stored.array[0].T, voxels)
    expected = rewrite(stored, tmp_path / "out.nii")
    written = (tmp_path / "out.nii").read_bytes()
    assert written[:offset] == source.read_bytes()[:offset]
    assert written[offset:] == expected[0].tobytes()


def test_slope_zero_or_not_finite_means_no_scaling(tmp_path: Path) -> None:
    for slope in (0.0, math.nan, math.inf):
        stored = nifti.read(save(tmp_path / "x.nii", nifti_bytes(some_voxels("i2"), scl_slope=slope, scl_inter=5)))
        assert (stored.units.slope, stored.units.intercept) == (1.0, 0.0)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 1, 1), (6, 5, 4, 1)])
def test_axes_of_one_voxel_are_no_fourth_dimension(tmp_path: Path, shape: tuple[int, ...]) -> None:
    voxels = some_voxels("u2", shape)
    stored = nifti.read(save(tmp_path / "x.nii", nifti_bytes(voxels)))
    depth = shape[2] if len(shape) > 2 else 1
    assert stored.array.shape == (1, depth, 5, 6)
    expected = rewrite(stored, tmp_path / "out.nii")
    assert unscaled(tmp_path / "out.nii").shape == shape
    np.testing.assert_array_equal(unscaled(tmp_path / "out.nii").reshape(6, 5, depth), expected[0].T)


def test_rgb_voxels_become_channels_and_go_back(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 200, (5, 4, 3, 3)).astype(np.uint8)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    header.set_data_shape((5, 4, 3))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    content = header.binaryblock + b"\0" * 4 + np.moveaxis(rgb, -1, 0).tobytes(order="F")
    stored = nifti.read(save(tmp_path / "x.nii", content))
    np.testing.assert_array_equal(stored.array, np.moveaxis(rgb, -1, 0).transpose(0, 3, 2, 1))
    expected = rewrite(stored, tmp_path / "out.nii")
    seen = np.asarray(nib.load(tmp_path / "out.nii").dataobj)
    for channel, name in enumerate("RGB"):
        np.testing.assert_array_equal(seen[name], expected[channel].T)


def test_the_same_voxels_give_the_same_gzip_bytes(tmp_path: Path) -> None:
    stored = nifti.read(save(tmp_path / "x.nii.gz", nifti_bytes(some_voxels("i2"))))
    for name in ("a.nii.gz", "b.nii.gz"):
        rewrite(stored, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_the_sibling_of_the_same_stem_is_never_read(tmp_path: Path) -> None:
    save(tmp_path / "x.nii", nifti_bytes(np.zeros((5, 4, 3), np.int16)))
    save(tmp_path / "x.nii.gz", nifti_bytes(np.ones((5, 4, 3), np.int16)))
    assert (formats.read(tmp_path / "x.nii.gz").array == 1).all()
    assert (formats.read(tmp_path / "x.nii").array == 0).all()


reals = st.floats(-200, 200, width=32)
spacings = st.floats(0.125, 8, width=32)


def affine_of(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """What this library and nibabel say about the same file."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "x.nii", content)
        geometry = nifti.read(path).geometry
        assert geometry is not None
        return geometry.ijk_to_ras, nib.load(path).affine


@settings(deadline=None)
@given(
    rows=st.lists(reals, min_size=12, max_size=12),
    order=st.sampled_from(ORDERS),
    version=st.sampled_from([1, 2]),
    qform_code=st.sampled_from([0, 1]),
)
def test_sform_geometry_is_that_of_nibabel(rows: list[float], order: Order, version: int, qform_code: int) -> None:
    matrix = np.reshape(rows, (3, 4))
    matrix[:, :3] += 500 * np.eye(3)  # far from degenerate: sheared, flipped and rotated all the same
    fields: dict[str, Any] = {f"srow_{axis}": row for axis, row in zip("xyz", matrix)}
    content = nifti_bytes(some_voxels("i2"), order, version, sform_code=2, qform_code=qform_code, **fields)
    ours, theirs = affine_of(content)
    np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None)
@given(
    quaternion=st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
    zooms=st.tuples(spacings, spacings, spacings),
    offset=st.tuples(reals, reals, reals),
    handedness=st.sampled_from([-1.0, 0.0, 1.0]),
    order=st.sampled_from(ORDERS),
    version=st.sampled_from([1, 2]),
)
def test_qform_geometry_is_that_of_nibabel(
    quaternion: list[float],
    zooms: tuple[float, ...],
    offset: tuple[float, ...],
    handedness: float,
    order: Order,
    version: int,
) -> None:
    a, b, c, d = np.array(quaternion) / np.linalg.norm(quaternion)
    b, c, d = (-b, -c, -d) if a < 0 else (b, c, d)
    fields: dict[str, Any] = dict(
        zip(("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"), (b, c, d, *offset))
    )
    pixdim = [handedness or 1.0, *zooms, 0, 0, 0, 0]  # nibabel warns about 0, which counts as 1
    content = nifti_bytes(some_voxels("i2"), order, version, qform_code=1, sform_code=0, pixdim=pixdim, **fields)
    ours, theirs = affine_of(content)
    np.testing.assert_allclose(ours, theirs, atol=8 * 2e-3 if abs(a) < 1e-3 else 1e-4)


@settings(deadline=None, max_examples=25)
@given(zooms=st.tuples(spacings, spacings, spacings), order=st.sampled_from(ORDERS), version=st.sampled_from([1, 2]))
def test_without_a_form_the_spacing_counts_and_the_origin_is_the_first_voxel(
    zooms: tuple[float, ...], order: Order, version: int
) -> None:
    """Method 1 of nifti1.h. nibabel puts the origin into the middle and flips x; its spacing is the same."""
    pixdim = [1, *zooms, 0, 0, 0, 0]
    ours, theirs = affine_of(nifti_bytes(some_voxels("i2"), order, version, qform_code=0, sform_code=0, pixdim=pixdim))
    np.testing.assert_allclose(np.linalg.norm(ours[:3, :3], axis=0), np.linalg.norm(theirs[:3, :3], axis=0))
    np.testing.assert_array_equal(ours, np.diag([*zooms, 1.0]))


@pytest.mark.parametrize(("unit", "factor"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001), (2 + 8, 1.0)])
def test_spacing_is_in_millimeters_whatever_the_unit(tmp_path: Path, unit: int, factor: float) -> None:
    content = nifti_bytes(some_voxels("i2"), pixdim=[1, 2, 3, 4, 0, 0, 0, 0], xyzt_units=unit)
    geometry = nifti.read(save(tmp_path / "x.nii", content)).geometry
    assert geometry is not None
    np.testing.assert_allclose(geometry.spacing_kji, np.array([4, 3, 2]) * factor)


def change(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


GOOD = nifti_bytes(some_voxels("i2"))
DAMAGED = {
    "empty": b"",
    "text": b"this is no image at all" * 40,
    "header alone": GOOD[:348],
    "half a header": GOOD[:100],
    "last byte missing": GOOD[:-1],
    "no magic": change(GOOD, 344, b"abcd"),
    "two files": change(GOOD, 344, b"ni1\0"),
    "4D": nifti_bytes(some_voxels("i2", (5, 4, 3, 2))),
    "no dimensions": change(GOOD, 40, np.array([0], "<i2").tobytes()),
    "negative dimension": change(GOOD, 42, np.array([-5], "<i2").tobytes()),
    "enormous dimensions": change(GOOD, 40, np.array([7] + [32767] * 3 + [1] * 4, "<i2").tobytes()),
    "complex voxels": change(GOOD, 70, np.array([32], "<i2").tobytes()),
    "offset not a number": change(GOOD, 108, np.array([np.nan], "<f4").tobytes()),
    "offset infinite": change(GOOD, 108, np.array([np.inf], "<f4").tobytes()),
    "geometry not a number": change(change(GOOD, 254, b"\1\0"), 280, np.array([np.nan] * 12, "<f4").tobytes()),
    "geometry degenerate": change(change(GOOD, 254, b"\1\0"), 280, np.array([1] * 12, "<f4").tobytes()),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_volume_is_refused_in_one_sentence_with_its_name(tmp_path: Path, content: bytes) -> None:
    for name in ("broken.nii", "broken.nii.gz"):
        path = save(tmp_path / name, content) if content else tmp_path / name
        path.touch()
        with pytest.raises(Refused, match=r"broken\.nii") as refused:
            formats.read(path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", [b"no gzip at all", gzip.compress(GOOD)[:-9], gzip.compress(GOOD) + b"more"])
def test_a_damaged_gzip_stream_is_refused_with_its_name(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "x.nii.gz").write_bytes(damage)
    with pytest.raises(Refused, match=r"x\.nii\.gz"):
        nifti.read(tmp_path / "x.nii.gz")


@settings(deadline=None, max_examples=200)
@given(at=st.integers(0, 351), new=st.binary(min_size=1, max_size=8), version=st.sampled_from([1, 2]))
def test_no_header_bytes_lead_to_a_crash(at: int, new: bytes, version: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "x.nii", change(nifti_bytes(some_voxels("i2"), version=version), at, new))
        try:
            nifti.read(path)
        except Refused as refused:
            assert "x.nii" in str(refused)
