"""PyTorch for the trained profiles: whether it is there, and how it comes. Nothing here imports it."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import slicer.util
from slicer.i18n import tr as _

_VERSION = ">=2.1"


def is_installed() -> bool:
    importlib.invalidate_caches()  # it may have been installed a moment ago
    return importlib.util.find_spec("torch") is not None


def next_step(profile: str) -> str:
    """One sentence for who has chosen a profile that needs PyTorch."""
    if _has_extension():
        return _("Profile {profile} needs PyTorch: click 'Install PyTorch...', or choose profile instant.").format(
            profile=profile
        )
    return _(
        "Profile {profile} needs PyTorch: install the extension PyTorch in the Extensions Manager, restart Slicer, "
        "then click 'Install PyTorch...'; or choose profile instant."
    ).format(profile=profile)


def install() -> None:
    """Through the extension, which asks first and finds the build for this computer; without it, says how."""
    if not _has_extension():
        slicer.util.infoDisplay(
            _(
                "PyTorch comes through the extension PyTorch:\n"
                "1. Open View > Extensions Manager, section Install Extensions.\n"
                "2. Install 'PyTorch' and restart Slicer.\n"
                "3. Come back here and click 'Install PyTorch...'.\n\n"
                "Without internet: load the wheels of torch{version} for Python {python} elsewhere, then run\n"
                "PythonSlicer -m pip install --no-index --find-links FOLDER torch"
            ).format(version=_VERSION, python="{}.{}".format(*sys.version_info[:2]))
        )
        return
    from PyTorchUtils import PyTorchUtilsLogic  # type: ignore[import-not-found]

    with slicer.util.tryWithErrorDisplay(_("PyTorch could not be installed."), waitCursor=True):
        PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=_VERSION)


def _has_extension() -> bool:
    return importlib.util.find_spec("PyTorchUtils") is not None
