"""A picture of an audit's report as a browser shows it (Chromium, through QtWebEngine, offscreen).

    python Testing/benchmarks/audit_picture.py REPORT.html PICTURE.png [HEIGHT]

Needs QtWebEngine, which the tests do not: `pip install "PySide6_Addons<6.9"` in an environment of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --disable-gpu --hide-scrollbars"

from PySide6.QtCore import QTimer, QUrl
from PySide6.QtWebEngineCore import QWebEngineSettings
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

_WIDTH = 1040
_SETTLE_MS = 1500  # until everything is drawn


def main(report: Path, picture: Path, height: int) -> None:
    application = QApplication([])
    view = QWebEngineView()
    view.resize(_WIDTH, height)
    view.settings().setAttribute(QWebEngineSettings.WebAttribute.ShowScrollBars, False)

    def grab() -> None:
        view.grab().save(str(picture))
        application.quit()

    view.loadFinished.connect(lambda _ok: QTimer.singleShot(_SETTLE_MS, grab))
    view.load(QUrl.fromLocalFile(str(report.resolve())))
    view.show()
    application.exec()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1400)
