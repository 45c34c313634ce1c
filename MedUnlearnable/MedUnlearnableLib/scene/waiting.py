"""Where a job of the scene keeps its files, and what keeps Slicer alive while the console waits for it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..engine.errors import Refused

_SECONDS_BETWEEN_POLLS = 0.02


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


def pause_between_polls() -> Callable[[], None]:
    """Keeps Slicer's windows alive during a wait; without the application there is nothing to keep alive."""
    import slicer

    application = getattr(slicer, "app", None)

    def pause() -> None:
        if application is not None:
            application.processEvents()
        time.sleep(_SECONDS_BETWEEN_POLLS)

    return pause
