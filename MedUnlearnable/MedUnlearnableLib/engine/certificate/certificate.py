"""A certificate that has been read: its shape is checked, its signature is the next question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

from .canonical import bytes_of, canonical, parse
from .errors import BadCertificate
from .frame import Frame
from .keys import PREFIX, PublicKey
from .schema import refuse_misshapen
from .values import value_hash

_LARGEST_BYTES = 1 << 28
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Certificate:
    """`data`: the JSON object. Made by `parse` and `seal` only, so every field has the shape of the format."""

    data: dict[str, Any]

    @classmethod
    def parse(cls, content: bytes) -> Certificate:
        """Raises BadCertificate, and nothing else, for whatever is not a certificate."""
        try:
            if len(content) > _LARGEST_BYTES:
                raise ValueError("too large")
            data = parse(content)
        except ValueError as error:
            raise BadCertificate(f"the certificate is damaged: it is no JSON that can be signed ({error})") from None
        refuse_misshapen(data)
        return cls(data)

    @property
    def id(self) -> str:
        return str(self.data["certificate_id"])

    @property
    def issuer(self) -> PublicKey:
        return PublicKey(bytes_of(self.data["issuer"]["public_key"].removeprefix(PREFIX)))

    @property
    def issuer_name(self) -> str:
        """As the issuer calls himself; proves nothing."""
        return str(self.data["issuer"]["name"])

    @property
    def method(self) -> str:
        return str(self.data["method"]["name"])

    @property
    def frame(self) -> Frame:
        return Frame.from_json(self.data["protected"])

    @property
    def slice_hashes(self) -> list[bytes]:
        return [bytes.fromhex(text) for text in self.data["protected"]["slice_hashes"]]

    @property
    def binding(self) -> bytes:
        """What the payload is encrypted for: SHA-256 of all but the payload's own account and the signature."""
        return hashlib.sha256(canonical(_without(self.data, "payload", "signature"))).digest()

    def refuse_forged(self) -> None:
        """Raises BadCertificate unless the issuer named in it has signed all of it."""
        message = canonical(_without(self.data, "signature"))
        if not self.issuer.has_signed(message, bytes_of(self.data["signature"]["value"])):
            raise BadCertificate("the signature does not fit: the certificate was changed, or not made by its issuer")
        if self.data["issuer"]["key_id"] != self.issuer.key_id:
            raise BadCertificate("the certificate names its issuer's key by a wrong id")
        if self.data["protected"]["value_hash"] != value_hash(self.frame.shape, self.slice_hashes).hex():
            raise BadCertificate("the certificate contradicts itself: the hash of the image is not that of its slices")

    def open_payload(self, beside: IO[bytes] | None) -> IO[bytes] | None:
        """The encrypted payload, inline or `beside` the certificate; None where it is missing.

        Raises BadCertificate if it is not the one that was signed.
        """
        account = self.data["payload"]
        file = BytesIO(bytes_of(account["data"])) if account["location"] == "inline" else beside
        if file is None:
            return None
        digest, size = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
        if (size, digest.hexdigest()) != (account["bytes"], account["sha256"]):
            raise BadCertificate("the payload is not the one that was signed: it was exchanged or damaged")
        file.seek(0)
        return file


def unsigned(fields: dict[str, Any]) -> bytes:
    """The bytes to sign."""
    return canonical(_without(fields, "signature"))


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def names_of_slices(numbers: Sequence[int]) -> str:
    """3, 7-9, 12"""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
