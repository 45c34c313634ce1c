"""The shape of a certificate: every field, its type and its limits, in one place.

A schema is a dict (an object with exactly these keys), a list of one schema (a list of any length), a tuple of schemas
(one of them must fit) or a check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ..errors import Refused
from .canonical import bytes_of, canonical
from .errors import BadCertificate
from .frame import geometry_of
from .keys import KEY_BYTES, PREFIX
from .payload import PREFIX_BYTES, TAG_BYTES

FORMAT = "mul-cert/1"
#: A payload up to this size stands in the certificate itself.
INLINE_BYTES = 1 << 20
LARGEST_STATEMENT_BYTES = 1 << 16
LONGEST_NAME = 200
_LARGEST_AXIS = 1 << 20
_MOST_VOXELS = 1 << 36
_MOST_PAYLOAD_BYTES = 1 << 40
_MOST_ARGON2_KIB = 1 << 20  # a forged certificate could ask for all memory
_NUMBER = re.compile(r"-?\d{1,25}(\.\d{1,25})?(e[+-]\d{1,3})?", re.ASCII)

Check = Callable[[Any], bool]


def refuse_misshapen(data: Any) -> None:
    """Raises BadCertificate that names the first field which is not as the format wants it."""
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise BadCertificate(f"the certificate has format {data.get('format')!a:.40}, this version reads {FORMAT}")
    _check(data, CERTIFICATE, "certificate")
    image = data["protected"]
    depth, height, width = image["shape_kji"]
    if len(image["slice_hashes"]) != depth or depth * height * width * image["components"] > _MOST_VOXELS:
        raise BadCertificate("the certificate is damaged: its slices do not fit its shape")


def is_misshapen(data: Any, schema: Any) -> bool:
    """Whether `data` does not fit; for the other files of this format."""
    try:
        _check(data, schema, "")
    except BadCertificate:
        return True
    return False


def base64_of(least: int, most: int | None = None) -> Check:
    """Base64 text of so many bytes."""

    def check(value: Any) -> bool:
        try:
            return isinstance(value, str) and least <= len(bytes_of(value)) <= (least if most is None else most)
        except ValueError:
            return False

    return check


def text_up_to(length: int) -> Check:
    """One line without control characters: it will be shown on terminals."""
    return lambda value: isinstance(value, str) and len(value) <= length and value.isprintable()


def matching(pattern: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def integer(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def is_public_key(value: Any) -> bool:
    """The prefix and 32 bytes; whether they are a point of the curve shows when the key is used."""
    return isinstance(value, str) and value.startswith(PREFIX) and _KEY_TEXT(value.removeprefix(PREFIX))


def exactly(expected: Any) -> Check:
    return lambda value: type(value) is type(expected) and value == expected


def lock_of(secret_bytes: int) -> dict[str, Check]:
    """A secret that `keys.lock` has locked."""
    return {
        "kdf": exactly("argon2id"),
        "mem_kib": integer(8, _MOST_ARGON2_KIB),
        "t": integer(1, 16),
        "p": exactly(1),
        "salt": base64_of(16),
        "nonce": base64_of(12),
        "wrapped": base64_of(secret_bytes + TAG_BYTES),
    }


def _check(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        if not isinstance(value, dict) or value.keys() != schema.keys():
            raise _misshapen(where)
        for key, inner in schema.items():
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        if not isinstance(value, list):
            raise _misshapen(where)
        for item in value:
            _check(item, schema[0], f"{where}[]")
    elif isinstance(schema, tuple):
        if all(is_misshapen(value, one) for one in schema):
            raise _misshapen(where)
    elif not schema(value):
        raise _misshapen(where)


def _misshapen(where: str) -> BadCertificate:
    return BadCertificate(f"the certificate is damaged: {where} is not as {FORMAT} wants it")


def _is_number(value: Any) -> bool:
    """A finite decimal number, as text."""
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))


def _is_slope(value: Any) -> bool:
    return _is_number(value) and float(value) != 0


def _is_affine(value: Any) -> bool:
    """None, or twelve numbers that span a volume."""
    if value is None:
        return True
    if not (isinstance(value, list) and len(value) == 12 and all(map(_is_number, value))):
        return False
    try:
        geometry_of(value)
    except Refused:
        return False
    return True


def _is_statement(value: Any) -> bool:
    return isinstance(value, dict) and len(canonical(value)) <= LARGEST_STATEMENT_BYTES


_KEY_TEXT = base64_of(KEY_BYTES)
_SHA256 = matching("[0-9a-f]{64}")
_AXIS = integer(1, _LARGEST_AXIS)
_PAYLOAD = {
    "alg": exactly("aes-256-gcm"),
    "nonce": base64_of(PREFIX_BYTES),
    "sha256": _SHA256,
    "bytes": integer(TAG_BYTES, _MOST_PAYLOAD_BYTES),
}
CERTIFICATE = {
    "format": exactly(FORMAT),
    "certificate_id": matching("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "created": matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "software": text_up_to(100),
    "issuer": {"name": text_up_to(LONGEST_NAME), "public_key": is_public_key, "key_id": matching("[0-9a-f]{16}")},
    "method": {"name": text_up_to(100), "statement": _is_statement, "commitment": _SHA256},
    "protected": {
        "value_hash": _SHA256,
        "slice_hashes": [_SHA256],
        "dtype": matching("uint8|int8|uint16|int16|uint32|int32|float32|float64"),
        "shape_kji": lambda value: isinstance(value, list) and len(value) == 3 and all(map(_AXIS, value)),
        "components": integer(1, _LARGEST_AXIS),
        "ijk_to_ras": _is_affine,
        "slope": _is_slope,
        "intercept": _is_number,
    },
    "recipients": [
        (
            {"type": exactly("x25519-sealedbox"), "key_id": matching("[0-9a-f]{16}"), "wrapped": base64_of(80)},
            {"type": exactly("passphrase"), **lock_of(KEY_BYTES)},
        )
    ],
    "payload": (
        {**_PAYLOAD, "location": exactly("file")},
        {**_PAYLOAD, "location": exactly("inline"), "data": base64_of(TAG_BYTES, INLINE_BYTES)},
    ),
    "signature": {"alg": exactly("ed25519"), "value": base64_of(64)},
}
