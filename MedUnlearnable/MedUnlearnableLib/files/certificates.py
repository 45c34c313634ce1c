"""Certificates beside images: `<stem>.mulcert.json`, and `<stem>.mulpay` for a payload too large to stand in it.

The stem, not the whole name, so that a copy in another format finds the certificate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.certificate.canonical import bytes_of, text_of
from ..engine.certificate.certificate import Certificate
from ..engine.certificate.frame import Image
from ..engine.certificate.keys import PrivateKey, PublicKey
from ..engine.certificate.restore import Restored, restore
from ..engine.certificate.seal import MethodStatement, seal
from ..engine.certificate.values import bits
from ..engine.certificate.verify import Kind, TrustIn, Verdict, verify
from ..engine.errors import Refused
from ..engine.record import Protected
from . import formats
from .volume import StoredImage, read_bytes, remove, write_atomically, write_folder_atomically

CERTIFICATE_ENDING = ".mulcert.json"
PAYLOAD_ENDING = ".mulpay"
#: A recipient of this name is whoever knows a passphrase.
PASSPHRASE = "passphrase"


@dataclass(frozen=True)
class Sealer:
    """Who signs the images of a run, and who may restore them besides: public keys and passphrases."""

    issuer: PrivateKey
    recipients: tuple[PublicKey | str, ...] = field(default=(), repr=False)

    def write(self, path: Path, stored: StoredImage, image: NDArray[Any], protected: Protected) -> list[Path]:
        """Writes the certificate of `image`, which lies at `path`, beside it. Returns the files.

        `stored` is the original; `image` is its part of `protected`, whose channels may come from several files.

        The payload comes first: where there is a certificate, its payload is there.
        """
        certificate_path, payload_path = sidecars(path)
        made: list[Certificate] = []
        original, method = image_of(stored), _statement_of(protected)
        write_atomically(
            payload_path,
            lambda file: made.append(seal(original, image, method, self.issuer, self.recipients, file)),
        )
        data = made[0].data
        inline = data["payload"]["location"] == "inline"
        if inline:
            remove(payload_path)
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        write_atomically(certificate_path, lambda file: file.write(text.encode()))
        return [certificate_path] if inline else [certificate_path, payload_path]

    @property
    def recipient_names(self) -> tuple[str, ...]:
        """As they may stand in a job."""
        return tuple(one.text if isinstance(one, PublicKey) else PASSPHRASE for one in self.recipients)

    def to_text(self) -> str:
        """All of it in one line, for the pipe to the worker: a secret."""
        recipients = [
            {"key": one.text} if isinstance(one, PublicKey) else {"passphrase": one} for one in self.recipients
        ]
        return json.dumps({"seed": text_of(self.issuer.seed), "name": self.issuer.name, "recipients": recipients})

    @classmethod
    def from_text(cls, text: str) -> Sealer:
        """The inverse of `to_text`."""
        data = json.loads(text)
        recipients = (PublicKey.parse(one["key"]) if "key" in one else one["passphrase"] for one in data["recipients"])
        return cls(PrivateKey(bytes_of(data["seed"]), data["name"]), tuple(recipients))


def _statement_of(protected: Protected) -> MethodStatement:
    """What the record says in public anyway, and what only a key holder may read."""
    record = protected.record
    return MethodStatement(record.method, _signable(record.parameters), _signable(protected.secrets))


def _signable(value: Any) -> Any:
    """JSON as it can be signed: floats as text with all their digits, keys in ASCII."""
    if isinstance(value, dict):
        return {key.encode("ascii", "backslashreplace").decode(): _signable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_signable(item) for item in value]
    return repr(float(value)) if isinstance(value, float) else value


def image_of(stored: StoredImage) -> Image:
    """What certificates are about."""
    return Image(stored.array, stored.geometry, stored.units)


def sidecars(image: Path) -> tuple[Path, Path]:
    """Where the certificate of an image file or series folder goes, and its payload if that is large."""
    path = certificate_beside(image)
    return path, _payload_beside(path)


def certificate_beside(image: Path) -> Path:
    """Where the certificate of an image file or series folder lies."""
    return image.with_name(formats.stem(image) + CERTIFICATE_ENDING)


def verify_file(image: Path, trust_in: TrustIn, certificate: Path | None = None) -> Verdict:
    """Judges an image file or series folder. A damaged image is not the signed one; a missing file is refused."""
    path = _found_certificate(image, certificate)
    content = read_bytes(path)
    try:
        stored = formats.read(image)
    except Refused as error:
        return Verdict(Kind.OTHER_IMAGE, str(error))
    with _open_payload(path) as payload:
        return verify(content, image_of(stored), trust_in, payload)


def verify_folder(folder: Path, trust_in: TrustIn) -> list[tuple[Path, Verdict]]:
    """The verdict on every image that lies beside a certificate somewhere in `folder`, in the order of their names.

    A certificate without its image is reported under its own name, and so is an image that has none.
    """
    certificates = sorted(folder.rglob(f"*{CERTIFICATE_ENDING}"))
    if not certificates:
        raise Refused(f"{folder}: there is no certificate (*{CERTIFICATE_ENDING}) in this folder; check the path")
    found: dict[Path, Verdict] = {}
    for path in certificates:
        images = [image for image in _images_beside(path) if certificate_beside(image) == path]
        for image in images:
            found[image] = verify_file(image, trust_in)
        if not images:
            found[path] = Verdict(Kind.OTHER_IMAGE, "the image of this certificate is missing")
    for image in {image for path in certificates for image in _images_beside(path)} - found.keys():
        found[image] = Verdict(Kind.BAD_CERTIFICATE, "this image has no certificate")
    return sorted(found.items())


def restore_file(
    image: Path, out: Path, opener: PrivateKey | str, trust_in: TrustIn, certificate: Path | None = None
) -> Restored:
    """Writes the original of a protected file, in the format of that file. Nothing is written unless it is exact."""
    path = _found_certificate(image, certificate)
    if out.exists():
        raise Refused(f"--out {out} exists already; give a new name, nothing is overwritten")
    stored = formats.read(image).as_original
    _refuse_other_name(stored, out)
    with _open_payload(path) as payload:
        restored = restore(read_bytes(path), image_of(stored), opener, trust_in, payload)
    array = restored.in_file
    if array is None:
        raise Refused(
            f"{image}: its voxels of type {stored.array.dtype.name} cannot hold the original ("
            f"{restored.array.dtype.name}) exactly; restore from the file as it was handed out"
        )
    if stored.data is not None:
        data_path = out.with_name(stored.data.path.name)
        write_data = stored.data.write_to
        write_atomically(data_path, lambda file: write_data(file, array))
    atomically: Any = write_folder_atomically if stored.parts else write_atomically
    atomically(out, lambda place: stored.write_to(place, array), check=lambda made: _refuse_other(made, out, array))
    return restored


def _refuse_other(made: Path, out: Path, array: NDArray[Any]) -> None:
    """Reads back what is to become `out`."""
    back = formats.read(made).array
    planes = range(array.shape[1])
    if back.shape != array.shape or not all(
        np.array_equal(bits(back[:, k], back.dtype), bits(array[:, k], back.dtype)) for k in planes
    ):
        raise Refused(f"{out}: what was read back differs from what was written; the disk may be faulty")


def _refuse_other_name(stored: StoredImage, out: Path) -> None:
    expected = formats.ending(stored.path)
    if not stored.parts and formats.ending(out) != expected:
        raise Refused(f"--out {out}: the result has the format of {stored.path.name}; give a name with {expected}")
    if stored.data is not None and out.name != stored.path.name:
        raise Refused(f"--out {out}: its header names {stored.data.path.name}, so keep the name {stored.path.name}")


def _found_certificate(image: Path, given: Path | None) -> Path:
    path = given or certificate_beside(image)
    if not image.exists():
        raise Refused(f"{image}: there is no such file or folder; check the path")
    if not path.is_file():
        raise Refused(f"{image}: there is no certificate at {path}; give it with --certificate")
    return path


def _payload_beside(certificate: Path) -> Path:
    return certificate.with_name(certificate.name.removesuffix(CERTIFICATE_ENDING) + PAYLOAD_ENDING)


@contextmanager
def _open_payload(certificate: Path) -> Iterator[IO[bytes] | None]:
    path = _payload_beside(certificate)
    if not path.is_file():
        yield None
        return
    with path.open("rb") as file:
        yield file


def _images_beside(certificate: Path) -> list[Path]:
    return [
        path
        for path in sorted(certificate.parent.iterdir())
        if not path.name.startswith(".") and (formats.ending(path) or formats.is_series_folder(path))
    ]
