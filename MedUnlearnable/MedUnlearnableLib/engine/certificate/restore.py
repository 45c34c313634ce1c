"""Gives the original back, exactly, or nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Refused
from .canonical import bytes_of, parse
from .certificate import Certificate
from .errors import BadCertificate
from .frame import Image, Reading
from .keys import PrivateKey
from .payload import PayloadReader
from .recipients import unwrapped
from .schema import base64_of, is_misshapen, matching
from .seal import SALT_BYTES, commitment
from .values import slice_hash, value_hash
from .verify import Trust, TrustIn, examine

_LARGEST_PRIVATE_BYTES = 1 << 28
_PRIVATE = {
    "original_value_hash": matching("[0-9a-f]{64}"),
    "commitment_salt": base64_of(SALT_BYTES),
    "parameters": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True)
class Restored:
    """The original and the parameters of the method.

    `array` [C, D, H, W] has the original's dtype and units, in the axes of the file that was given. `in_file` is the
    same as that file can hold it, or None where its dtype cannot.
    """

    array: NDArray[Any]
    in_file: NDArray[Any] | None
    parameters: dict[str, Any]


def restore(
    content: bytes, image: Image, opener: PrivateKey | str, trust_in: TrustIn, payload: IO[bytes] | None = None
) -> Restored:
    """The original of an unchanged protected image, opened by a private key or a passphrase.

    Refuses a changed image, a bad certificate, an issuer who is neither trusted nor the opener himself, a missing
    payload, and an opener the payload was not encrypted for. The result is checked against the hash of the original.
    """
    certificate = Certificate.parse(content)
    examined = examine(certificate, image, trust_in, payload)
    reading, why = examined.reading, examined.verdict.sentence
    if reading is None:
        raise Refused(f"not restored, for the image is not what was signed: {why}")
    if trust_in(certificate.issuer) is not Trust.TRUSTED and not _is_issuer(opener, certificate):
        raise Refused(f"not restored, for the issuer is unknown: {why}")
    if examined.payload is None:
        raise Refused("not restored, for the payload file is missing; put it beside the certificate")
    account = certificate.data["payload"]
    key, prefix = unwrapped(certificate, opener), bytes_of(account["nonce"])
    reader = PayloadReader(examined.payload, account["bytes"], key, prefix, certificate.binding)
    private = _read_private(reader, certificate)
    array = _read_original(reader, reading, private["original_value_hash"])
    return Restored(reading.orientation.undo(array), reading.in_file(array), private["parameters"])


def _is_issuer(opener: PrivateKey | str, certificate: Certificate) -> bool:
    return isinstance(opener, PrivateKey) and opener.public == certificate.issuer


def _read_private(reader: PayloadReader, certificate: Certificate) -> dict[str, Any]:
    """The issuer's private part, checked against the commitment."""
    (size,) = struct.unpack("<I", reader.read(4))
    if size > _LARGEST_PRIVATE_BYTES:
        raise _not_as_signed("a part is too long")
    try:
        private = parse(reader.read(size))
    except ValueError:
        raise _not_as_signed("its parameters cannot be read") from None
    if is_misshapen(private, _PRIVATE):
        raise _not_as_signed("its parameters are not as the format wants them")
    committed = commitment(bytes_of(private["commitment_salt"]), private["parameters"])
    if committed != certificate.data["method"]["commitment"]:
        raise _not_as_signed("its parameters are not those the certificate commits to")
    return dict(private)


def _read_original(reader: PayloadReader, reading: Reading, expected: str) -> NDArray[Any]:
    """The certified image with its old values put back, along the certified axes; see `seal._write_original`."""
    frame = reading.frame
    channels, depth, height, width = frame.shape
    voxels = channels * height * width
    array = np.empty(frame.shape, frame.dtype)
    hashes: list[bytes] = []
    for number in range(depth):
        array[:, number] = reading.slab(number)
        if reader.read(1) != b"\0":
            packed = np.frombuffer(reader.read(-(-voxels // 8)), np.uint8)
            support = np.unpackbits(packed, count=voxels).view(bool).reshape(channels, height, width)
            size = frame.dtype.itemsize
            stored = np.frombuffer(reader.read(int(np.count_nonzero(support)) * size), np.uint8)
            array[:, number][support] = stored.reshape(size, -1).T.copy().view(frame.dtype.newbyteorder("<"))[:, 0]
        hashes.append(slice_hash(array[:, number]))
    reader.finish()
    if value_hash(frame.shape, hashes).hex() != expected:
        raise _not_as_signed("what was restored is not the original it promises")
    return array


def _not_as_signed(how: str) -> BadCertificate:
    return BadCertificate(f"the payload is damaged, nothing was restored: {how}")
