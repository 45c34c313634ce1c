"""Small images, their certificate, and a place for its payload."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.engine.certificate.canonical import canonical, text_of
from MedUnlearnableLib.engine.certificate.certificate import Certificate, unsigned
from MedUnlearnableLib.engine.certificate.frame import Image
from MedUnlearnableLib.engine.certificate.keys import PrivateKey, PublicKey
from MedUnlearnableLib.engine.certificate.restore import Restored, restore
from MedUnlearnableLib.engine.certificate.seal import MethodStatement, seal
from MedUnlearnableLib.engine.certificate.verify import Trust, TrustIn, Verdict, verify

ISSUER = PrivateKey(bytes(range(32)), "Clinic A")
STRANGER = PrivateKey(bytes(range(1, 33)), "Somebody")
OBLIQUE = Geometry(
    np.array([[0.8, -0.3, 0.1, -20.0], [0.3, 0.8, 0.0, 11.5], [0.05, -0.1, 2.5, 7.25], [0.0, 0.0, 0.0, 1.0]])
)
METHOD = MethodStatement("MedLocker", {"mode": "sealed", "logos": 2}, {"logos": [{"x": 31337, "y": 4242}]})


def trusting(*keys: PrivateKey) -> TrustIn:
    return lambda key: Trust.TRUSTED if key in [one.public for one in keys] else Trust.UNKNOWN


@dataclass(frozen=True)
class Sealed:
    """An original, its protected image, the certificate file and the payload file."""

    original: Image
    protected: Image
    certificate: Certificate
    payload: bytes

    @property
    def content(self) -> bytes:
        return canonical(self.certificate.data)

    def verify(self, image: Image | None = None, trust: TrustIn | None = None, content: bytes | None = None) -> Verdict:
        payload = BytesIO(self.payload)
        return verify(content or self.content, image or self.protected, trust or trusting(ISSUER), payload)

    def restore(
        self, image: Image | None = None, opener: PrivateKey | str = ISSUER, trust: TrustIn | None = None
    ) -> Restored:
        payload = BytesIO(self.payload)
        return restore(self.content, image or self.protected, opener, trust or trusting(ISSUER), payload)

    def signed_again(self, by: PrivateKey = ISSUER, /, **changes: object) -> Sealed:
        """With other fields, and a signature that fits them."""
        data = {**self.certificate.data, **changes}
        data["signature"] = {"alg": "ed25519", "value": text_of(by.sign(unsigned(data)))}
        return replace(self, certificate=Certificate(data))


def sealed(
    original: Image,
    protected: np.ndarray,
    issuer: PrivateKey = ISSUER,
    recipients: tuple[PublicKey | str, ...] = (),
    method: MethodStatement = METHOD,
) -> Sealed:
    payload = BytesIO()
    certificate = seal(original, protected, method, issuer, recipients, payload)
    return Sealed(
        original, Image(protected, original.geometry, original.units), certificate, bytes(payload.getbuffer())
    )


def some_image(dtype: str = "int16", shape: tuple[int, ...] = (1, 6, 9, 8), seed: int = 0) -> np.ndarray:
    """Values over the whole range of the dtype; floats with NaNs of several payloads, infinities and zeros."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        image = rng.normal(0, 100, shape).astype(dtype)
        size = np.dtype(dtype).itemsize
        odd = {4: [0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000], 8: [0x7FF8 << 48 | 77, 1 << 63, 0x7FF0 << 48]}[size]
        image.reshape(-1).view(f"u{size}")[: len(odd)] = odd
        return image
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def marked(image: np.ndarray, slices: slice = slice(1, 4)) -> np.ndarray:
    """The image with a logo in some slices: whatever was there is gone."""
    protected = image.copy()
    protected[:, slices, 2:5, 3:7] = image.dtype.type(7)
    return protected


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
