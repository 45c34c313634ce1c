"""The module `ctk`: stand-ins for CTK's widgets, made on PySide6."""

from __future__ import annotations

import sys
from types import ModuleType

from . import buttons, paths, ranges, simple, sliders

_MODULES = (sliders, ranges, buttons, paths, simple)


def install() -> ModuleType:
    """Register the module `ctk`; the qt patches must be in place."""
    if "ctk" not in sys.modules:
        ctk = ModuleType("ctk")
        for module in _MODULES:
            for name, value in vars(module).items():
                if name.startswith("ctk"):
                    setattr(ctk, name, value)
        sys.modules["ctk"] = ctk
    return sys.modules["ctk"]
