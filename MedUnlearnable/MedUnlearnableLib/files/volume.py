"""What every format gives: an image as it is stored, and a way to write another image of the same kind."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor  # slicer-lint: allow thread (the caller waits for them)
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry, Units
from ..engine.errors import Refused

#: Dtypes that every format, the MRML scene and the arithmetic here carry exactly.
DTYPES = tuple(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"))

#: Files under this prefix are unfinished; they are removed when a run ends, however it ends.
TEMPORARY_PREFIX = ".medunlearnable-part-"

#: Mode of files that hold a key: for their owner alone.
PRIVATE_MODE = 0o600
#: One after another, hundreds of slices would each wait for the disk.
_FLUSHES_AT_ONCE = 16
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


@dataclass(frozen=True)
class DataFile:
    """Voxels that lie in a file of their own, beside the header that names it (.mhd, .nhdr)."""

    path: Path
    write_to: Callable[[IO[bytes], NDArray[Any]], object]


@dataclass(frozen=True)
class StoredImage:
    """An image as the file holds it. `array` [C, D, H, W], the file's dtype and byte order, read-only.

    `write_to(file, array)` writes a file that differs from this one in its voxels only. A series of files (`parts`)
    takes an empty folder in place of the open file. `write_marked`, `write_restored`: where the format has words for
    visible marks, and for the original given back.
    """

    path: Path
    array: NDArray[Any]
    geometry: Geometry | None  # None: the format has no place for one (PNG)
    write_to: Callable[[Any, NDArray[Any]], None]
    units: Units = field(default_factory=Units)
    modality: str = ""
    padding: float | None = None  # stored value that means "no data"
    limits: tuple[float, float] | None = None  # stored values the file can hold, where less than the dtype can
    warnings: tuple[str, ...] = ()  # what the owner must know of the source
    parts: tuple[Path, ...] = ()  # the files of a series, where `path` is a folder
    data: DataFile | None = None  # where `path` is a header only; to be written before it
    channels: tuple[StoredImage, ...] = ()  # the files, where `array` is made of several
    write_marked: Callable[[Any, NDArray[Any]], None] | None = None  # as `write_to`, for marks that can be seen
    write_restored: Callable[[Any, NDArray[Any]], None] | None = None  # as `write_to`, for the original given back

    @property
    def files(self) -> tuple[StoredImage, ...]:
        return self.channels or (self,)

    @property
    def with_visible_marks(self) -> StoredImage:
        """The same, but written as an image that bears marks, if its format knows the difference."""
        return self if self.write_marked is None else replace(self, write_to=self.write_marked)

    @property
    def as_original(self) -> StoredImage:
        """The same, but written as an image that is no longer protected, if its format knows the difference."""
        return self if self.write_restored is None else replace(self, write_to=self.write_restored)


def refuse_dtype(path: Path, found: object, remedy: str = "convert it to int16, int32 or float32") -> Refused:
    return Refused(f"{path}: voxels of type {found} are not supported; {remedy}")


def geometry_of(path: Path, ijk_to_ras: NDArray[np.float64]) -> Geometry:
    """The geometry a header gives; a degenerate one is refused by the name of the file."""
    try:
        return Geometry(ijk_to_ras)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None


def data_file_beside(header: Path, name: str) -> Path:
    """The data file that a header names. It must bear the header's name: two headers could share any other."""
    stem = re.sub(
        rf"^{re.escape(TEMPORARY_PREFIX)}\d+-", "", header.stem
    )  # a header may be read back before its rename
    if Path(name).name != name or not name.startswith(f"{stem}."):
        raise Refused(
            f"{header}: its voxels lie in '{name}'; save the image again, so that they lie beside it in "
            f"{header.stem}.raw or in the same file"
        )
    return header.with_name(name)


def read_bytes(path: Path) -> bytes:
    """The whole file. Missing, empty and unreadable files are refused by name."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise Refused(f"{path}: this is a folder, a file was expected") from None
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); check its permissions and the disk") from None
    if not content:
        raise Refused(f"{path}: the file is empty; copy it again from its source")
    return content


def write_atomically(
    path: Path,
    write: Callable[[IO[bytes]], object],
    check: Callable[[Path], object] | None = None,
    mode: int = 0o666,
) -> None:
    """Calls `write(file)` on a temporary name in the same folder, `check(temporary path)`, then renames.

    So `path` is whole and checked, or absent. The temporary name keeps the ending, which readers go by. `mode` holds
    from the first byte on, less what the user's mask takes away.
    """
    with _becoming(path) as temporary:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, mode), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary)


def write_folder_atomically(
    path: Path, write: Callable[[Path], object], check: Callable[[Path], object] | None = None
) -> None:
    """As `write_atomically`, for a folder of files: all of them are there, or none."""
    with _becoming(path) as temporary:
        temporary.mkdir()
        write(temporary)
        with ThreadPoolExecutor(_FLUSHES_AT_ONCE) as pool:
            list(pool.map(_flush, temporary.iterdir()))
        if check is not None:
            check(temporary)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def decoded(path: Path, image_io: str) -> NDArray[Any]:
    """The pixels of a picture as SimpleITK's reader of that name gives them; a damaged file is refused by name."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(image_io)
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        raise Refused(
            f"{path}: the picture cannot be decoded, so it is damaged; copy it again from its source"
        ) from None


def remove(path: Path) -> None:
    """A file or a whole folder; no complaint where there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _becoming(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place if nothing goes wrong, and is removed otherwise."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir():
            remove(path)  # a file is replaced by the new one, a folder would be in the way
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refused(f"{path}: cannot be written ({reason}); check the folder and the free space") from None
    finally:
        with suppress(OSError):  # where it could not be created, it cannot be looked for either
            remove(temporary)


def write_json(path: Path, data: Mapping[str, Any], mode: int = 0o666) -> None:
    """Readable JSON, atomically."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()), mode=mode)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; anything else is refused by name."""
    try:
        data = json.loads(read_bytes(path))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Refused(f"{path}: this is not a JSON object; check what the file really is")
    return data


def raw_bytes(array: NDArray[Any], dtype: np.dtype) -> memoryview:
    """The voxels as a file stores them; no copy where order and dtype fit already."""
    return np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data
