"""The section Results: figures, the three views of the selected case, saving and removing."""

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
from ..files import formats
from ..files.outputs import RECORD_ENDING
from ..files.volume import write_atomically
from ..scene import certificates, dicom_series
from ..scene.protect_job import Outcome
from ..scene.volumes import RECORD_REFERENCE
from .comparison import Comparison
from .results_table import ResultsTable, verdict_of

_VIEWS = ("before", "after", "difference")


class ResultsSection:
    """What can be done with the outcomes of a run. `tell_failure` shows a sentence to the user."""

    def __init__(self, ui: Any, tell_failure: Callable[[str], None]) -> None:
        self.ui = ui
        self._tell_failure = tell_failure
        self._table = ResultsTable(ui)
        self._comparison = Comparison()
        ui.resultsTable.connect("itemSelectionChanged()", self._update)
        for what in _VIEWS:
            getattr(ui, f"{what}Button").connect("clicked(bool)", partial(self._compare, what))
        ui.backButton.connect("clicked(bool)", self.end_comparison)
        ui.saveButton.connect("clicked(bool)", self._save)
        ui.saveDicomButton.connect("clicked(bool)", self._save_dicom)
        ui.removeResultsButton.connect("clicked(bool)", self._remove)
        self._update()

    @property
    def done(self) -> int:
        """Cases that were protected."""
        return sum(outcome.record is not None and not outcome.error for outcome in self._table.outcomes)

    @property
    def has_volumes(self) -> bool:
        """Results that are nodes of the scene, and not saved by the run."""
        return bool(self._table.nodes())

    def show(self, outcomes: list[Outcome]) -> None:
        self._table.show(outcomes)
        self._update()

    def forget(self) -> None:
        """The scene is closed: its nodes are gone, and there is nothing to bring back."""
        self._comparison.forget()
        self.show([])

    def end_comparison(self, _checked: bool = False) -> None:
        self._comparison.restore()
        self._check_view("")

    def _compare(self, what: str, _checked: bool = False) -> None:
        outcome = self._selected_in_scene()
        if outcome is not None:
            self._comparison.show(outcome, what)
        self._check_view(what)

    def _check_view(self, shown: str) -> None:
        for view in _VIEWS:
            getattr(self.ui, f"{view}Button").checked = view == shown
        self._update()

    def _update(self) -> None:
        selected = self._table.selected()
        self.ui.verdictLabel.text = verdict_of(selected) if selected is not None else ""
        in_scene = self._selected_in_scene()
        for name in ("beforeButton", "afterButton", "differenceButton", "saveButton"):
            getattr(self.ui, name).enabled = in_scene is not None
        self.ui.saveDicomButton.visible = in_scene is not None and dicom_series.comes_from_database(in_scene.volumeNode)
        self.ui.backButton.enabled = self._comparison.active
        self.ui.resultsSection.visible = bool(self._table.outcomes)

    def _selected_in_scene(self) -> Outcome | None:
        outcome = self._table.selected()
        return outcome if outcome is not None and outcome.volumeNode in self._table.nodes() else None

    def _save(self, _checked: bool = False) -> None:
        outcome = self._selected_in_scene()
        if outcome is None or outcome.volumeNode is None:
            return
        proposed = f"{outcome.volumeNode.GetName()}.nrrd"
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the protected volume"), proposed, "NRRD (*.nrrd);;NIfTI (*.nii.gz)"
        )
        if path:
            self._save_to(outcome.volumeNode, Path(str(path)))

    def _save_to(self, node: Any, path: Path) -> None:
        record = node.GetNodeReference(RECORD_REFERENCE).GetText().encode()
        if not slicer.util.saveNode(node, str(path)):
            self._tell_failure(_("{path} could not be written; check the folder and the free space.").format(path=path))
            return
        write_atomically(path.with_name(formats.stem(path) + RECORD_ENDING), lambda file: file.write(record))
        signed = certificates.write_beside(node, path)
        with_it = _("its record and certificate") if signed else _("its record")
        self.ui.statusLabel.text = _("Saved {path} with {with_it}; all of it may be handed out.").format(
            path=path, with_it=with_it
        )

    def _save_dicom(self, _checked: bool = False) -> None:
        outcome = self._selected_in_scene()
        if outcome is None:
            return
        chosen = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("New or empty folder for the DICOM series")
        )
        if not chosen:
            return
        folder = Path(str(chosen))
        try:
            with slicer.util.WaitCursor():
                record = dicom_series.save_series(outcome.volumeNode, folder)
                certificates.write_beside(outcome.volumeNode, folder)
        except Refused as error:
            self._tell_failure(str(error))
            return
        saved = _("Saved the series {path} with its record beside it; both may be handed out.").format(path=folder)
        self.ui.statusLabel.text = "\n".join([saved, *record.warnings])

    def _remove(self, _checked: bool = False) -> None:
        self.end_comparison()
        self._table.remove_nodes()
        self._update()
