"""PNG pictures, 8 and 16 bit, gray and RGB, with every other chunk (color profile, pixel size, texts) kept as it is.

SimpleITK decodes; only the IDAT chunk is written anew. An alpha channel stays as it was. Chunks and filters:
https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from .volume import StoredImage, decoded, read_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 6: 3}  # color type: channels without alpha
_NOT_READ = {3: "a palette", 4: "transparent gray"}
_UP = 2  # filter type: difference to the pixel above
Chunk = tuple[bytes, bytes]


def read(path: Path) -> StoredImage:
    """The picture as [C, 1, H, W] without alpha; no geometry. Refuses palettes, transparent gray, less than 8 bits."""
    chunks = _chunks(path, read_bytes(path))
    width, height, depth, color, *_ = struct.unpack(">IIBBBBB", chunks[0][1])
    if color == 0 and any(kind == b"tRNS" for kind, _ in chunks):
        color = 4  # one gray value is marked transparent; the decoder below knows neither form
    if color not in _CHANNELS or depth not in (8, 16):
        kind = _NOT_READ.get(color, f"{depth} bit")
        raise Refused(f"{path}: a PNG with {kind} is not supported; convert it to gray or RGB of 8 or 16 bit")
    pixels = decoded(path, "PNGImageIO").reshape(height, width, -1)  # [H, W, C], alpha last

    def write_to(file: IO[bytes], array: NDArray[Any]) -> None:
        rows = pixels.copy()
        rows[..., : _CHANNELS[color]] = np.moveaxis(array[:, 0], 0, -1)
        stored = rows if color == 6 else rows[..., : _CHANNELS[color]]
        file.write(_SIGNATURE)
        for kind, body in _with_data(chunks, _compress(stored, depth)):
            checksum = zlib.crc32(kind + body)
            file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum))

    array = np.moveaxis(pixels[..., : _CHANNELS[color]], -1, 0)[:, np.newaxis]
    return StoredImage(path=path, array=array, geometry=None, write_to=write_to, modality="picture")


def _chunks(path: Path, content: bytes) -> list[Chunk]:
    damaged = Refused(f"{path}: this is not a whole PNG file; copy it again from its source")
    if not content.startswith(_SIGNATURE):
        raise damaged
    chunks: list[Chunk] = []
    position = len(_SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        if len(content) < position + 12:
            raise damaged
        (length,) = struct.unpack_from(">I", content, position)
        kind, body = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        checksum = content[position + 8 + length : position + 12 + length]
        if len(checksum) < 4 or struct.unpack(">I", checksum)[0] != zlib.crc32(kind + body):
            raise damaged
        chunks.append((kind, body))
        position += 12 + length
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or not any(kind == b"IDAT" for kind, _ in chunks):
        raise damaged
    return chunks


def _with_data(chunks: list[Chunk], data: bytes) -> list[Chunk]:
    """The chunks in their order, the first IDAT replaced, the others dropped, and the header marked not interlaced."""
    first = next(index for index, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    before = [(b"IHDR", chunks[0][1][:-1] + b"\0"), *chunks[1:first]]
    return [*before, (b"IDAT", data), *[chunk for chunk in chunks[first:] if chunk[0] != b"IDAT"]]


def _compress(pixels: NDArray[Any], depth: int) -> bytes:
    height = len(pixels)
    rows = np.ascontiguousarray(pixels, f">u{depth // 8}").view(np.uint8).reshape(height, -1)
    up = rows - np.vstack([np.zeros_like(rows[:1]), rows[:-1]])  # modulo 256, as the format wants
    return zlib.compress(np.hstack([np.full((height, 1), _UP, np.uint8), up]).tobytes(), 6)
