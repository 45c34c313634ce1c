"""The payload: compressed, then encrypted in chunks, each of which tells its number and whether it is the last.

A payload so large that it does not fit into memory is written and read piece by piece, and a chunk that was cut off,
exchanged or moved is noticed.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import IO

from .errors import BadCertificate

CHUNK_BYTES = 1 << 22  # of plain, compressed text
TAG_BYTES = 16
PREFIX_BYTES = 8  # of the nonce; the number of the chunk makes 12
_LEVEL = 1  # level 6 takes more than twice as long on CT for 3 % less


class PayloadWriter:
    """Writes the encrypted payload into `file`. After `close`, `size` and `sha256` are those of what was written, and
    `only_chunk` is all of it if it was one chunk.

    `key` [32 bytes] may be used for one payload only. `binding` [32 bytes] is what the payload belongs to.
    """

    def __init__(self, file: IO[bytes], key: bytes, prefix: bytes, binding: bytes) -> None:
        self._file = file
        self._chunks = _Chunks(key, prefix, binding)
        self._compressor = zlib.compressobj(_LEVEL)
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self.size = 0
        self.only_chunk = b""

    def write(self, data: bytes | memoryview) -> None:
        self._waiting += self._compressor.compress(data)
        while len(self._waiting) > CHUNK_BYTES:  # one chunk at least is left, to be the last
            self._write_chunk(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]

    def close(self) -> None:
        self._waiting += self._compressor.flush()
        while len(self._waiting) > CHUNK_BYTES:
            self._write_chunk(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        self._write_chunk(bytes(self._waiting), last=True)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _write_chunk(self, plain: bytes, last: bool) -> None:
        sealed = self._chunks.encrypt(plain, last)
        self.only_chunk = b"" if self.size else sealed
        self._hash.update(sealed)
        self.size += len(sealed)
        self._file.write(sealed)


class PayloadReader:
    """Gives the plain payload of `size` encrypted bytes in `file`, so many bytes at a time.

    Raises BadCertificate where a chunk is not what was written under this key and binding.
    """

    def __init__(self, file: IO[bytes], size: int, key: bytes, prefix: bytes, binding: bytes) -> None:
        self._file = file
        self._left = size
        self._chunks = _Chunks(key, prefix, binding)
        self._decompressor = zlib.decompressobj()
        self._compressed = b""

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, and never more in memory, whatever they would unpack to."""
        found = bytearray()
        while len(found) < size:
            piece = self._decompressed(size - len(found))
            found += piece
            if not piece and (self._decompressor.eof or not (self._compressed or self._left)):
                raise _damaged("ends too early")
            if not piece and not self._compressed:
                self._compressed = self._next_chunk()
        return bytes(found)

    def finish(self) -> None:
        """Refuses what comes after the end."""
        while self._left:
            self._compressed += self._next_chunk()
        more = self._decompressed(1)
        if more or not self._decompressor.eof or self._decompressor.unused_data:
            raise _damaged("holds more than it should")

    def _decompressed(self, at_most: int) -> bytes:
        try:
            piece = self._decompressor.decompress(self._compressed, at_most)
        except zlib.error:
            raise _damaged("cannot be unpacked") from None
        self._compressed = self._decompressor.unconsumed_tail
        return piece

    def _next_chunk(self) -> bytes:
        sealed = self._file.read(min(CHUNK_BYTES + TAG_BYTES, self._left))
        self._left -= len(sealed)
        if not sealed:
            raise _damaged("is cut off")
        return self._chunks.decrypt(sealed, last=not self._left)


class _Chunks:
    """AES-256-GCM over numbered chunks: the STREAM construction of Hoang et al. 2015, the last flag in the AAD."""

    def __init__(self, key: bytes, prefix: bytes, binding: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self._prefix = prefix
        self._binding = binding
        self._number = 0

    def encrypt(self, plain: bytes, last: bool) -> bytes:
        return bytes(self._cipher.encrypt(self._nonce(), plain, self._aad(last)))

    def decrypt(self, sealed: bytes, last: bool) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher.decrypt(self._nonce(), sealed, self._aad(last)))
        except InvalidTag:
            raise _damaged("does not belong to this certificate") from None

    def _nonce(self) -> bytes:
        number = self._number
        self._number += 1
        return self._prefix + number.to_bytes(4, "big")

    def _aad(self, last: bool) -> bytes:
        return self._binding + (b"\1" if last else b"\0")


def _damaged(how: str) -> BadCertificate:
    return BadCertificate(f"the payload {how}; take the certificate and its payload from their source again")
