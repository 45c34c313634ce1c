"""Key files, public keys as files or text, and the list of issuers the user has pinned."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ..engine.certificate.canonical import bytes_of, text_of
from ..engine.certificate.keys import KEY_BYTES, PREFIX, PrivateKey, PublicKey, lock, unlock
from ..engine.certificate.schema import (
    LONGEST_NAME,
    base64_of,
    exactly,
    is_misshapen,
    is_public_key,
    lock_of,
    matching,
    text_up_to,
)
from ..engine.certificate.verify import Trust
from ..engine.errors import Refused
from .volume import PRIVATE_MODE, read_bytes, read_json, write_atomically, write_json

PRIVATE_FILE, PUBLIC_FILE = "mulkey.json", "mulkey.pub"
_CONFIG_VARIABLE = "MEDUNLEARNABLE_CONFIG"
_TRUST_FILE = "trust.json"
_KEY_FORMAT, _TRUST_FORMAT = "mul-key/1", "mul-trust/1"
_LARGEST_PUBLIC_FILE = 1000  # bytes
_KEY = {
    "format": exactly(_KEY_FORMAT),
    "name": text_up_to(LONGEST_NAME),
    "public_key": is_public_key,
    "private": ({"kdf": exactly("none"), "seed": base64_of(KEY_BYTES)}, lock_of(KEY_BYTES)),
}
_TRUST = {
    "format": exactly(_TRUST_FORMAT),
    "issuers": [
        {
            "public_key": is_public_key,
            "name": text_up_to(LONGEST_NAME),
            "status": matching("trusted|revoked"),
            "since": matching(r"\d{4}-\d\d-\d\d"),
        }
    ],
}


@dataclass(frozen=True)
class LockedKey:
    """A key file that was read; its private part is still encrypted, unless it was made without a passphrase."""

    path: Path
    name: str
    public: PublicKey
    private: dict[str, Any]

    @property
    def needs_passphrase(self) -> bool:
        return bool(self.private["kdf"] != "none")

    def unlock(self, passphrase: str = "") -> PrivateKey:
        """Refuses a wrong passphrase, and a file whose public part is another key's."""
        try:
            seed = (
                unlock(self.private, passphrase, self.public.text.encode())
                if self.needs_passphrase
                else bytes_of(self.private["seed"])
            )
        except Refused as error:
            raise Refused(f"{self.path}: {error}") from None
        key = PrivateKey(seed, self.name)
        if key.public != self.public:
            raise Refused(f"{self.path}: its private and public part do not belong together; take a copy of the key")
        return key


def save_key(folder: Path, key: PrivateKey, passphrase: str) -> tuple[Path, Path]:
    """Writes the key file (for its owner alone) and the public key to hand out; never over an older key.

    An empty passphrase leaves the private part in clear.
    """
    private_path, public_path = folder / PRIVATE_FILE, folder / PUBLIC_FILE
    for path in (private_path, public_path):
        if path.exists():
            raise Refused(f"{path} exists already; give another folder, an old key is never overwritten")
    text = key.public.text
    private = lock(key.seed, passphrase, text.encode()) if passphrase else {"kdf": "none", "seed": text_of(key.seed)}
    data = {"format": _KEY_FORMAT, "name": key.name, "public_key": text, "private": private}
    write_json(private_path, data, mode=PRIVATE_MODE)
    write_atomically(public_path, lambda file: file.write(f"{text} {key.name}\n".encode()))
    return private_path, public_path


def load_key(path: Path) -> LockedKey:
    """Refuses what is not a key file."""
    data = read_json(path)
    if is_misshapen(data, _KEY):
        raise Refused(f"{path}: this is not a key file ({_KEY_FORMAT}); make one with keygen")
    return LockedKey(path, data["name"], _public(path, data["public_key"]), data["private"])


def find_public_key(word: str) -> tuple[PublicKey, str]:
    """A public key and the name that comes with it, from its text or from a file that holds the text."""
    text = word
    if not word.startswith(PREFIX):
        content = read_bytes(Path(word))[:_LARGEST_PUBLIC_FILE]
        text = content.decode("utf-8", "replace")
    key, _, name = text.strip().partition(" ")
    try:
        if not name.isprintable():
            raise Refused("more than one line")
        return PublicKey.parse(key), name
    except Refused:
        raise Refused(
            f"{word[:200]}: this is no public key; give its text ({PREFIX}...) or the file {PUBLIC_FILE} of its owner"
        ) from None


@dataclass(frozen=True)
class PinnedIssuer:
    """A line of the list."""

    key: PublicKey
    name: str
    trust: Trust
    since: str  # ISO date


class TrustList:
    """The issuers this user has pinned, kept in the user's configuration folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / _TRUST_FILE

    def issuers(self) -> list[PinnedIssuer]:
        """In the order in which they were pinned."""
        if not self.path.exists():
            return []
        data = read_json(self.path)
        if is_misshapen(data, _TRUST):
            raise Refused(f"{self.path}: the list of pinned issuers is damaged; repair it, or remove it and pin again")
        return [
            PinnedIssuer(_public(self.path, line["public_key"]), line["name"], Trust(line["status"]), line["since"])
            for line in data["issuers"]
        ]

    def of(self, key: PublicKey) -> Trust:
        return next((issuer.trust for issuer in self.issuers() if issuer.key == key), Trust.UNKNOWN)

    def pin(self, key: PublicKey, name: str, trust: Trust = Trust.TRUSTED) -> None:
        """Trusts or revokes a key. A revoked one stays revoked: who took it has it still."""
        if trust is Trust.TRUSTED and self.of(key) is Trust.REVOKED:
            raise Refused(f"the key {key.fingerprint} was revoked, so it is not trusted again; ask for a new one")
        others = [issuer for issuer in self.issuers() if issuer.key != key]
        lines = [
            {
                "public_key": issuer.key.text,
                "name": issuer.name,
                "status": issuer.trust.value,
                "since": issuer.since,
            }
            for issuer in (*others, PinnedIssuer(key, name, trust, date.today().isoformat()))
        ]
        write_json(self.path, {"format": _TRUST_FORMAT, "issuers": lines}, mode=PRIVATE_MODE)


def config_folder() -> Path:
    """Where the user's settings lie: MEDUNLEARNABLE_CONFIG, or the place the system has for them."""
    given = os.environ.get(_CONFIG_VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "MedUnlearnable"


def _public(path: Path, text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
