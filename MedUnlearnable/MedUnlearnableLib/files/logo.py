"""The logo of a user: a text, or a PNG file, as MedLocker takes it."""

from __future__ import annotations

from pathlib import Path

from ..engine.medlocker.logo import data_url
from .volume import read_bytes


def logo_of(text: str) -> str:
    """The content of the file where the text ends with .png, else the text itself. A missing file is refused."""
    return data_url(read_bytes(Path(text))) if text.lower().endswith(".png") else text
