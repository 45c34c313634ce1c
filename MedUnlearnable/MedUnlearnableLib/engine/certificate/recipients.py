"""Who opens a payload: its key is wrapped once for each public key and each passphrase."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from .canonical import bytes_of, text_of
from .certificate import Certificate
from .keys import KEY_BYTES, PrivateKey, PublicKey, lock, unlock


def wrapped_for(recipient: PublicKey | str, key: bytes, certificate_id: str) -> dict[str, Any]:
    """An entry of `recipients`; text is a passphrase."""
    if isinstance(recipient, PublicKey):
        wrapped = text_of(recipient.wrap(key))
        return {"type": "x25519-sealedbox", "key_id": recipient.key_id, "wrapped": wrapped}
    return {"type": "passphrase", **lock(key, recipient, certificate_id.encode())}


def unwrapped(certificate: Certificate, opener: PrivateKey | str) -> bytes:
    """The key of the payload, by a private key or a passphrase; Refused if it was not wrapped for that."""
    if isinstance(opener, PrivateKey):
        key = _by_private_key(certificate, opener)
    else:
        key = _by_passphrase(certificate, opener)
    if len(key) != KEY_BYTES:
        raise Refused("the certificate holds no key of the right length for this opener; ask its issuer for a new one")
    return key


def _by_private_key(certificate: Certificate, opener: PrivateKey) -> bytes:
    key_id = opener.public.key_id
    for entry in certificate.data["recipients"]:
        if entry.get("key_id") == key_id:
            return opener.unwrap(bytes_of(entry["wrapped"]))
    raise Refused(f"the certificate was not made for the key {key_id} of {opener.name}; use a key of its recipients")


def _by_passphrase(certificate: Certificate, passphrase: str) -> bytes:
    wrong = Refused("the certificate was made for keys only, no passphrase opens it; give the key")
    for entry in certificate.data["recipients"]:
        if entry["type"] == "passphrase":
            try:
                return unlock(entry, passphrase, certificate.id.encode())
            except Refused as error:
                wrong = error
    raise wrong
