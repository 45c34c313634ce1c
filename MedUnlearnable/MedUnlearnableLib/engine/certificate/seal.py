"""Makes a certificate: hashes of the protected image, the original encrypted, all of it signed."""

from __future__ import annotations

import hashlib
import secrets
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ..errors import Refused
from .canonical import canonical, text_of
from .certificate import Certificate, unsigned
from .frame import Frame, Image
from .keys import KEY_BYTES, PrivateKey, PublicKey
from .payload import PREFIX_BYTES, PayloadWriter
from .recipients import wrapped_for
from .schema import FORMAT, INLINE_BYTES, LARGEST_STATEMENT_BYTES
from .values import bits, slice_hash, value_hash

SALT_BYTES = 32


@dataclass(frozen=True)
class MethodStatement:
    """What a method says of its work, JSON without floats. `public` stands in clear; `parameters` are encrypted.

    The certificate commits to the parameters, so that the issuer can show later which ones were used.
    """

    name: str
    public: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


def seal(
    original: Image,
    protected: NDArray[Any],
    method: MethodStatement,
    issuer: PrivateKey,
    recipients: Sequence[PublicKey | str],
    payload: IO[bytes],
) -> Certificate:
    """The certificate of `protected` [C, D, H, W], whose payload restores `original` (same shape and dtype).

    `recipients` (public keys, passphrases) open the payload; the issuer always does. The payload is written into
    `payload`, and if it is small it stands in the certificate, too (location "inline"). Works slice by slice.
    """
    _refuse_unlike(original.array, protected)
    if len(canonical(method.public)) > LARGEST_STATEMENT_BYTES:
        raise Refused(f"the public statement of {method.name} is longer than {LARGEST_STATEMENT_BYTES:,} bytes")
    comparison = _Comparison.of(original.array, protected)
    certificate_id, salt = str(uuid.uuid4()), secrets.token_bytes(SALT_BYTES)
    key, prefix = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(PREFIX_BYTES)
    public = issuer.public
    openers: list[PublicKey | str] = [public, *(one for one in recipients if one != public)]
    fields: dict[str, Any] = {
        "format": FORMAT,
        "certificate_id": certificate_id,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": f"MedUnlearnable {__version__}",
        "issuer": {"name": issuer.name, "public_key": public.text, "key_id": public.key_id},
        "method": {
            "name": method.name,
            "statement": dict(method.public),
            "commitment": commitment(salt, method.parameters),
        },
        "protected": {
            "value_hash": value_hash(protected.shape, comparison.protected_hashes).hex(),
            "slice_hashes": [digest.hex() for digest in comparison.protected_hashes],
            **Frame.of(Image(protected, original.geometry, original.units)).to_json(),
        },
        "recipients": [wrapped_for(one, key, certificate_id) for one in openers],
    }
    writer = PayloadWriter(payload, key, prefix, Certificate(fields).binding)
    private = {
        "original_value_hash": value_hash(protected.shape, comparison.original_hashes).hex(),
        "commitment_salt": text_of(salt),
        "parameters": dict(method.parameters),
    }
    _write_private(writer, private)
    _write_original(writer, original.array, protected, comparison.changed)
    writer.close()
    fields["payload"] = {
        "alg": "aes-256-gcm",
        "nonce": text_of(prefix),
        "sha256": writer.sha256,
        "bytes": writer.size,
        **_location(writer),
    }
    fields["signature"] = {"alg": "ed25519", "value": text_of(issuer.sign(unsigned(fields)))}
    return Certificate(fields)


def commitment(salt: bytes, parameters: Mapping[str, Any]) -> str:
    """SHA-256 of the salt and the canonical parameters."""
    return hashlib.sha256(salt + canonical(parameters)).hexdigest()


@dataclass(frozen=True)
class _Comparison:
    """Hashes of the slices of both images, and which slices differ."""

    protected_hashes: list[bytes]
    original_hashes: list[bytes]
    changed: list[bool]

    @classmethod
    def of(cls, original: NDArray[Any], protected: NDArray[Any]) -> _Comparison:
        found = cls([], [], [])
        for number in range(protected.shape[1]):
            digest = slice_hash(protected[:, number])
            changed = bool(_support(original[:, number], protected[:, number]).any())
            found.protected_hashes.append(digest)
            found.original_hashes.append(slice_hash(original[:, number]) if changed else digest)
            found.changed.append(changed)
        return found


def _support(original: NDArray[Any], protected: NDArray[Any]) -> NDArray[np.bool_]:
    """Where one bit at least differs."""
    return bits(original, original.dtype) != bits(protected, original.dtype)


def _write_private(writer: PayloadWriter, private: dict[str, Any]) -> None:
    text = canonical(private)
    writer.write(struct.pack("<I", len(text)) + text)


def _write_original(
    writer: PayloadWriter, original: NDArray[Any], protected: NDArray[Any], changed: Sequence[bool]
) -> None:
    """A byte 0 for each slice that is the same; else 1, one bit a voxel that tells where it differs, its old values.

    The old values come as all first (lowest) bytes, then all second ones, ...: 20 % smaller on CT. The bit mask, which
    zlib packs, is bounded where run lengths are not: noise changes every second voxel.
    """
    for number, differs in enumerate(changed):
        writer.write(b"\1" if differs else b"\0")
        if differs:
            support = _support(original[:, number], protected[:, number])
            writer.write(np.packbits(support).data)
            values = bits(original[:, number], original.dtype)[support]
            writer.write(values.view(np.uint8).reshape(-1, original.dtype.itemsize).T.tobytes())


def _location(writer: PayloadWriter) -> dict[str, str]:
    if writer.size > INLINE_BYTES:
        return {"location": "file"}
    return {"location": "inline", "data": text_of(writer.only_chunk)}


def _refuse_unlike(original: NDArray[Any], protected: NDArray[Any]) -> None:
    kinds = [(image.shape, image.dtype.newbyteorder("=")) for image in (original, protected)]
    if kinds[0] != kinds[1] or original.ndim != 4:
        raise ValueError(f"original {kinds[0]} and protected {kinds[1]} must have one shape [C, D, H, W] and one dtype")
