"""The cases: a table of plain text rows, and the selected row edited below it.

A node selector in every row would silently show another patient's image once its node is deleted; here such a row says
that its volume is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from .parameters import CaseRow, PanelParameters

_ROWS_SHOWN = 5
_ROW_HEIGHT = 30
IMAGE, SEGMENTS, STATE = range(3)


class CasesTable:
    """Keeps table, editors and `parameters.cases` in step. `on_change` is called after every change by the user."""

    def __init__(self, ui: Any, on_change: Callable[[], None]) -> None:
        self.ui = ui
        self.on_change = on_change
        self.parameters: PanelParameters | None = None
        self._states: dict[int, str] = {}
        self._updating = False
        header = ui.casesTable.horizontalHeader()
        header.setSectionResizeMode(IMAGE, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(SEGMENTS, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(STATE, qt.QHeaderView.ResizeToContents)
        ui.casesTable.connect("itemSelectionChanged()", self._show_selected)
        ui.addCurrentButton.connect("clicked(bool)", self._add_current)
        ui.addAllButton.connect("clicked(bool)", self._add_all)
        ui.addFolderButton.connect("clicked(bool)", self._add_folder)
        ui.removeCaseButton.connect("clicked(bool)", self._remove_selected)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._edit_volume)
        ui.segmentSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._edit_segments)
        ui.segmentSelector.connect("segmentSelectionChanged(QStringList)", self._edit_segments)

    def set_parameters(self, parameters: PanelParameters | None) -> None:
        self.parameters = parameters
        self._states = {}
        self.update()

    def set_enabled(self, enabled: bool) -> None:
        """Cases cannot be edited while they are being protected."""
        for widget in ("addCurrentButton", "addAllButton", "addFolderButton", "removeCaseButton", "caseEditor"):
            getattr(self.ui, widget).enabled = enabled

    def set_state(self, row: int, text: str) -> None:
        self._states[row] = text
        if row < self.ui.casesTable.rowCount:
            self.ui.casesTable.item(row, STATE).setText(text)

    def clear_states(self) -> None:
        self._states = {}
        self.update()

    def rows(self) -> list[CaseRow]:
        return list(self.parameters.cases) if self.parameters is not None else []

    def update(self) -> None:
        """Fills the table from the parameters. Called when nodes are renamed or removed, too."""
        rows = self.rows()
        selected = self.selected_row()
        self._updating = True
        table = self.ui.casesTable
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate((image_text(row), segments_text(row), self._states.get(number, ""))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                table.setItem(number, column, item)
        visible = min(max(len(rows), 1), _ROWS_SHOWN)
        table.setFixedHeight(table.horizontalHeader().sizeHint.height() + visible * _ROW_HEIGHT + 4)
        self._updating = False
        if rows:
            table.selectRow(min(max(selected, 0), len(rows) - 1))
        self._show_selected()

    def selected_row(self) -> int:
        """The selected row, or -1."""
        return int(self.ui.casesTable.currentRow()) if self.ui.casesTable.rowCount else -1

    def add(self, volume: Any, segmentation: Any) -> bool:
        """Adds a volume once; False if it is there already."""
        assert self.parameters is not None
        if any(row.volume is volume for row in self.rows()):
            return False
        self.parameters.cases.append(_node_row(volume, segmentation))
        return True

    def _show_selected(self) -> None:
        if self._updating:
            return
        number = self.selected_row()
        rows = self.rows()
        row = rows[number] if 0 <= number < len(rows) else None
        self._updating = True
        self.ui.caseEditor.visible = row is not None and not row.imagesFolder
        if row is not None and not row.imagesFolder:
            self.ui.volumeSelector.setCurrentNode(row.volume)
            self.ui.segmentSelector.setCurrentNode(row.segmentation)
            chosen = list(row.segmentIDs) or _all_segments(row.segmentation)
            self.ui.segmentSelector.setSelectedSegmentIDs(chosen)
        self.ui.removeCaseButton.enabled = row is not None and self.ui.addCurrentButton.enabled
        self._updating = False

    def _edit_volume(self, node: Any) -> None:
        row = self._edited_row()
        if row is not None and node is not row.volume:
            row.volume = node
            self._changed()

    def _edit_segments(self, *_ignored: Any) -> None:
        row = self._edited_row()
        if row is None:
            return
        node = self.ui.segmentSelector.currentNode()
        every = _all_segments(node)
        # Without a node the selector still gives the segments of the last one.
        chosen = [i for i in self.ui.segmentSelector.selectedSegmentIDs() if i in every]
        if node is not row.segmentation:
            row.segmentation = node
            chosen = every
        row.segmentIDs = [] if chosen == every else chosen
        self._changed()

    def _edited_row(self) -> CaseRow | None:
        if self._updating or self.parameters is None or self.selected_row() < 0:
            return None
        return self.parameters.cases[self.selected_row()]

    def _changed(self) -> None:
        self.clear_states()
        self.on_change()

    def _add_current(self, _checked: bool = False) -> None:
        volume = _background_volume()
        if volume is None:
            slicer.util.infoDisplay(_("No volume is shown in the slice views. Show one, or use 'Add all'."))
            return
        self.add(volume, _segmentation_for(volume))
        self._select_last()

    def _add_all(self, _checked: bool = False) -> None:
        for volume in image_volumes():
            self.add(volume, _segmentation_for(volume))
        self._select_last()

    def _add_folder(self, _checked: bool = False) -> None:
        window = slicer.util.mainWindow()
        images = qt.QFileDialog.getExistingDirectory(window, _("Folder of images"))
        labels = images and qt.QFileDialog.getExistingDirectory(window, _("Folder of their labels"), images)
        output = labels and qt.QFileDialog.getExistingDirectory(window, _("New or empty folder for the results"))
        if output and self.parameters is not None:
            self.parameters.cases.append(CaseRow(None, None, [], str(images), str(labels), str(output)))
            self._select_last()

    def _remove_selected(self, _checked: bool = False) -> None:
        if self.parameters is not None and self.selected_row() >= 0:
            del self.parameters.cases[self.selected_row()]
            self._changed()

    def _select_last(self) -> None:
        self._changed()
        self.ui.casesTable.selectRow(self.ui.casesTable.rowCount - 1)


def image_text(row: CaseRow) -> str:
    if row.imagesFolder:
        return _("folder {name}").format(name=row.imagesFolder)
    return row.volume.GetName() if row.volume is not None else _("(volume missing)")


def segments_text(row: CaseRow) -> str:
    if row.imagesFolder:
        return _("labels in {name}").format(name=row.labelsFolder)
    if row.segmentation is None:
        return _("(none)")
    there = row.segmentation.GetSegmentation()
    names = [there.GetSegment(i).GetName() if there.GetSegment(i) else _("(missing)") for i in row.segmentIDs]
    return f"{row.segmentation.GetName()}: {', '.join(names) if names else _('all segments')}"


def image_volumes() -> list[Any]:
    """Volumes of the scene that can be protected: neither label maps nor our own results."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [
        node
        for node in nodes
        if not node.IsA("vtkMRMLLabelMapVolumeNode")
        and not node.GetHideFromEditors()
        and node.GetAttribute("MedUnlearnable.method") is None
    ]


def _node_row(volume: Any, segmentation: Any) -> CaseRow:
    return CaseRow(volume, segmentation, [], "", "", "")


def _background_volume() -> Any:
    """The volume in the first slice view that shows one; without views, the only volume of the scene."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and node in image_volumes():
            return node
    volumes = image_volumes()
    return volumes[0] if len(volumes) == 1 else None


def _segmentation_for(volume: Any) -> Any:
    """The segmentation drawn on this volume; else the only one of the scene."""
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    drawn_on = [node for node in segmentations if node.GetNodeReference(role) is volume]
    if drawn_on:
        return drawn_on[0]
    return segmentations[0] if len(segmentations) == 1 and len(image_volumes()) == 1 else None


def _all_segments(segmentation: Any) -> list[str]:
    if segmentation is None:
        return []
    there = segmentation.GetSegmentation()
    return [there.GetNthSegmentID(index) for index in range(there.GetNumberOfSegments())]
