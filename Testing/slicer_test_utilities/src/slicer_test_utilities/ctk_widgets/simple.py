"""CTK widgets that add little to their Qt base class."""

from __future__ import annotations

from PySide6 import QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import stored


@stand_in
class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing selected"."""

    defaultText = stored(str, "defaultText", "")
    forceDefault = stored(bool, "forceDefault", False)


@stand_in
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that can be closed."""

    collapsed = stored(bool, "collapsed", False)


@stand_in
class ctkExpandableWidget(QtWidgets.QFrame):
    """A frame that the user can resize."""


@stand_in
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """A text browser as high as its text."""

    collapsed = stored(bool, "collapsed", True)
    collapsible = stored(bool, "collapsible", True)
    collapsibleText = stored(str, "collapsibleText", "")


@stand_in
class ctkSearchBox(QtWidgets.QLineEdit):
    """A line edit for search."""

    showSearchIcon = stored(bool, "showSearchIcon", False)
    alwaysShowClearIcon = stored(bool, "alwaysShowClearIcon", False)


@stand_in
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with "don't show again"."""

    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey", "")
    dontShowAgainVisible = stored(bool, "dontShowAgainVisible", False)
    dontShowAgain = stored(bool, "dontShowAgain", False)
