"""Passphrases come from a prompt or a file, never from the command line, where other users could see them."""

from __future__ import annotations

import argparse
import getpass
import warnings
from pathlib import Path

from ..engine.certificate.keys import PrivateKey
from ..engine.errors import Refused, UsageError
from ..files.keys import LockedKey
from ..files.volume import read_bytes


def add_option(parser: argparse.ArgumentParser, lines: str = "its first line") -> None:
    parser.add_argument(
        "--passphrase-file", type=Path, metavar="F", help=f"take the passphrase from this file: {lines} (default: ask)"
    )


def unlock(key: LockedKey, file: Path | None) -> PrivateKey:
    """The private key; asks only where there is something to unlock."""
    return key.unlock(passphrase(f"Passphrase of {key.path}", file) if key.needs_passphrase else "")


def passphrase(what: str, file: Path | None, line: int = 0) -> str:
    """From the given line of the file, or from the terminal."""
    if file is None:
        return _asked(what)
    lines = read_bytes(file).decode("utf-8", "replace").splitlines()
    if len(lines) <= line or not lines[line]:
        raise Refused(f"{file}: line {line + 1} is to hold a passphrase ({what}), but there is none")
    return lines[line]


def new_passphrase(what: str, file: Path | None, line: int = 0) -> str:
    """As `passphrase`; the terminal asks twice."""
    word = passphrase(what, file, line)
    if file is None and _asked(f"{what}, again") != word:
        raise UsageError("the two passphrases differ; try again")
    if not word:
        raise UsageError("the passphrase is empty; give one")
    return word


def _asked(what: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would echo what is typed
            return getpass.getpass(f"{what}: ")
    except (getpass.GetPassWarning, EOFError):
        raise Refused(f"{what}: there is no terminal to ask on; give --passphrase-file") from None
