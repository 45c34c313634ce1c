"""Random numbers from one secret seed, one independent stream for each purpose."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import numpy as np

SEED_BYTES = 16


@dataclass(frozen=True)
class RandomStreams:
    """Streams derived from a 128-bit seed. The same seed and purpose give the same numbers on every machine."""

    seed: bytes  # 16 bytes; whoever knows them can rebuild every random choice of the run

    @classmethod
    def fresh(cls) -> RandomStreams:
        """A new secret seed."""
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_number(cls, number: int) -> RandomStreams:
        """A repeatable seed. It is no better kept than the number: who can guess the number has the seed."""
        return cls(hashlib.sha256(f"medunlearnable seed {number}".encode()).digest()[:SEED_BYTES])

    @property
    def seed_id(self) -> str:
        """Names the seed without giving it away (64 bits of its hash); stands in public records."""
        return hashlib.sha256(b"medunlearnable seed id" + self.seed).hexdigest()[:16]

    def generator(self, purpose: str) -> np.random.Generator:
        """The stream for one purpose, independent of what other purposes have drawn."""
        digest = hashlib.sha256(self.seed + purpose.encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
