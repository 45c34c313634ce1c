"""Verify and restore: what the certificate beside an image says, and the exact original for the holder of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer.util
from slicer.i18n import tr as _

from ..engine.certificate.keys import PrivateKey
from ..engine.errors import MedUnlearnableError
from ..files import formats
from ..files.certificates import restore_file, verify_file, verify_folder
from ..files.keys import TrustList, load_key

_LINES_SHOWN = 6


class CertificatesSection:
    """The section "Certificates" of the panel. A passphrase is forgotten as soon as it was used."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        ui.verifyButton.connect("clicked(bool)", self._verify)
        ui.restoreButton.connect("clicked(bool)", self._restore)
        for name in ("signedFileEdit", "restoredFileEdit"):
            getattr(ui, name).connect("currentPathChanged(QString)", self._update)
        self._update()

    def _update(self, *_ignored: Any) -> None:
        chosen = bool(self.ui.signedFileEdit.currentPath)
        self.ui.verifyButton.enabled = chosen
        self.ui.restoreButton.enabled = chosen and bool(self.ui.restoredFileEdit.currentPath)

    def _verify(self, _checked: bool = False) -> None:
        path = Path(self.ui.signedFileEdit.currentPath)
        trusted = TrustList().of
        try:
            with slicer.util.WaitCursor():
                if path.is_dir() and not formats.is_series_folder(path):
                    found = verify_folder(path, trusted)
                else:
                    found = [(path, verify_file(path, trusted))]
        except MedUnlearnableError as error:
            self.ui.certificateLabel.text = str(error)
            return
        worst_first = sorted(found, key=lambda one: (0, 3, 1).index(one[1].exit_code), reverse=True)
        lines = [f"{image.name}: {verdict.label}: {verdict.sentence}" for image, verdict in worst_first[:_LINES_SHOWN]]
        if len(found) > _LINES_SHOWN:
            lines.append(_("and {count} more").format(count=len(found) - _LINES_SHOWN))
        self.ui.certificateLabel.text = "\n".join(lines)

    def _restore(self, _checked: bool = False) -> None:
        out = Path(self.ui.restoredFileEdit.currentPath)
        try:
            with slicer.util.WaitCursor():
                restored = restore_file(Path(self.ui.signedFileEdit.currentPath), out, self._opener(), TrustList().of)
        except MedUnlearnableError as error:
            self.ui.certificateLabel.text = str(error)
            return
        finally:
            self.ui.passphraseEdit.text = ""
        self.ui.certificateLabel.text = _("{out}: the original, bit for bit ({dtype}).").format(
            out=out, dtype=restored.array.dtype.name
        )

    def _opener(self) -> PrivateKey | str:
        passphrase = str(self.ui.passphraseEdit.text)
        key = self.ui.keyEdit.currentPath
        return load_key(Path(key)).unlock(passphrase) if key else passphrase
