"""The budget: that of the profile until the user chooses another, and what it means for the selected case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..engine.errors import MedUnlearnableError
from ..scene.estimate import default_epsilon, estimated_budget
from .case_rows import Row
from .method_controls import MethodControls
from .parameters import PanelParameters


class Budget:
    """Slider and estimate. `selected`: the row that the estimate is for."""

    def __init__(self, ui: Any, controls: MethodControls, selected: Callable[[], Row | None]) -> None:
        self.ui = ui
        self._controls = controls
        self._selected = selected
        self._parameters: PanelParameters | None = None
        self._default: float | None = None  # of the profile; None: the method has no budget
        self._estimates: dict[Any, str] = {}
        ui.epsilonSlider.connect("valueChanged(double)", self.show)
        ui.windowEdit.connect("textChanged(QString)", self.show)

    def set_parameters(self, parameters: PanelParameters | None) -> None:
        self._parameters = parameters
        self._default = None  # what a scene brings is not moved to the default of its profile
        self._estimates = {}

    def follow(self, profile: str) -> None:
        """To be called when method, profile or cases have changed."""
        before, self._default = self._default, default_epsilon(self._controls.method, profile)
        for name in ("epsilonSliderLabel", "epsilonSlider", "budgetLabel"):
            getattr(self.ui, name).visible = self._default is not None
        if self._default is not None and self.ui.epsilonSlider.value == before:
            self.ui.epsilonSlider.value = self._default

    def epsilon(self) -> float | None:
        """In 1/255 of the window; None where it is left to the profile, or to the key of an earlier run."""
        parameters = self._parameters
        if parameters is None or parameters.stateFile or parameters.epsilon == self._default:
            return None
        return parameters.epsilon if self._default is not None else None

    def show(self, *_ignored: Any) -> None:
        """What it means in stored units, for the selected row."""
        row = self._selected()
        needs_segments = self._controls.form.needs_segments
        can_be_told = row is not None and row.volume is not None and not (needs_segments and row.segmentation is None)
        has_text = self._default is not None and can_be_told
        self.ui.budgetLabel.text = self._text(row) if row is not None and has_text else ""

    def _text(self, row: Row) -> str:
        """Kept for the next time: looking at a large volume takes a moment."""
        window, epsilon = self.ui.windowEdit.text.strip() or "auto", self.ui.epsilonSlider.value
        method, nodes = self._controls.method, [node for node in (row.volume, row.segmentation) if node is not None]
        key = (method, *((node.GetID(), node.GetMTime()) for node in nodes), *row.segmentIDs, window, epsilon)
        if key not in self._estimates:
            try:
                budget = estimated_budget(method, row.scene_case, epsilon, window)
                text = _("at most about \u00b1{budget}").format(budget=budget)
            except MedUnlearnableError as error:
                text = str(error)
            self._estimates = {key: text}
        return self._estimates[key]
