"""Says of a certificate and an image which of five things is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

from numpy.typing import NDArray

from ..case import GEOMETRY_TOLERANCE_VOXELS
from .certificate import Certificate, names_of_slices
from .errors import BadCertificate
from .frame import Image, Reading
from .keys import PublicKey
from .values import slice_hash


class Trust(Enum):
    """What the user thinks of a public key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


#: Looks a public key up in the user's list.
TrustIn = Callable[[PublicKey], Trust]


class Kind(Enum):
    """The verdicts, and the exit code of each."""

    TRUSTED = "trusted, unchanged", 0
    UNKNOWN_ISSUER = "unknown issuer, unchanged", 3
    CHANGED = "changed", 1
    OTHER_IMAGE = "other image or lossy copy", 1
    BAD_CERTIFICATE = "bad certificate", 1


@dataclass(frozen=True)
class Verdict:
    """`sentence` explains the kind to a person; `slices` are the changed ones, counted from 0 as in the file."""

    kind: Kind
    sentence: str
    slices: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        return self.kind.value[0]

    @property
    def exit_code(self) -> int:
        return self.kind.value[1]

    @property
    def unchanged(self) -> bool:
        return self.kind in (Kind.TRUSTED, Kind.UNKNOWN_ISSUER)


def verify(content: bytes, image: Image, trust_in: TrustIn, payload: IO[bytes] | None = None) -> Verdict:
    """Judges `image` by the certificate file's `content`. Whatever that holds, there is a verdict.

    `payload`: the open file beside the certificate, if there is one.
    """
    try:
        certificate = Certificate.parse(content)
        return examine(certificate, image, trust_in, payload).verdict
    except BadCertificate as error:
        return Verdict(Kind.BAD_CERTIFICATE, str(error))


@dataclass(frozen=True)
class Examined:
    """The verdict, how to see an unchanged image as the certified one, and the encrypted payload if it is there."""

    verdict: Verdict
    reading: Reading | None
    payload: IO[bytes] | None


def examine(certificate: Certificate, image: Image, trust_in: TrustIn, payload: IO[bytes] | None) -> Examined:
    """All that can be known without a key. Raises BadCertificate."""
    certificate.refuse_forged()
    trust = trust_in(certificate.issuer)
    if trust is Trust.REVOKED:
        raise BadCertificate(f"you have revoked the key of its issuer ({certificate.issuer.fingerprint})")
    encrypted = certificate.open_payload(payload)
    match = _Match.of(certificate, image)
    if match.reading is None:
        return Examined(match.verdict(), None, encrypted)
    return Examined(_verdict_of_unchanged(certificate, trust, encrypted is not None), match.reading, encrypted)


def _verdict_of_unchanged(certificate: Certificate, trust: Trust, has_payload: bool) -> Verdict:
    by = f"{certificate.issuer_name} ({certificate.issuer.fingerprint})"
    missing = "" if has_payload else "; its payload file is missing, so the original cannot be restored"
    if trust is Trust.TRUSTED:
        when = certificate.data["created"]
        return Verdict(Kind.TRUSTED, f"signed by {by} on {when[:10]} ({certificate.method}){missing}")
    return Verdict(
        Kind.UNKNOWN_ISSUER,
        f"signed by a key you have not pinned, which calls itself {by}; compare the fingerprint with the issuer, then "
        f"pin the key{missing}",
    )


@dataclass(frozen=True)
class _Match:
    """How an image compares with the certified one. `reading` is there only if nothing differs."""

    reading: Reading | None
    different: tuple[int, ...] = ()  # certified numbers
    count: int = 0
    akin: bool = False  # a slice with something in it is the same
    misplaced: float = 0.0  # voxels

    @classmethod
    def of(cls, certificate: Certificate, image: Image) -> _Match:
        found = [_compare(reading, certificate.slice_hashes) for reading in certificate.frame.readings(image)]
        return min(found, key=lambda match: (match.reading is None, len(match.different)), default=cls(None))

    def verdict(self) -> Verdict:
        if self.misplaced:
            return Verdict(
                Kind.CHANGED,
                f"the voxels are unchanged, but the file places them up to {self.misplaced:.3g} voxels away from where "
                "they were signed",
            )
        if not self.akin:
            return Verdict(Kind.OTHER_IMAGE, "no slice is the signed one: another image, or a copy with losses")
        word = "slice" if len(self.different) == 1 else "slices"
        return Verdict(
            Kind.CHANGED,
            f"{word} {names_of_slices(self.different)} of {self.count} differ from what was signed (counted from 0)",
            self.different,
        )


def _compare(reading: Reading, expected: list[bytes]) -> _Match:
    count = len(expected)
    same = [slice_hash(reading.slab(number)) == digest for number, digest in enumerate(expected)]
    if all(same):
        misplaced = reading.misplaced_voxels
        is_misplaced = misplaced > GEOMETRY_TOLERANCE_VOXELS
        return _Match(None, count=count, misplaced=misplaced) if is_misplaced else _Match(reading)
    different = tuple(sorted(reading.orientation.slice_in_file(n, count) for n in range(count) if not same[n]))
    akin = any(same[number] and not _is_empty(reading.slab(number)) for number in range(count))
    return _Match(None, different, count, akin)


def _is_empty(slab: NDArray[Any]) -> bool:
    """Air looks alike in all images."""
    return bool((slab == slab.flat[0]).all())
