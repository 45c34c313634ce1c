"""PythonQt's behavior on PySide6."""

from .classes import stand_in, stand_ins
from .qt_module import install

__all__ = ["install", "stand_in", "stand_ins"]
