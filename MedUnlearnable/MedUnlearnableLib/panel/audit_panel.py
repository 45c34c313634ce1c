"""The panel of the module MedUnlearnable Audit: what each control does. The work is done in a worker process."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..engine.errors import MedUnlearnableError
from ..scene.audit import AuditPair, SceneAudit, headline_of
from ..scene.audit_nodes import AuditNodes
from ..scene.logic import MedUnlearnableLogic, SceneCase
from .audit_parameters import NODES, AuditParameters
from .certificates_section import CertificatesSection

_POLL_MS = 250
_STAGES = {"quality": _("comparing images"), "probe": _("timing an attacker"), "attack": _("training an attacker")}
#: Controls of paths, which remember what they show in the parameter of the same name.
_PATHS = {
    "cleanFolderEdit": "cleanFolder",
    "protectedFolderEdit": "protectedFolder",
    "labelsEdit": "labels",
    "classesEdit": "classes",
    "weightsEdit": "weights",
    "reportFolderEdit": "reportFolder",
}
_ROW_HEIGHT, _ROWS_SHOWN = 30, 8


class AuditKeeper:
    """Holds the audit across reloads of the panel, and ends it when the application quits."""

    def __init__(self) -> None:
        self.audit: SceneAudit | None = None

    def isRunning(self) -> bool:
        return self.audit is not None and self.audit.isRunning()

    def end(self) -> None:
        if self.audit is not None and self.audit.isRunning():
            self.audit.discard()
        self.audit = None


class AuditPanel:
    """Connects the controls of MedUnlearnableAudit.ui."""

    def __init__(self, ui: Any, logic: MedUnlearnableLogic, keeper: AuditKeeper) -> None:
        self.ui = ui
        self.logic = logic
        self.keeper = keeper
        self.parameters: AuditParameters | None = None
        self.certificates = CertificatesSection(ui)
        self._report: Path | None = None
        self._nodes: AuditNodes | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.auditButton.connect("clicked(bool)", self._audit_or_cancel)
        ui.openReportButton.connect("clicked(bool)", self._open_report)
        ui.showPlotButton.connect("clicked(bool)", self._show_plots)
        for name, parameter in _PATHS.items():
            getattr(ui, name).connect("currentPathChanged(QString)", partial(self._remember_path, parameter))
        for name in ("cleanSelector", "protectedSelector", "segmentationSelector"):
            getattr(ui, name).connect("currentNodeChanged(vtkMRMLNode*)", self.update)
        ui.sourceBox.connect("currentIndexChanged(int)", self.update)
        ui.resultsTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.resultsSection.visible = False
        if keeper.audit is not None:  # the panel was reloaded while an audit went on
            self._timer.start()

    def set_parameters(self, parameters: AuditParameters | None) -> None:
        """The parameter node of the scene; None while a scene is closed."""
        self.parameters = None  # so that filling the controls changes nothing
        if parameters is not None:
            for name, parameter in _PATHS.items():
                getattr(self.ui, name).setCurrentPath(getattr(parameters, parameter))
        self.parameters = parameters
        self.update()

    def scene_closed(self) -> None:
        """The nodes went with the scene; a running audit goes on, and the report stays."""
        self._nodes = None
        self.update()

    def nodes_removed(self) -> None:
        """The selectors have forgotten them by themselves."""
        self.update()

    def cleanup(self) -> None:
        """The panel goes; a running audit stays with the keeper."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self._poll)

    def update(self, *_ignored: Any) -> None:
        """Everything that follows from parameters, scene and run."""
        running = self.keeper.audit is not None
        nodes = self.ui.sourceBox.currentText == NODES
        self.ui.nodesEditor.visible = nodes
        self.ui.foldersEditor.visible = not nodes
        for name in ("imagesSection", "runEditor"):
            getattr(self.ui, name).enabled = not running
        reason = self._reason_not_to_start()
        self.ui.auditButton.text = _("Cancel") if running else _("Audit")
        self.ui.auditButton.enabled = running or not reason
        self.ui.auditButton.toolTip = _("Stop; finished attackers are kept.") if running else reason or _("Start.")
        self.ui.progressBar.visible = running
        self.ui.openReportButton.enabled = self._report is not None
        self.ui.showPlotButton.enabled = self._nodes is not None and self._nodes.curves is not None
        if not running and not self.ui.resultsSection.visible:
            self.ui.statusLabel.text = reason or _("Ready. Images are never changed.")

    def _reason_not_to_start(self) -> str:
        ui = self.ui
        if ui.sourceBox.currentText == NODES:
            clean, protected = ui.cleanSelector.currentNode(), ui.protectedSelector.currentNode()
            if clean is None or protected is None:
                return _("Choose a volume and its protected copy.")
            return _("Original and copy are the same volume.") if clean is protected else ""
        if not ui.cleanFolderEdit.currentPath or not ui.protectedFolderEdit.currentPath:
            return _("Choose the folders of the originals and of their protected copies.")
        return "" if ui.reportFolderEdit.currentPath else _("Choose a new folder for the report.")

    def _remember_path(self, parameter: str, path: str) -> None:
        if self.parameters is not None:
            setattr(self.parameters, parameter, str(path))
        self.update()

    def _audit_or_cancel(self, _checked: bool = False) -> None:
        if self.keeper.audit is not None:
            self.keeper.audit.cancel()
            self.ui.statusLabel.text = _("Cancelling; finished attackers are kept.")
            return
        try:
            with slicer.util.WaitCursor():  # volumes are copied for the worker
                self.keeper.audit = self._start()
        except MedUnlearnableError as error:
            self._tell(str(error))
            return
        self.ui.resultsSection.visible = False
        self.ui.progressBar.setRange(0, 0)
        self.update()
        self._timer.start()

    def _start(self) -> SceneAudit:
        parameters = self.parameters
        assert parameters is not None
        weights = Path(parameters.weights) if parameters.weights else None
        budget, device = parameters.budget, parameters.device
        report = Path(parameters.reportFolder) if parameters.reportFolder else None
        if parameters.source == NODES:
            case = SceneCase(parameters.clean, parameters.segmentation)
            pair = AuditPair(case, parameters.protected)
            return self.logic.startAudit([pair], budget, report, device=device, weights=weights)
        labels, classes = (Path(path) if path else None for path in (parameters.labels, parameters.classes))
        folders = Path(parameters.cleanFolder), Path(parameters.protectedFolder)
        assert report is not None
        return SceneAudit.of_folders(*folders, labels, classes, report, budget, device, weights)

    def _poll(self) -> None:
        audit = self.keeper.audit
        if audit is None:
            self._timer.stop()  # another panel of this module has told the end
            return
        for event in audit.poll():
            self._show_event(event)
        if not audit.isRunning():
            self._timer.stop()
            self.keeper.audit = None
            self._finish(audit)

    def _show_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self.ui.progressBar.setRange(0, int(event["budget_s"]))
            self.ui.progressBar.setValue(min(int(event["elapsed_s"]), int(event["budget_s"])))
            self.ui.statusLabel.text = _("{stage}: {done} of {total}; {minutes:.1f} of {budget:g} min").format(
                stage=_STAGES[event["stage"]],
                done=event["done"],
                total=event["total"],
                minutes=event["elapsed_s"] / 60,
                budget=event["budget_s"] / 60,
            )
        elif event["event"] == "cell":
            logging.info("MedUnlearnable Audit: %s, %s: %s", event["condition"], event["arm"], event["score"])

    def _finish(self, audit: SceneAudit) -> None:
        """Results come into the scene; the sentence can be seen from every module."""
        try:
            with slicer.util.WaitCursor():
                results = audit.results()
                self._nodes = audit.nodes()
        except MedUnlearnableError as error:
            self.update()
            self._tell(str(error))
            return
        self._report = audit.report
        self._show_results(results)
        self.update()
        assert audit.result is not None
        self._tell(audit.result["message"] if audit.result["exit_code"] else headline_of(results))

    def _show_results(self, results: dict[str, Any]) -> None:
        self.ui.verdictLabel.text = headline_of(results)
        verdicts = results["attack"]["verdicts"] if results["attack"] else []
        table = self.ui.resultsTable
        table.setRowCount(len(verdicts))
        for row, verdict in enumerate(verdicts):
            scores = [verdict["scores"].get(arm) for arm in ("clean", "label-free", "protected")]
            texts = [verdict["condition"], *("-" if s is None else f"{s:.2f}" for s in scores), verdict["wording"]]
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(verdict["reason"])
                table.setItem(row, column, item)
        table.setFixedHeight(
            table.horizontalHeader().sizeHint.height() + min(len(verdicts), _ROWS_SHOWN) * _ROW_HEIGHT + 4
        )
        table.visible = bool(verdicts)
        self.ui.resultsSection.visible = True

    def _open_report(self, _checked: bool = False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._report)))

    def _show_plots(self, _checked: bool = False) -> None:
        """The learning curves, in a layout with a plot view, where the other chart can be chosen."""
        assert self._nodes is not None
        slicer.modules.plots.logic().ShowChartInLayout(self._nodes.curves)

    def _tell(self, text: str) -> None:
        self.ui.statusLabel.text = text
        slicer.util.showStatusMessage(_("MedUnlearnable Audit: {text}").format(text=text), 0)
        logging.info("MedUnlearnable Audit: %s", text)
