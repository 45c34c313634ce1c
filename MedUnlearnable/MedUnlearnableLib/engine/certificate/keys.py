"""The key pair of a person, and secrets locked by a passphrase.

One Ed25519 key signs certificates, and its X25519 form (the map of RFC 7748, done by libsodium) receives the keys of
payloads. So a person has one public key to hand out and one fingerprint to compare.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from ..errors import Refused
from .canonical import bytes_of, text_of

KEY_BYTES = 32
PREFIX = "mul-ed25519:"
_SALT_BYTES, _NONCE_BYTES = 16, 12
_ARGON2_PASSES, _ARGON2_KIB = 3, 65536
_LOCK = b"mul-lock/1\0"


@dataclass(frozen=True)
class PublicKey:
    """Whom certificates come from, or whom a payload is for. `raw`: 32 bytes, Ed25519."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """From `mul-ed25519:<base64>`. Refuses everything else."""
        from nacl.exceptions import CryptoError

        word = text.strip()
        try:
            key = cls(bytes_of(word.removeprefix(PREFIX)))
            if not word.startswith(PREFIX) or len(key.raw) != KEY_BYTES:
                raise ValueError
            key._recipient()  # not every 32 bytes are a point of the curve
        except (ValueError, CryptoError, RuntimeError):
            raise Refused(f"'{word[:80]}' is not a public key; one looks like {PREFIX}<44 characters>") from None
        return key

    @property
    def text(self) -> str:
        return PREFIX + text_of(self.raw)

    @property
    def key_id(self) -> str:
        """16 hexadecimal digits, enough to find a key in a list; to trust one, compare the fingerprint."""
        return self._hash[:16]

    @property
    def fingerprint(self) -> str:
        """Eight groups of four hexadecimal digits, to be compared over the telephone."""
        return " ".join(self._hash[n : n + 4] for n in range(0, 32, 4))

    @property
    def _hash(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        from nacl.exceptions import CryptoError
        from nacl.signing import VerifyKey

        try:
            VerifyKey(self.raw).verify(message, signature)
        except (CryptoError, ValueError):
            return False
        return True

    def wrap(self, secret: bytes) -> bytes:
        """A libsodium sealed box, 48 bytes longer than the secret, that only the private key opens."""
        from nacl.public import SealedBox

        return bytes(SealedBox(self._recipient()).encrypt(secret))

    def _recipient(self) -> Any:
        from nacl.signing import VerifyKey

        return VerifyKey(self.raw).to_curve25519_public_key()


@dataclass(frozen=True)
class PrivateKey:
    """An unlocked key of the person `name`. `seed`: 32 bytes, never shown."""

    seed: bytes = field(repr=False)
    name: str

    @classmethod
    def fresh(cls, name: str) -> PrivateKey:
        return cls(secrets.token_bytes(KEY_BYTES), name)

    @property
    def public(self) -> PublicKey:
        return PublicKey(bytes(self._signer().verify_key))

    def sign(self, message: bytes) -> bytes:
        """64 bytes, Ed25519."""
        return bytes(self._signer().sign(message).signature)

    def unwrap(self, wrapped: bytes) -> bytes:
        """What was wrapped for this key; Refused otherwise."""
        from nacl.exceptions import CryptoError
        from nacl.public import SealedBox

        try:
            return bytes(SealedBox(self._signer().to_curve25519_private_key()).decrypt(wrapped))
        except (CryptoError, ValueError):
            raise Refused("this key does not open the payload of the certificate") from None

    def _signer(self) -> Any:
        from nacl.signing import SigningKey

        return SigningKey(self.seed)


def lock(secret: bytes, passphrase: str, context: bytes) -> dict[str, Any]:
    """The secret, encrypted under a passphrase: Argon2id, HKDF-SHA256, AES-256-GCM. `context` must be known to open."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    costs = {"kdf": "argon2id", "mem_kib": _ARGON2_KIB, "t": _ARGON2_PASSES, "p": 1}
    cipher = _cipher(passphrase, salt, costs, context)
    wrapped = cipher.encrypt(nonce, secret, context)
    return {**costs, "salt": text_of(salt), "nonce": text_of(nonce), "wrapped": text_of(wrapped)}


def unlock(locked: dict[str, Any], passphrase: str, context: bytes) -> bytes:
    """The inverse of `lock`, whose shape the caller has checked. Refuses another passphrase or a damaged lock."""
    from cryptography.exceptions import InvalidTag

    cipher = _cipher(passphrase, bytes_of(locked["salt"]), locked, context)
    try:
        return bytes(cipher.decrypt(bytes_of(locked["nonce"]), bytes_of(locked["wrapped"]), context))
    except InvalidTag:
        raise Refused("the passphrase is wrong; nothing was opened") from None


def _cipher(passphrase: str, salt: bytes, costs: dict[str, Any], context: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from nacl.pwhash import argon2id

    word = unicodedata.normalize("NFC", passphrase).encode()  # as one key on every keyboard
    stretched = argon2id.kdf(KEY_BYTES, word, salt, opslimit=costs["t"], memlimit=costs["mem_kib"] * 1024)
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=_LOCK + context).derive(stretched))
