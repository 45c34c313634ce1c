"""The panel of the module MedUnlearnable: what each control does. The work is done in a worker process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..engine.errors import MedUnlearnableError
from ..scene.estimate import estimated_budget
from ..scene.logic import MedUnlearnableLogic
from ..scene.protect_job import SceneCase
from .cases_table import CasesTable, image_text, image_volumes
from .comparison import Comparison
from .parameters import CaseRow, PanelParameters
from .results_table import ResultsTable
from .run import Run, RunKeeper

_POLL_MS = 250
_VIEWS = ("before", "after", "difference")
_STAGES = {"read": _("reading"), "window": _("looking at intensities"), "protect": _("protecting"),
           "quality": _("measuring"), "write": _("writing")}  # fmt: skip


class ProtectPanel:
    """Connects the controls of MedUnlearnable.ui. `keeper` holds a run across reloads of the panel."""

    def __init__(self, ui: Any, logic: MedUnlearnableLogic, keeper: RunKeeper) -> None:
        self.ui = ui
        self.logic = logic
        self.keeper = keeper
        self.parameters: PanelParameters | None = None
        self.cases = CasesTable(ui, self.update)
        self.results = ResultsTable(ui)
        self.comparison = Comparison()
        self._estimates: dict[Any, str] = {}
        self._started = 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._poll)
        self._connect()
        self._show_run_controls(False)
        if keeper.run is not None:  # the panel was reloaded while a job went on
            self._watch()

    def set_parameters(self, parameters: PanelParameters | None) -> None:
        """The parameter node of the scene; None while a scene is closed."""
        self.parameters = parameters
        self._estimates = {}
        self.cases.set_parameters(parameters)
        if parameters is not None:
            self.ui.stateFileEdit.setCurrentPath(parameters.stateFile)
            self.ui.saveStateFileEdit.setCurrentPath(parameters.saveStateFile)
        self.update()

    def scene_closed(self) -> None:
        """Results and comparison went with the scene; a running job goes on."""
        self.comparison.forget()
        self.results.show([])
        self._update_result_controls()

    def choose_defaults(self) -> None:
        """The first visit with a single volume: it is the case. Nothing is chosen behind the user's back later."""
        if self.parameters is not None and not self.cases.rows() and len(image_volumes()) == 1:
            self.ui.addCurrentButton.click()

    def cleanup(self) -> None:
        """The panel goes; a running job stays with the keeper."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self._poll)
        self.comparison.restore()

    def update(self) -> None:
        """Everything that follows from parameters, scene and run."""
        reason = self._reason_not_to_start()
        running = self._running()
        self.ui.protectButton.text = _("Cancel") if running else _("Protect")
        self.ui.protectButton.enabled = running or not reason
        self.ui.protectButton.toolTip = _("Stop; finished cases are kept.") if running else reason or _("Start.")
        if not running:
            self.ui.statusLabel.text = reason or self._ready_text()
        self._update_budget()

    def _connect(self) -> None:
        ui = self.ui
        ui.protectButton.connect("clicked(bool)", self._protect_or_cancel)
        ui.epsilonSlider.connect("valueChanged(double)", self._update_budget)
        ui.windowEdit.connect("textChanged(QString)", self._update_budget)
        ui.stateFileEdit.connect("currentPathChanged(QString)", partial(self._remember_path, "stateFile"))
        ui.saveStateFileEdit.connect("currentPathChanged(QString)", partial(self._remember_path, "saveStateFile"))
        ui.resultsTable.connect("itemSelectionChanged()", self._update_result_controls)
        for what in _VIEWS:
            getattr(ui, f"{what}Button").connect("clicked(bool)", partial(self._compare, what))
        ui.backButton.connect("clicked(bool)", self._end_comparison)
        ui.saveButton.connect("clicked(bool)", self._save)
        ui.removeResultsButton.connect("clicked(bool)", self._remove_results)
        self._update_result_controls()

    def _running(self) -> bool:
        return self.keeper.run is not None

    def _reason_not_to_start(self) -> str:
        """One sentence; empty when Protect can be pressed."""
        rows = self.cases.rows()
        if not rows:
            return _("Add a volume or a folder to protect.")
        for number, row in enumerate(rows, start=1):
            if row.imagesFolder:
                continue
            if row.volume is None:
                return _("Row {number}: the volume is missing; choose one or remove the row.").format(number=number)
            if row.segmentation is None:
                return _("Row {number}: choose the segmentation of '{name}'.").format(
                    number=number, name=row.volume.GetName()
                )
        return ""

    def _ready_text(self) -> str:
        count = len(self.cases.rows())
        return _("Ready: {count} case(s). Inputs are never changed.").format(count=count)

    def _update_budget(self, *_ignored: Any) -> None:
        """What epsilon means in stored units, for the selected row."""
        row = self._selected_node_row()
        self.ui.budgetLabel.text = self._budget_text(row) if row is not None else ""

    def _budget_text(self, row: CaseRow) -> str:
        case = _scene_case(row)
        window, epsilon = self.ui.windowEdit.text.strip() or "auto", self.ui.epsilonSlider.value
        key = (row.volume.GetID(), row.volume.GetMTime(), row.segmentation.GetMTime(), *row.segmentIDs, window, epsilon)
        if key not in self._estimates:
            try:
                text = _("at most about \u00b1{budget}").format(budget=estimated_budget(case, epsilon, window))
            except MedUnlearnableError as error:
                text = str(error)
            self._estimates = {key: text}
        return self._estimates[key]

    def _selected_node_row(self) -> CaseRow | None:
        number = self.cases.selected_row()
        rows = self.cases.rows()
        row = rows[number] if 0 <= number < len(rows) else None
        return row if row is not None and row.volume is not None and row.segmentation is not None else None

    def _remember_path(self, name: str, path: str) -> None:
        if self.parameters is not None:
            setattr(self.parameters, name, str(path))

    def _protect_or_cancel(self, _checked: bool = False) -> None:
        if self.keeper.run is not None:
            self.keeper.run.cancel()
            self.ui.statusLabel.text = _("Cancelling; finished cases are kept.")
            return
        try:
            with slicer.util.WaitCursor():  # volumes are copied for the worker
                self.keeper.run = Run(self._starters())
        except MedUnlearnableError as error:
            self._tell_failure(str(error))
            return
        self._end_comparison()
        self.cases.clear_states()
        self._watch()

    def _starters(self) -> list[Callable[[], Any]]:
        """What Protect starts: all volumes as one data set, then each folder."""
        options = self._options()
        rows = self.cases.rows()
        cases = [_scene_case(row) for row in rows if not row.imagesFolder]
        assert self.parameters is not None
        method = self.parameters.method
        starters: list[Callable[[], Any]] = []
        if cases:
            starters.append(partial(self.logic.startProtect, cases, method, **options))
        for row in rows:
            if row.imagesFolder:
                folders = row.imagesFolder, row.labelsFolder, row.outputFolder
                starters.append(partial(self.logic.startProtectFolder, *folders, method=method, **options))
        return starters

    def _options(self) -> dict[str, Any]:
        parameters = self.parameters
        assert parameters is not None
        seed = parameters.seed.strip()
        if seed and not seed.lstrip("-").isdigit():
            raise MedUnlearnableError(_("The seed must be a whole number, or empty for a fresh secret one."))
        return {
            "profile": parameters.profile,
            "epsilon": None if parameters.stateFile else parameters.epsilon,
            "window": parameters.window.strip() or None,
            "seed": int(seed) if seed else None,
            "device": parameters.device,
            "state": parameters.stateFile or None,
            "saveState": parameters.saveStateFile or None,
        }

    def _watch(self) -> None:
        self._started = time.monotonic()
        self._show_run_controls(True)
        self.update()
        self._timer.start()

    def _show_run_controls(self, running: bool) -> None:
        self.ui.progressBar.visible = running
        self.ui.progressBar.setRange(0, 0)
        self.cases.set_enabled(not running)

    def _poll(self) -> None:
        run = self.keeper.run
        if run is None:
            return
        for event in run.poll():
            self._show_event(event)
        if not run.isRunning():
            self._timer.stop()
            self._finish(run)

    def _show_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self._show_progress(event)
        elif event["event"] == "case":
            self._mark(event["case"], _("failed") if "error" in event else _("done"))

    def _show_progress(self, event: dict[str, Any]) -> None:
        within = event["done"] / event["total"] if event["total"] else 0.0
        self.ui.progressBar.setRange(0, 100 * event["of"])
        self.ui.progressBar.setValue(int(100 * (event["number"] + within)))
        stage = _STAGES.get(event["stage"], event["stage"])
        left = "" if event["eta_s"] is None else _(", about {seconds:.0f} s left").format(seconds=event["eta_s"])
        case = event["case"] or _("all cases")
        self.ui.statusLabel.text = _("{case}: {stage} ({number}/{of}){left}").format(
            case=case, stage=stage, number=event["number"] + 1, of=event["of"], left=left
        )
        if event["case"]:
            self._mark(event["case"], stage)

    def _mark(self, name: str, text: str) -> None:
        """The state of the first row of that name that is not done yet."""
        for number, row in enumerate(self.cases.rows()):
            if not row.imagesFolder and image_text(row) == name:
                self.cases.set_state(number, text)

    def _finish(self, run: Run) -> None:
        """The results come into the scene; the notice can be seen from every module."""
        try:
            with slicer.util.WaitCursor():
                self.results.show(run.outcomes())
        except MedUnlearnableError as error:
            self._tell_failure(str(error))
        self.keeper.run = None
        self._show_run_controls(False)
        self.update()
        self._update_result_controls()
        seconds = time.monotonic() - self._started
        done = sum(outcome.record is not None and not outcome.error for outcome in self.results.outcomes)
        message = run.message()
        if message:
            self._tell_failure(message)
        if done:
            self._tell_success(done, seconds, run.folders, message)

    def _tell_success(self, done: int, seconds: float, folders: list[str], failure: str) -> None:
        text = _("MedUnlearnable: {done} case(s) protected in {seconds:.0f} s. ").format(done=done, seconds=seconds)
        text += (
            _("Hand out: {folders}. ").format(folders=", ".join(folders)) if folders else _("Save the new volumes. ")
        )
        text += _("The scene file holds the originals too: do not hand it out.")
        if not failure:
            self.ui.statusLabel.text = text
        slicer.util.showStatusMessage(text, 0)
        logging.info(text)

    def _tell_failure(self, text: str) -> None:
        self.ui.statusLabel.text = text
        slicer.util.showStatusMessage(_("MedUnlearnable: {text}").format(text=text), 0)
        logging.warning("MedUnlearnable: %s", text)

    def _update_result_controls(self) -> None:
        outcome = self.results.selected()
        there = outcome is not None and outcome.volumeNode in self.results.nodes()
        for name in ("beforeButton", "afterButton", "differenceButton", "saveButton"):
            getattr(self.ui, name).enabled = there
        self.ui.backButton.enabled = self.comparison.active
        self.ui.removeResultsButton.enabled = bool(self.results.outcomes)

    def _compare(self, what: str, _checked: bool = False) -> None:
        outcome = self.results.selected()
        if outcome is not None and outcome.volumeNode in self.results.nodes():
            self.comparison.show(outcome, what)
        for view in _VIEWS:
            getattr(self.ui, f"{view}Button").checked = view == what
        self._update_result_controls()

    def _end_comparison(self, _checked: bool = False) -> None:
        self.comparison.restore()
        for view in _VIEWS:
            getattr(self.ui, f"{view}Button").checked = False
        self._update_result_controls()

    def _save(self, _checked: bool = False) -> None:
        outcome = self.results.selected()
        if outcome is None or outcome.volumeNode is None:
            return
        proposed = f"{outcome.volumeNode.GetName()}.nrrd"
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the protected volume"), proposed, "NRRD (*.nrrd);;NIfTI (*.nii.gz)"
        )
        if path:
            self._save_to(outcome.volumeNode, Path(str(path)))

    def _save_to(self, node: Any, path: Path) -> None:
        record = node.GetNodeReference("MedUnlearnable.record")
        if not slicer.util.saveNode(node, str(path)):
            self._tell_failure(_("{path} could not be written; check the folder and the free space.").format(path=path))
            return
        path.with_name(path.name.split(".")[0] + ".medunlearnable.json").write_text(record.GetText(), "utf-8")
        self.ui.statusLabel.text = _("Saved {path} with its record; both may be handed out.").format(path=path)

    def _remove_results(self, _checked: bool = False) -> None:
        self._end_comparison()
        self.results.remove_nodes()
        self._update_result_controls()


def _scene_case(row: CaseRow) -> SceneCase:
    return SceneCase(row.volume, row.segmentation, list(row.segmentIDs) or None)
