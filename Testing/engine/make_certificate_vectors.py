"""Writes docs/certificate-vectors.json anew. Nonces are random, so do it only when the format changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from certificate_helpers import OBLIQUE, marked, sealed
from MedUnlearnableLib.engine.case import Units
from MedUnlearnableLib.engine.certificate.canonical import canonical, text_of
from MedUnlearnableLib.engine.certificate.frame import Image
from MedUnlearnableLib.engine.certificate.keys import PrivateKey
from MedUnlearnableLib.engine.certificate.seal import MethodStatement
from MedUnlearnableLib.engine.certificate.values import slice_hash, value_hash

VECTORS = Path(__file__).parents[2] / "docs" / "certificate-vectors.json"
SEED, PASSPHRASE = bytes(range(32)), "open sesame"
SHAPE = (1, 3, 5, 6)


def image_vector(image: np.ndarray) -> dict[str, object]:
    return {
        "dtype": image.dtype.name,
        "shape_ckji": list(image.shape),
        "little_endian": text_of(image.astype(image.dtype.newbyteorder("<")).tobytes()),
    }


def hash_vector(image: np.ndarray) -> dict[str, object]:
    hashes = [slice_hash(image[:, number]) for number in range(image.shape[1])]
    return {
        "image": image_vector(image),
        "slice_hashes": [digest.hex() for digest in hashes],
        "value_hash": value_hash(image.shape, hashes).hex(),
    }


def hashed_images() -> list[np.ndarray]:
    """Every type a slice can be hashed as, also within one image."""
    whole = np.arange(-8, 8, dtype="int16").reshape(1, 2, 2, 4)
    fractions = whole.astype("float32") / 3
    fractions[:, 0] = whole[:, 0]
    odd = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000], "u4").view("f4").reshape(1, 1, 2, 2)
    return [
        whole,
        whole.astype("float64"),
        fractions,
        odd,
        fractions.astype("float64") / 7,
        np.array([0, 2**31, 2**32 - 1, 5], "uint32").reshape(1, 1, 2, 2),
        np.arange(24, dtype="uint8").reshape(3, 1, 2, 4),
    ]


def main() -> None:
    original = np.random.default_rng(1).integers(-1024, 3000, SHAPE).astype("int16")
    protected = marked(original, slice(0, 2))
    issuer = PrivateKey(SEED, "Test issuer")
    method = MethodStatement("MedLocker", {"mode": "sealed"}, {"logos": [{"x": 3, "y": 2}]})
    case = sealed(Image(original, OBLIQUE, Units(1.0, -1024.0)), protected, issuer, (PASSPHRASE,), method)
    texts = [{"b": [1, None, True], "a": '\u00e9\n\u001f"\\/'}, [], "", {"": {"Z": 0, "a": -1}}]
    vectors = {
        "about": "test vectors of docs/certificate.md",
        "canonical": [{"value": value, "utf8": text_of(canonical(value))} for value in texts],
        "hashes": [hash_vector(image) for image in hashed_images()],
        "key": {
            "seed": text_of(SEED),
            "public_key": issuer.public.text,
            "key_id": issuer.public.key_id,
            "fingerprint": issuer.public.fingerprint,
        },
        "restored": {
            "certificate": case.certificate.data,
            "protected": image_vector(protected),
            "original": image_vector(original),
            "parameters": method.parameters,
            "seed": text_of(SEED),
            "passphrase": PASSPHRASE,
        },
    }
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
