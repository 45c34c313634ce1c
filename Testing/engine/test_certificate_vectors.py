"""The vectors of the specification, and a second verifier written from docs/certificate.md alone.

It shares no code with the library; what it needs besides Python is NumPy, cryptography and PyNaCl.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import unicodedata
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import nacl.public
import nacl.pwhash
import nacl.signing
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from MedUnlearnableLib.engine.case import Geometry, Units
from MedUnlearnableLib.engine.certificate.canonical import canonical
from MedUnlearnableLib.engine.certificate.frame import Image
from MedUnlearnableLib.engine.certificate.keys import PrivateKey
from MedUnlearnableLib.engine.certificate.restore import restore
from MedUnlearnableLib.engine.certificate.verify import Kind, Trust, verify

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "certificate-vectors.json").read_text())
CHUNK = 4_194_304


def plain(text: str) -> bytes:
    return base64.b64decode(text)


def array_of(vector: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(vector["dtype"]).newbyteorder("<")
    return np.frombuffer(plain(vector["little_endian"]), dtype).reshape(vector["shape_ckji"])


def canonical_of(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def hash_of_slice(slab: np.ndarray) -> bytes:
    for name in ("int32", "float32", "float64"):
        with np.errstate(invalid="ignore"):
            values = slab.astype(np.dtype(name).newbyteorder("<"))
        if values.astype("<f8").tobytes() == slab.astype("<f8").tobytes():
            return hashlib.sha256(b"mul-slice/1\0" + name.encode() + b"\0" + values.tobytes()).digest()
    raise AssertionError("float64 holds every value")


def hashes_of(image: np.ndarray) -> tuple[list[str], str]:
    slices = [hash_of_slice(image[:, k]) for k in range(image.shape[1])]
    whole = hashlib.sha256(b"mul-image/1\0" + struct.pack("<4I", *image.shape) + b"".join(slices)).hexdigest()
    return [digest.hex() for digest in slices], whole


def key_by_seed(certificate: dict[str, Any], seed: bytes) -> bytes:
    private = nacl.signing.SigningKey(seed)
    key_id = hashlib.sha256(bytes(private.verify_key)).hexdigest()[:16]
    entry = next(one for one in certificate["recipients"] if one.get("key_id") == key_id)
    return nacl.public.SealedBox(private.to_curve25519_private_key()).decrypt(plain(entry["wrapped"]))


def key_by_passphrase(certificate: dict[str, Any], passphrase: str) -> bytes:
    entry = next(one for one in certificate["recipients"] if one["type"] == "passphrase")
    context = certificate["certificate_id"].encode()
    word = unicodedata.normalize("NFC", passphrase).encode()
    stretched = nacl.pwhash.argon2id.kdf(32, word, plain(entry["salt"]), entry["t"], entry["mem_kib"] * 1024)
    key = HKDF(SHA256(), 32, None, b"mul-lock/1\0" + context).derive(stretched)
    return AESGCM(key).decrypt(plain(entry["nonce"]), plain(entry["wrapped"]), context)


def restored_by(certificate: dict[str, Any], key: bytes, image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The original and the parameters, after every check of the specification."""
    signed = canonical_of(without(certificate, "signature"))
    issuer = plain(certificate["issuer"]["public_key"].removeprefix("mul-ed25519:"))
    Ed25519PublicKey.from_public_bytes(issuer).verify(plain(certificate["signature"]["value"]), signed)
    account = certificate["protected"]
    assert hashes_of(image) == (account["slice_hashes"], account["value_hash"])

    sealed = plain(certificate["payload"]["data"])
    assert hashlib.sha256(sealed).hexdigest() == certificate["payload"]["sha256"]
    binding = hashlib.sha256(canonical_of(without(certificate, "payload", "signature"))).digest()
    chunks = [sealed[start : start + CHUNK + 16] for start in range(0, len(sealed), CHUNK + 16)]
    compressed = b""
    for number, chunk in enumerate(chunks):
        nonce = plain(certificate["payload"]["nonce"]) + struct.pack(">I", number)
        last = b"\1" if number == len(chunks) - 1 else b"\0"
        compressed += AESGCM(key).decrypt(nonce, chunk, binding + last)
    stream = BytesIO(zlib.decompress(compressed))
    private = json.loads(stream.read(struct.unpack("<I", stream.read(4))[0]))
    salted = plain(private["commitment_salt"]) + canonical_of(private["parameters"])
    assert hashlib.sha256(salted).hexdigest() == certificate["method"]["commitment"]

    original = image.astype(account["dtype"])
    for k in range(image.shape[1]):
        if stream.read(1) == b"\1":
            slab = original[:, k]
            packed = np.frombuffer(stream.read(-(-slab.size // 8)), np.uint8)
            support = np.unpackbits(packed)[: slab.size].reshape(slab.shape).astype(bool)
            size, count = original.dtype.itemsize, int(support.sum())
            grouped = np.frombuffer(stream.read(size * count), np.uint8).reshape(size, count)
            slab[support] = np.frombuffer(grouped.T.tobytes(), original.dtype.newbyteorder("<"))
    assert stream.read() == b""
    assert hashes_of(original)[1] == private["original_value_hash"]
    return original, private["parameters"]


@pytest.mark.parametrize("vector", VECTORS["canonical"])
def test_canonical_text(vector):
    assert canonical(vector["value"]) == plain(vector["utf8"]) == canonical_of(vector["value"])


@pytest.mark.parametrize("vector", VECTORS["hashes"])
def test_hashes_of_images(vector):
    from MedUnlearnableLib.engine.certificate.values import slice_hash, value_hash

    image = array_of(vector["image"])
    assert hashes_of(image) == (vector["slice_hashes"], vector["value_hash"])
    slices = [slice_hash(image[:, k]) for k in range(image.shape[1])]
    assert ([digest.hex() for digest in slices], value_hash(image.shape, slices).hex()) == hashes_of(image)


def test_an_integer_volume_and_its_float_copy_have_one_hash():
    first, second, *_ = VECTORS["hashes"]
    assert first["image"]["dtype"] != second["image"]["dtype"]
    assert first["value_hash"] == second["value_hash"]


def test_names_of_a_key():
    vector = VECTORS["key"]
    raw = bytes(nacl.signing.SigningKey(plain(vector["seed"])).verify_key)
    digest = hashlib.sha256(raw).hexdigest()
    public = PrivateKey(plain(vector["seed"]), "").public
    assert public.text == vector["public_key"] == "mul-ed25519:" + base64.b64encode(raw).decode()
    assert public.key_id == vector["key_id"] == digest[:16]
    assert public.fingerprint == vector["fingerprint"] == " ".join(digest[n : n + 4] for n in range(0, 32, 4))


def test_the_second_verifier_restores_the_vector_by_key_and_by_passphrase():
    vector = VECTORS["restored"]
    certificate, original = vector["certificate"], array_of(vector["original"])
    for key in (
        key_by_seed(certificate, plain(vector["seed"])),
        key_by_passphrase(certificate, vector["passphrase"]),
    ):
        found, parameters = restored_by(certificate, key, array_of(vector["protected"]))
        assert found.tobytes() == original.tobytes()
        assert parameters == vector["parameters"]


def test_the_library_restores_the_vector():
    vector = VECTORS["restored"]
    account = vector["certificate"]["protected"]
    rows = np.reshape([float(number) for number in account["ijk_to_ras"]], (3, 4))
    units = Units(float(account["slope"]), float(account["intercept"]))
    image = Image(array_of(vector["protected"]), Geometry(np.vstack([rows, [0, 0, 0, 1]])), units)
    content = json.dumps(vector["certificate"]).encode()
    assert verify(content, image, lambda key: Trust.TRUSTED).kind is Kind.TRUSTED
    for opener in (PrivateKey(plain(vector["seed"]), ""), vector["passphrase"]):
        restored = restore(content, image, opener, lambda key: Trust.TRUSTED)
        assert restored.array.tobytes() == array_of(vector["original"]).tobytes()
        assert restored.parameters == vector["parameters"]


def test_the_second_verifier_reads_what_the_library_writes_now():
    """Certificates made today follow the specification, too, not only the stored one."""
    from certificate_helpers import ISSUER, marked, sealed, some_image

    for dtype in ("int16", "uint8", "float32", "float64"):
        original = some_image(dtype, (3, 4, 7, 9))
        case = sealed(Image(original), marked(original))
        data = json.loads(case.content)
        found, _ = restored_by(data, key_by_seed(data, ISSUER.seed), case.protected.array)
        assert found.tobytes() == original.tobytes()
