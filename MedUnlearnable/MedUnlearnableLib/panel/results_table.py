"""The results: one row for each case, figures a reader can check at a glance, and the verdict in words."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.protect_job import Outcome
from ..scene.volumes import TEXT_REFERENCES

_ROW_HEIGHT = 30
_ROWS_SHOWN = 5
NAME, PSNR, CHANGE, SHARE = range(4)


class ResultsTable:
    """Shows outcomes; `selected()` is the outcome whose images can be compared and saved."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.outcomes: list[Outcome] = []
        header = ui.resultsTable.horizontalHeader()
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        for column in (PSNR, CHANGE, SHARE):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)

    def show(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes
        table = self.ui.resultsTable
        table.setRowCount(len(outcomes))
        for number, outcome in enumerate(outcomes):
            for column, text in enumerate(texts_of(outcome)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(tooltip_of(outcome))
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                table.setItem(number, column, item)
        visible = min(max(len(outcomes), 1), _ROWS_SHOWN)
        table.setFixedHeight(table.horizontalHeader().sizeHint.height() + visible * _ROW_HEIGHT + 4)
        if outcomes:
            table.selectRow(0)

    def selected(self) -> Outcome | None:
        row = self.ui.resultsTable.currentRow()
        return self.outcomes[row] if 0 <= row < len(self.outcomes) else None

    def nodes(self) -> list[Any]:
        """Result volumes that are still in the scene."""
        nodes = [outcome.volumeNode for outcome in self.outcomes]
        return [node for node in nodes if node is not None and slicer.mrmlScene.IsNodePresent(node)]

    def remove_nodes(self) -> None:
        """Removes the result volumes with their records, certificates and display nodes."""
        for node in self.nodes():
            texts = [node.GetNodeReference(role) for role in TEXT_REFERENCES]
            for extra in (*texts, node.GetDisplayNode()):
                if extra is not None:
                    slicer.mrmlScene.RemoveNode(extra)
            slicer.mrmlScene.RemoveNode(node)
        self.show([])


def texts_of(outcome: Outcome) -> tuple[str, str, str, str]:
    record = outcome.record
    if record is None or record.psnr_db is None:
        return outcome.name, "-", "-", _("failed") if record is None else _("none")
    change = f"{record.max_change_physical:g} {record.units}".strip()
    return outcome.name, f"{record.psnr_db:.1f}", change, f"{record.share_changed:.1%}"


def verdict_of(outcome: Outcome) -> str:
    """What was checked after writing, and every warning; for a failed case the reason."""
    if outcome.record is None or outcome.error:
        return outcome.error
    if "epsilon" in outcome.record.parameters:
        checked = _("Read back and compared: outside the mask identical, no change above {budget:g} stored units.")
        checked = checked.format(budget=outcome.record.budget)
    else:
        checked = _("Read back and compared: outside the mark identical.")
    return "\n".join([checked, *outcome.record.warnings])


def tooltip_of(outcome: Outcome) -> str:
    """The figures that the columns have no room for."""
    if outcome.record is None or outcome.error:
        return outcome.error
    record = outcome.record
    return _("SSIM {ssim:.5f}, profile {profile}, {seconds:.1f} s.").format(
        ssim=record.ssim, profile=record.profile, seconds=record.seconds
    )
