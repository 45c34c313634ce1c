"""Where a job of the scene keeps its files, how the console waits for it with Slicer alive, and what stopped it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..engine.errors import Cancelled, MedUnlearnableError, Refused, UsageError
from ..jobs.events import Event

_SECONDS_BETWEEN_POLLS = 0.02
#: By the exit code of a worker; any other one is a refusal.
_ERRORS: dict[int, Callable[[str], MedUnlearnableError]] = {2: UsageError, 130: Cancelled}


class Polled(Protocol):
    """What runs in a worker process."""

    def isRunning(self) -> bool: ...

    def poll(self) -> list[Event]: ...


def wait_until_ended(job: Polled, onEvent: Callable[[Event], None] | None) -> None:
    """Polls with Slicer's windows kept alive, if there is the application, and hands on every event."""
    import slicer

    application = getattr(slicer, "app", None)
    while job.isRunning():
        for event in job.poll():
            if onEvent is not None:
                onEvent(event)
        if application is not None:
            application.processEvents()
        time.sleep(_SECONDS_BETWEEN_POLLS)


def was_stopped(exit_code: int) -> bool:
    """Whether the worker never came to its end: by the user, or by a wrong option."""
    return exit_code in _ERRORS


def error_of(exit_code: int, message: str) -> MedUnlearnableError:
    """What a worker ended with, as the exception that it was there."""
    return _ERRORS.get(exit_code, Refused)(message)


def new_temporary_folder() -> Path:
    """In Slicer's own temporary folder, which the user can set to a disk with room."""
    import slicer

    application = getattr(slicer, "app", None)
    parent = application.temporaryPath if application is not None else None
    try:
        return Path(tempfile.mkdtemp(prefix="medunlearnable-", dir=parent))
    except OSError as error:
        raise Refused(
            f"{parent or tempfile.gettempdir()}: the temporary folder cannot be used ({error.strerror}); "
            "choose another one in the application settings"
        ) from None
