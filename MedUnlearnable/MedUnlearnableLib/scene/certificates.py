"""Certificates of results: in text nodes below the volume, and as files beside what is saved."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from ..engine.certificate.frame import Image
from ..engine.certificate.restore import restore
from ..engine.certificate.verify import Verdict, verify
from ..engine.errors import Refused, UsageError
from ..files.certificates import Sealer, sidecars
from ..files.keys import TrustList, find_public_key, load_key
from ..files.volume import write_atomically
from .volumes import CERTIFICATE_REFERENCE, PAYLOAD_REFERENCE, add_restored, add_text_node, channels_of, geometry_of


def sealer_of(key: Path | str | None, passphrase: str, recipients: list[str]) -> Sealer | None:
    """Who signs, by the key file `key`, and who may restore besides: public keys or their files."""
    if key is None:
        if recipients:
            raise UsageError("a recipient needs a key: somebody must sign the certificate; make a key with keygen")
        return None
    return Sealer(load_key(Path(key)).unlock(passphrase), tuple(find_public_key(word)[0] for word in recipients))


def attach(protected: Any, image: Path) -> None:
    """Takes the certificate beside the file `image`, and its payload, into the scene; nothing where there is none."""
    certificate, payload = sidecars(image)
    if certificate.exists():
        add_text_node(protected, "certificate", CERTIFICATE_REFERENCE, certificate.read_text("utf-8"))
    if payload.exists():
        add_text_node(protected, "payload", PAYLOAD_REFERENCE, base64.b64encode(payload.read_bytes()).decode())


def write_beside(protected: Any, image: Path) -> bool:
    """Writes the certificate of a result beside its saved file or series. Returns whether there is one."""
    certificate = protected.GetNodeReference(CERTIFICATE_REFERENCE)
    if certificate is None:
        return False
    certificate_path, payload_path = sidecars(image)
    payload = _payload_of(protected)
    if payload is not None:
        write_atomically(payload_path, lambda file: file.write(payload))
    write_atomically(certificate_path, lambda file: file.write(certificate.GetText().encode()))
    return True


def verify_node(volume: Any) -> Verdict:
    """Whether the voxels of a result are as they were signed, and by whom. Refuses a volume without certificate."""
    return verify(_certificate_of(volume), _image_of(volume), TrustList().of, _stream_of(volume))


def restore_node(volume: Any, key: Path | str, passphrase: str) -> Any:
    """The exact original as a new node beside the result. Refuses whoever may not, and what is no longer as signed."""
    opener = load_key(Path(key)).unlock(passphrase)
    restored = restore(_certificate_of(volume), _image_of(volume), opener, TrustList().of, _stream_of(volume))
    if restored.in_file is None:
        raise Refused(f"volume '{volume.GetName()}' was cast to a type that cannot hold the original; load it again")
    return add_restored(volume, restored.in_file)


def _certificate_of(volume: Any) -> bytes:
    node = volume.GetNodeReference(CERTIFICATE_REFERENCE)
    if node is None:
        raise Refused(f"volume '{volume.GetName()}' has no certificate; protect it with a key")
    return bytes(node.GetText().encode())


def _image_of(volume: Any) -> Image:
    return Image(channels_of(volume), geometry_of(volume))


def _stream_of(volume: Any) -> io.BytesIO | None:
    payload = _payload_of(volume)
    return None if payload is None else io.BytesIO(payload)


def _payload_of(volume: Any) -> bytes | None:
    node = volume.GetNodeReference(PAYLOAD_REFERENCE)
    return None if node is None else base64.b64decode(node.GetText())
