"""None, True and False that cannot be freed, as from Python 3.12 on.

PySide6 6.12 loses a reference to None in each method without result (measured on Python 3.11: 1,000 `button.click()`
cost 998 references), so a long test session would end with "deallocating None".
"""

from __future__ import annotations

import ctypes
import sys

_ENOUGH = 1 << 40


def make_constants_immortal() -> None:
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython":
        return
    for constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(constant)).value += _ENOUGH
