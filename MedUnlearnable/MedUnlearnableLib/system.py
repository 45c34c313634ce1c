"""What this installation is made of and runs on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform

from . import __version__

_PACKAGES = ("numpy", "scipy", "SimpleITK", "pydicom", "cryptography", "pynacl", "pillow", "slicer-core", "torch")


def system_report() -> dict[str, str]:
    """Versions, device and memory, for a report of a defect."""
    report = {"medunlearnable": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            report[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            report[name] = "not installed"
    report["device"] = _device()
    report["processors"] = str(os.cpu_count())
    report["memory"] = _memory()
    return report


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "cpu (profile instant needs no torch)"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
