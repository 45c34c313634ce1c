"""A lock that dies with its holders. The system keeps it, so no kill, reboot or wrong clock can leave it behind.

Only the lock counts, never the file it lies on: a file that a killed process left is simply locked again. Over several
machines the shared file system must pass locks on (NFS does since version 4, Lustre when mounted with `flock`).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from ..engine.errors import Refused

LOCK_FILE = ".medunlearnable-lock"
_PATIENCE_SECONDS = 0.5  # `is_held` of another process holds the lock for a moment


class Lock:
    """An exclusive lock. A child process that inherits `descriptor` holds it as well, for as long as it lives."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """None: a living process holds it. The folder of `path` must be there."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            if _locked(path, descriptor) and _lies_at(path, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)
            if time.monotonic() > end:
                return None
            time.sleep(0.02)

    def release(self) -> None:
        """Removes the file first, while it is still ours; whoever waits for it finds it gone and makes a new one."""
        with suppress(OSError):  # Windows removes no open file; it stays and is locked again by the next run
            self._path.unlink()
        os.close(self.descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _locked(path, descriptor)
    finally:
        os.close(descriptor)


def _locked(path: Path, descriptor: int) -> bool:
    """Tries to lock; False when another process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise Refused(f"{path}: this file system cannot lock files ({error.strerror}); use another disk") from None
    return True


def _lies_at(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one at `path`; its former holder may have removed it in between."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
