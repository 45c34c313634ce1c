"""The controls of the method at hand: made from its form, kept in the parameter node."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..engine.errors import Refused
from ..files.keys import load_key
from ..jobs.methods import METHODS
from ..scene.logic import OPTIONS
from .method_forms import ALL_CONTROLS, CERTIFICATE_CONTROLS, Control, MethodForm, form_of
from .parameters import PanelParameters

_ROW_BELOW_PROFILE = 2
_AUTO = "auto"


class MethodControls:
    """Shows what the chosen method needs. `on_change` is called when the user has changed method or profile."""

    def __init__(self, ui: Any, on_change: Callable[[], None]) -> None:
        self.ui = ui
        self._on_change = on_change
        self._parameters: PanelParameters | None = None
        self._updating = False
        self._rows: dict[str, tuple[Any, Any]] = {}  # label and field, by option
        self._writers: dict[str, Callable[[str], None]] = {}
        below_profile = _ROW_BELOW_PROFILE
        for control in ALL_CONTROLS:
            if control.advanced:
                ui.advancedSection.layout().addRow(*self._row_of(control))
            else:
                ui.protectionSection.layout().insertRow(below_profile, *self._row_of(control))
                below_profile += 1
        ui.methodComboBox.connect("currentTextChanged(QString)", self._change_method)
        ui.profileComboBox.connect("currentTextChanged(QString)", self._change_profile)

    @property
    def method(self) -> str:
        return str(self.ui.methodComboBox.currentText)

    @property
    def form(self) -> MethodForm:
        return form_of(self.method)

    @property
    def trained_profiles(self) -> tuple[str, ...]:
        """Those that need PyTorch; none while no method is shown yet."""
        return METHODS[self.method.lower()].trained_profiles if self.method else ()

    @property
    def profile(self) -> str:
        return str(self.ui.profileComboBox.currentText)

    def set_parameters(self, parameters: PanelParameters | None) -> None:
        self._parameters = parameters
        self._show()

    def options(self) -> dict[str, Any]:
        """What the visible controls say, as options of the logic; what is left empty is left out."""
        if self._parameters is None:
            return {}
        texts = {control: getattr(self._parameters, control.option) for control in self._shown()}
        return {control.option: control.value_of(text.strip()) for control, text in texts.items() if text.strip()}

    def ask_passphrase(self) -> str:
        """Of the key to sign with; empty where there is none to ask for. Refuses a file that is no key."""
        path = self.options().get("key")
        if path is None or not load_key(Path(path)).needs_passphrase:
            return ""
        title, question = _("Sign the certificates"), _("Passphrase of {path}:").format(path=path)
        password = qt.QLineEdit.Password
        word = str(qt.QInputDialog.getText(slicer.util.mainWindow(), title, question, password))
        if not word:
            raise Refused(_("Not started: the key is locked, and no passphrase was given."))
        return word

    def _shown(self) -> list[Control]:
        """A control whose option this version does not know yet stays away."""
        return [control for control in (*self.form.controls, *CERTIFICATE_CONTROLS) if control.option in OPTIONS]

    def _show(self) -> None:
        """Controls, profiles and words of the method, with the values of the parameter node."""
        parameters = self._parameters
        if parameters is None:
            return
        self._updating = True
        shown = {control.option for control in self._shown()}
        for option, row in self._rows.items():
            for widget in row:
                widget.visible = option in shown
            self._writers[option](getattr(parameters, option))
        self._fill_profiles(parameters.profile)
        form = self.form
        self.ui.methodComboBox.toolTip = form.about
        self.ui.segmentSelectorLabel.text = form.segments_label
        for widget in (self.ui.segmentSelectorLabel, self.ui.segmentSelector):
            widget.toolTip = form.segments_tooltip
        self._updating = False

    def _fill_profiles(self, profile: str) -> None:
        """Those of the method; one that it does not have becomes auto."""
        profiles = [_AUTO, *METHODS[self.method.lower()].profiles]
        combo = self.ui.profileComboBox
        combo.clear()
        combo.addItems(profiles)
        combo.setCurrentText(profile if profile in profiles else _AUTO)
        self._remember("profile", combo.currentText, always=True)

    def _change_method(self, name: str) -> None:
        if name:  # empty while the box is filled anew
            self._show()
            self._on_change()

    def _change_profile(self, profile: str) -> None:
        if not self._updating:
            self._remember("profile", profile)
            self._on_change()

    def _remember(self, option: str, text: str, always: bool = False) -> None:
        if self._parameters is not None and (always or not self._updating):
            setattr(self._parameters, option, str(text))

    def _row_of(self, control: Control) -> tuple[Any, Any]:
        """Label and field."""
        row = qt.QLabel(control.label), self._field_of(control)
        for widget in row:
            widget.toolTip = control.tooltip
        self._rows[control.option] = row
        return row

    def _field_of(self, control: Control) -> Any:
        remember = partial(self._remember, control.option)
        if control.choices:
            combo = qt.QComboBox()
            combo.addItems(list(control.choices))
            combo.connect("currentTextChanged(QString)", remember)
            self._writers[control.option] = combo.setCurrentText
            return combo
        edit = qt.QLineEdit()
        edit.connect("textChanged(QString)", remember)
        self._writers[control.option] = edit.setText
        return _with_file_button(edit, control) if control.files else edit


def _with_file_button(edit: Any, control: Control) -> Any:
    """The line with a button that puts the path of a chosen file into it."""
    field = qt.QWidget()
    layout = qt.QHBoxLayout(field)
    layout.setContentsMargins(0, 0, 0, 0)
    button = qt.QToolButton()
    button.text = "..."
    button.connect("clicked(bool)", partial(_choose_file, edit, control))
    layout.addWidget(edit)
    layout.addWidget(button)
    return field


def _choose_file(edit: Any, control: Control, _checked: bool = False) -> None:
    path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), control.label, "", control.files)
    if path:
        edit.text = str(path)
