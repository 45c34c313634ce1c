"""The panel of the module MedUnlearnable: what each control does. The work is done in a worker process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..engine.errors import MedUnlearnableError
from ..scene.estimate import profile_of
from ..scene.logic import MedUnlearnableLogic
from . import torch_install
from .budget import Budget
from .case_rows import image_volumes, reason_not_to_start
from .cases_table import CasesTable
from .loss_curve import LossCurve
from .method_controls import MethodControls
from .parameters import PanelParameters
from .results_section import ResultsSection
from .run import Run, RunKeeper

_POLL_MS = 250
_STAGES = {"read": _("reading"), "forecast": _("trying how hard the segments are to learn"),
           "window": _("looking at intensities"), "samples": _("taking samples"), "train": _("training"),
           "examine": _("trying the noise on a network that has not met it"), "protect": _("protecting"),
           "quality": _("measuring"), "write": _("writing")}  # fmt: skip


class ProtectPanel:
    """Connects the controls of MedUnlearnable.ui. `keeper` holds a run across reloads of the panel."""

    def __init__(self, ui: Any, logic: MedUnlearnableLogic, keeper: RunKeeper) -> None:
        self.ui = ui
        self.logic = logic
        self.keeper = keeper
        self.parameters: PanelParameters | None = None
        self.controls = MethodControls(ui, self._method_changed)
        self.cases = CasesTable(ui, lambda: self.controls.form, self.update)
        self.budget = Budget(ui, self.controls, self.cases.selected)
        self.results = ResultsSection(ui, self._tell_failure)
        self.curve = LossCurve(ui.curveLabel)
        self._watched: Run | None = None
        self._started = 0.0
        self._notes: list[str] = []  # forecasts and warnings of the run, not of single cases
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
        self.controls.set_parameters(parameters)
        self.cases.set_parameters(parameters)
        self.cases.show_labels()
        self.budget.set_parameters(parameters)
        if parameters is not None:
            self.ui.stateFileEdit.setCurrentPath(parameters.stateFile)
            self.ui.saveStateFileEdit.setCurrentPath(parameters.saveStateFile)
        self.update()

    def scene_closed(self) -> None:
        """Results and comparison went with the scene; a running job goes on."""
        self.results.forget()

    def nodes_removed(self) -> None:
        """A row may have lost its volume."""
        self.cases.update()
        self.update()

    def choose_defaults(self) -> None:
        """The first visit with a single volume: it is the case. Nothing is chosen behind the user's back later."""
        if self.parameters is not None and not self.cases.rows and len(image_volumes()) == 1:
            self.ui.addCurrentButton.click()

    def cleanup(self) -> None:
        """The panel goes; a running job stays with the keeper."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self._poll)
        self.results.end_comparison()

    def update(self) -> None:
        """Everything that follows from parameters, scene and run."""
        if self.parameters is not None:
            self.budget.follow(self._profile()[0])
        without_torch = self._missing_torch()
        reason = reason_not_to_start(self.cases.rows, self.controls.form) or without_torch
        running = self._running()
        self.ui.protectButton.text = _("Cancel") if running else _("Protect")
        self.ui.protectButton.enabled = running or not reason
        self.ui.protectButton.toolTip = _("Stop; finished cases are kept.") if running else reason or _("Start.")
        if not running:
            self.ui.statusLabel.text = reason or self._ready_text()
        self.budget.show()

    def _missing_torch(self) -> str:
        """What to do, where the chosen profile needs PyTorch and there is none."""
        is_missing = self.controls.profile in self.controls.trained_profiles and not torch_install.is_installed()
        self.ui.installTorchButton.visible = is_missing
        return torch_install.next_step(self.controls.profile) if is_missing else ""

    def _install_torch(self, _checked: bool = False) -> None:
        torch_install.install()
        self.update()

    def _connect(self) -> None:
        ui = self.ui
        ui.installTorchButton.connect("clicked(bool)", self._install_torch)
        ui.protectButton.connect("clicked(bool)", self._protect_or_cancel)
        ui.stateFileEdit.connect("currentPathChanged(QString)", partial(self._remember_path, "stateFile"))
        ui.saveStateFileEdit.connect("currentPathChanged(QString)", partial(self._remember_path, "saveStateFile"))

    def _method_changed(self) -> None:
        self.cases.show_labels()
        self.update()

    def _running(self) -> bool:
        return self.keeper.run is not None

    def _ready_text(self) -> str:
        profile, why = self._profile()
        return _("Ready: {count} case(s), profile {profile} ({why}). Inputs are never changed.").format(
            count=len(self.cases.rows), profile=profile, why=why
        )

    def _profile(self) -> tuple[str, str]:
        """What auto stands for, and why."""
        options = self.controls.options()
        labeled = [bool(row.label) for row in self.cases.rows]
        return profile_of(self.controls.method, self.controls.profile, labeled, options)

    def _remember_path(self, name: str, path: str) -> None:
        if self.parameters is not None:
            setattr(self.parameters, name, str(path))

    def _protect_or_cancel(self, _checked: bool = False) -> None:
        if self.keeper.run is not None:
            self.keeper.run.cancel()
            self.ui.statusLabel.text = _("Cancelling; finished cases are kept.")
            return
        try:
            starters = self._starters()
            with slicer.util.WaitCursor():  # volumes are copied for the worker
                self.keeper.run = Run(starters)
        except MedUnlearnableError as error:
            self._tell_failure(str(error))
            return
        self.results.end_comparison()
        self.cases.clear_states()
        self.curve.clear()
        self._watch()

    def _starters(self) -> list[Callable[[], Any]]:
        """What Protect starts: all volumes as one data set, then each folder."""
        options = self._options()
        rows = self.cases.rows
        cases = [row.scene_case for row in rows if not row.imagesFolder]
        assert self.parameters is not None
        method = self.parameters.method
        starters: list[Callable[[], Any]] = []
        if cases:
            starters.append(partial(self.logic.startProtect, cases, method, **options))
        for row in rows:
            if row.interrupted is not None:
                signing = {name: options[name] for name in ("key", "passphrase", "recipient") if name in options}
                starters.append(partial(self.logic.resumeFolder, row.outputFolder, **signing))
            elif row.imagesFolder:
                folders = row.imagesFolder, row.labelsFolder, row.outputFolder
                classes = row.classesPath or None
                starters.append(
                    partial(self.logic.startProtectFolder, *folders, method=method, classes=classes, **options)
                )
        return starters

    def _options(self) -> dict[str, Any]:
        parameters = self.parameters
        assert parameters is not None
        seed = parameters.seed.strip()
        if seed and not seed.lstrip("-").isdigit():
            raise MedUnlearnableError(_("The seed must be a whole number, or empty for a fresh secret one."))
        own = self.controls.options()
        if "key" in own:
            own["passphrase"] = self.controls.ask_passphrase()
        return {
            "profile": parameters.profile,
            "epsilon": self.budget.epsilon(),
            "window": parameters.window.strip() or None,
            "seed": int(seed) if seed else None,
            "device": parameters.device,
            "state": parameters.stateFile or None,
            "saveState": parameters.saveStateFile or None,
            **own,
        }

    def _watch(self) -> None:
        self._watched = self.keeper.run
        self._notes = []
        self._started = time.monotonic()
        self._show_run_controls(True)
        self.update()
        self._timer.start()

    def _show_run_controls(self, running: bool) -> None:
        self.ui.progressBar.visible = running
        self.ui.progressBar.setRange(0, 0)
        self.cases.set_enabled(not running)

    def _poll(self) -> None:
        run = self._watched
        if run is None:
            return
        for event in run.poll():
            self._show_event(event)
        self.curve.draw()
        if not run.isRunning():
            self._timer.stop()
            self._finish(run)

    def _show_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self._show_progress(event)
        elif event["event"] == "case":
            self._mark(event["case"], _("failed") if "error" in event else _("done"))
        elif event["event"] == "curve":
            self.curve.add(event["name"], event["step"], event["value"])
        elif event["event"] in ("forecast", "warning"):
            self._notes.append(event["message"])

    def _show_progress(self, event: dict[str, Any]) -> None:
        stage = _STAGES.get(event["stage"], event["stage"])
        if event["case"]:
            done, total = event["number"] + event["case_share"], event["of"]
            self._mark(event["case"], stage)
        else:  # a stage of the whole data set
            done, total = event["done"], event["total"]
        self.ui.progressBar.setRange(0, 100 * total)
        self.ui.progressBar.setValue(int(100 * done))
        where = _("{case}: {stage} ({number}/{of}){left}").format(
            case=event["case"] or _("all cases"),
            stage=stage,
            number=min(int(done) + 1, total),
            of=total,
            left="" if event["eta_s"] is None else _(", {time} left").format(time=_in_words(event["eta_s"])),
        )
        self.ui.statusLabel.text = "\n".join([where, *self._notes])

    def _mark(self, name: str, text: str) -> None:
        """The state of the first row of that name that is not done yet."""
        for number, row in enumerate(self.cases.rows):
            if not row.imagesFolder and row.image_text == name:
                self.cases.set_state(number, text)

    def _finish(self, run: Run) -> None:
        """The results come into the scene; the notice can be seen from every module."""
        self._watched = None
        try:
            with slicer.util.WaitCursor():
                self.results.show(run.outcomes())
        except MedUnlearnableError as error:
            self._tell_failure(str(error))
        if self.keeper.run is run:  # else another panel of this module has told it already
            self.keeper.run = None
        self._show_run_controls(False)
        self.cases.update()  # a folder that was cancelled can go on
        self.update()
        if run.message():
            self._tell_failure(run.message())
        if self.results.done:
            self._tell_success(run)

    def _tell_success(self, run: Run) -> None:
        seconds = time.monotonic() - self._started
        done = _("MedUnlearnable: {done} case(s) protected in {seconds:.0f} s.").format(
            done=self.results.done, seconds=seconds
        )
        parts = [done, _("Save the new volumes.")] if self.results.has_volumes else [done]
        for public, private in run.folders:
            parts.append(_("Hand out {public}; keep {private} for yourself.").format(public=public, private=private))
        text = " ".join([*parts, _("The scene file holds the originals too: do not hand it out.")])
        if not run.message():
            self.ui.statusLabel.text = "\n".join([text, *self._notes])
        slicer.util.showStatusMessage(text, 0)
        logging.info(text)

    def _tell_failure(self, text: str) -> None:
        self.ui.statusLabel.text = text
        slicer.util.showStatusMessage(_("MedUnlearnable: {text}").format(text=text), 0)
        logging.warning("MedUnlearnable: %s", text)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return _("about {seconds:.0f} s").format(seconds=seconds)
    if seconds < 90 * 60:
        return _("about {minutes:.0f} min").format(minutes=seconds / 60)
    return _("about {hours:.1f} h").format(hours=seconds / 3600)
