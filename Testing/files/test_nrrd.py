"""NRRD: the header stays line for line, and geometry is what other libraries say it is."""

from __future__ import annotations

import bz2
import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import nrrd as pynrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats, nrrd

TYPES = {
    "uchar": "u1",
    "signed char": "i1",
    "uint16": "u2",
    "short": "i2",
    "unsigned int": "u4",
    "int32_t": "i4",
    "float": "f4",
    "double": "f8",
}
PACKED: dict[str, Callable[[bytes], bytes]] = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}
OBLIQUE = ["(0.8,0.6,0)", "(-0.9,1.2,0)", "(0,0,3.5)"]


def nrrd_bytes(
    voxels: np.ndarray,
    name: str = "short",
    order: str = "<",
    encoding: str = "raw",
    newline: str = "\n",
    space: str = "left-posterior-superior",
    directions: list[str] | None = None,
    kinds: str = "domain domain domain",
    extra: tuple[str, ...] = (),
) -> bytes:
    """`voxels` are in file order, the fastest axis first."""
    lines = [
        "NRRD0005",
        "# a comment: with a colon",
        f"type: {name}",
        f"dimension: {voxels.ndim}",
        f"space: {space}",
        f"sizes: {' '.join(map(str, voxels.shape))}",
        f"space directions: {' '.join(directions or OBLIQUE)}",
        f"kinds: {kinds}",
        f"endian: {'little' if order == '<' else 'big'}",
        f"encoding: {encoding}",
        "space origin: (-10.5,20.25,1e2)",
        *extra,
    ]
    data = voxels.astype(order + TYPES[name]).tobytes(order="F")
    return (newline.join(lines) + 2 * newline).encode() + PACKED[encoding](data)


def header_of(content: bytes) -> bytes:
    end = content.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in content[:2000] else content.index(b"\n\n") + 2
    return content[:end]


def rewrite(source: Path, target: Path) -> np.ndarray:
    stored = nrrd.read(source)
    changed = stored.array.copy()
    changed[..., ::2] += 1
    with target.open("wb") as file:
        stored.write_to(file, changed)
    return changed


def some_voxels(shape: tuple[int, ...] = (5, 4, 3)) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 100, shape)


def ras_of_simpleitk(path: Path) -> np.ndarray:
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_only_voxel_bytes_change(tmp_path: Path, order: str, name: str, encoding: str) -> None:
    extra = ("# another comment", 'space units: "mm" "mm" "mm"', "MyKey:=a:=b")
    content = nrrd_bytes(some_voxels(), name, order, encoding, extra=extra)
    (tmp_path / "x.nrrd").write_bytes(content)
    expected = rewrite(tmp_path / "x.nrrd", tmp_path / "out.nrrd")

    assert header_of((tmp_path / "out.nrrd").read_bytes()) == header_of(content)
    voxels, fields = pynrrd.read(str(tmp_path / "out.nrrd"), index_order="C")
    np.testing.assert_array_equal(voxels, expected[0])
    assert voxels.dtype == np.dtype(order + TYPES[name])
    assert fields["MyKey"] == "a:=b"
    if encoding != "bzip2":  # ITK is built without it
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd"))), expected[0])


def test_a_header_with_windows_line_ends_stays_as_it_is(tmp_path: Path) -> None:
    content = nrrd_bytes(some_voxels(), newline="\r\n")
    (tmp_path / "x.nrrd").write_bytes(content)
    expected = rewrite(tmp_path / "x.nrrd", tmp_path / "out.nrrd")
    assert header_of((tmp_path / "out.nrrd").read_bytes()) == header_of(content)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd"))), expected[0])


@pytest.mark.parametrize("pair", ["type:=x", "sizes:mm:=9 9 9", "encoding:=gzip", "a\u2028sizes: 1:=b", "\x0bsizes:=1"])
def test_a_pair_of_any_name_never_replaces_a_field(tmp_path: Path, pair: str) -> None:
    (tmp_path / "x.nrrd").write_bytes(nrrd_bytes(some_voxels(), extra=(pair,)))
    np.testing.assert_array_equal(nrrd.read(tmp_path / "x.nrrd").array[0].T, some_voxels())


@pytest.mark.parametrize("name", ["uchar", "float"])
@pytest.mark.parametrize("kind", ["vector", "RGB-color", "3-color"])
def test_components_of_a_voxel_become_channels(tmp_path: Path, kind: str, name: str) -> None:
    voxels = some_voxels((3, 6, 5, 4))
    content = nrrd_bytes(voxels, name, directions=["none", *OBLIQUE], kinds=f"{kind} domain domain domain")
    (tmp_path / "x.nrrd").write_bytes(content)
    stored = nrrd.read(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(stored.array, voxels.transpose(0, 3, 2, 1))
    assert stored.modality == "picture"
    expected = rewrite(tmp_path / "x.nrrd", tmp_path / "out.nrrd")
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd")))
    np.testing.assert_array_equal(seen, np.moveaxis(expected, 0, -1))


@settings(deadline=None, max_examples=60)
@given(
    numbers=st.lists(st.floats(-2, 2).map(lambda x: round(x, 6)), min_size=9, max_size=9),
    flips=st.tuples(*[st.sampled_from([-4.0, 4.0])] * 3),
    space=st.sampled_from(
        ["left-posterior-superior", "LPS", "right-anterior-superior", "RAS", "left-anterior-superior", "LAS"]
    ),
)
def test_sheared_flipped_and_left_handed_geometry_is_that_of_the_itk(
    numbers: list[float], flips: tuple[float, ...], space: str
) -> None:
    axes = np.reshape(numbers, (3, 3)) / 2 + np.diag(flips)
    directions = ["({})".format(",".join(map(repr, map(float, axes[:, n])))) for n in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.nrrd"
        path.write_bytes(nrrd_bytes(some_voxels(), space=space, directions=directions))
        geometry = nrrd.read(path).geometry
        assert geometry is not None
        np.testing.assert_allclose(geometry.ijk_to_ras, ras_of_simpleitk(path), atol=1e-6)


def test_a_plane_and_a_volume_of_one_slice_are_one_slice(tmp_path: Path) -> None:
    content = nrrd_bytes(some_voxels((6, 5)), space="", directions=["(2,0)", "(0,3)"], kinds="domain domain")
    content = content.replace(b"space: \n", b"").replace(b"(-10.5,20.25,1e2)", b"(1,2)")
    (tmp_path / "x.nrrd").write_bytes(content.replace(b"space origin", b"space dimension: 2\nspace origin"))
    stored = nrrd.read(tmp_path / "x.nrrd")
    assert stored.array.shape == (1, 1, 5, 6)
    assert stored.geometry is not None
    assert stored.geometry.spacing_kji == (1.0, 3.0, 2.0)


def test_what_is_written_for_a_scene_is_read_back_bit_by_bit(tmp_path: Path) -> None:
    layers = np.random.default_rng(1).normal(size=(3, 4, 5, 6)).astype(np.float32)
    matrix = np.array([[-1.2, 0.1, 0, 3], [0.2, 1 / 3, 0, -4], [0, 0.3, 2.5, 1e-7], [0, 0, 0, 1]])
    for kind, count in (("vector", 3), (None, 1)):
        with (tmp_path / "x.nrrd").open("wb") as file:
            nrrd.write(file, layers[:count], Geometry(matrix), kind)
        stored = nrrd.read(tmp_path / "x.nrrd")
        np.testing.assert_array_equal(stored.array, layers[:count])
        assert stored.geometry is not None
        np.testing.assert_array_equal(stored.geometry.ijk_to_ras, matrix)
        np.testing.assert_allclose(ras_of_simpleitk(tmp_path / "x.nrrd"), matrix, atol=1e-12)


GOOD = nrrd_bytes(some_voxels())
DAMAGED = {
    "empty": b"",
    "text": b"no image\n\nat all",
    "header without end": header_of(GOOD)[:-1],
    "voxels missing": GOOD[:-1],
    "too many voxels": GOOD + b"\0",
    "gzip cut off": nrrd_bytes(some_voxels(), encoding="gzip")[:-8],
    "bzip2 cut off": nrrd_bytes(some_voxels(), encoding="bzip2")[:-8],
    "sizes are words": GOOD.replace(b"sizes: 5 4 3", b"sizes: a few"),
    "sizes negative": GOOD.replace(b"sizes: 5 4 3", b"sizes: -5 -4 3"),
    "no sizes": GOOD.replace(b"sizes: 5 4 3", b"sizes: "),
    "no type": GOOD.replace(b"type: short\n", b""),
    "block type": GOOD.replace(b"type: short", b"type: block"),
    "text encoding": GOOD.replace(b"encoding: raw", b"encoding: ascii"),
    "detached": GOOD.replace(b"encoding: raw", b"encoding: raw\ndata file: x.raw"),
    "line skip": GOOD.replace(b"encoding: raw", b"encoding: raw\nline skip: 2"),
    "4D": nrrd_bytes(some_voxels((5, 4, 3, 2)), directions=[*OBLIQUE, "none"], kinds="domain domain domain list"),
    "a list of images": nrrd_bytes(
        some_voxels((2, 5, 4, 3)), directions=["none", *OBLIQUE], kinds="list domain domain domain"
    ),
    "RGBA": nrrd_bytes(
        some_voxels((4, 5, 4, 3)), directions=["none", *OBLIQUE], kinds="RGBA-color domain domain domain"
    ),
    "directions are words": GOOD.replace(b"(0,0,3.5)", b"(0,0,up)"),
    "directions not finite": GOOD.replace(b"(0,0,3.5)", b"(0,0,nan)"),
    "directions degenerate": GOOD.replace(b"(0,0,3.5)", b"(0.8,0.6,0)"),
    "too many directions": GOOD.replace(b"(0,0,3.5)", b"(0,0,3.5) (0,0,3.5) (0,0,1)"),
    "directions too long": GOOD.replace(b"(0,0,3.5)", b"(0,0,3.5,1,1,1)"),
    "origin is words": GOOD.replace(b"(-10.5,20.25,1e2)", b"(here)"),
    "scanner space": GOOD.replace(b"left-posterior-superior", b"scanner-xyz"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_volume_is_refused_in_one_sentence_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.nrrd"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"broken\.nrrd") as refused:
        formats.read(path)
    assert "\n" not in str(refused.value)


@settings(deadline=None, max_examples=300)
@given(at=st.integers(8, len(header_of(GOOD)) - 1), new=st.binary(min_size=1, max_size=6), cut=st.integers(0, 6))
def test_no_header_bytes_lead_to_a_crash(at: int, new: bytes, cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.nrrd"
        path.write_bytes(GOOD[:at] + new + GOOD[at + cut :])
        for read in (nrrd.read, nrrd.read_layers):
            try:
                read(path)
            except Refused as refused:
                assert "x.nrrd" in str(refused)
