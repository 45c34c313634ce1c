from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def qt(slicer_app: Any) -> Any:
    import qt

    return qt


@pytest.fixture
def ctk(slicer_app: Any) -> Any:
    import ctk

    return ctk
