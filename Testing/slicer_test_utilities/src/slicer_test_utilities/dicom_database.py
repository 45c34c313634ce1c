"""`slicer.dicomDatabase`: which file holds which instance. Patients, studies and series are not modeled."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore

from .pythonqt import stand_in
from .pythonqt.properties import stored


@stand_in
class ctkDICOMDatabase(QtCore.QObject):
    """Knows the files that were inserted, and leaves them where they are."""

    databaseChanged = QtCore.Signal()
    isOpen = stored(bool, "isOpen", True)
    _files: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self._files = {}

    def insert(self, filePath: str, storeFile: bool = True, generateThumbnail: bool = True) -> None:
        """Reads the header with pydicom, which comes with Slicer."""
        import pydicom

        _refuse_other_than_text(filePath)
        header = pydicom.dcmread(filePath, stop_before_pixels=True)
        self._files[str(header.SOPInstanceUID)] = str(Path(filePath).resolve())
        self.databaseChanged.emit()

    def fileForInstance(self, sopInstanceUID: str) -> str:
        """The path, also of a file that is gone; an empty text for an instance that the database does not know."""
        _refuse_other_than_text(sopInstanceUID)
        return self._files.get(sopInstanceUID, "")

    def instanceForFile(self, filePath: str) -> str:
        _refuse_other_than_text(filePath)
        return next((instance for instance, path in self._files.items() if path == filePath), "")


def _refuse_other_than_text(value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"a text was expected, not {value!r}")
