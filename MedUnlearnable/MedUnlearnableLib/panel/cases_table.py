"""The cases: a table of plain text rows, and the selected row edited below it.

A node selector in every row would silently show another patient's image once its node is deleted; here such a row says
that its volume is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..engine.errors import Refused
from ..files.nnunet import DataSet
from ..scene.interrupted import interrupted_run
from ..scene.label_maps import label_map_for, segmentation_of
from ..scene.sample_nodes import LABEL_ATTRIBUTE
from .case_rows import Row, all_segments, background_volume, image_volumes, segmentation_for
from .method_forms import MethodForm
from .parameters import CaseRow, PanelParameters

_ROWS_SHOWN = 5
_ROW_HEIGHT = 30
IMAGE, SEGMENTS, LABEL, STATE = range(4)


class CasesTable:
    """Keeps table, editors and `parameters.cases` in step. `form`: of the method at hand. `on_change` is called after
    every change by the user.
    """

    def __init__(self, ui: Any, form: Callable[[], MethodForm], on_change: Callable[[], None]) -> None:
        self.ui = ui
        self.form = form
        self.on_change = on_change
        self.parameters: PanelParameters | None = None
        self.rows: list[Row] = []
        self._states: dict[int, str] = {}
        self._updating = False
        header = ui.casesTable.horizontalHeader()
        header.setSectionResizeMode(IMAGE, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(SEGMENTS, qt.QHeaderView.Stretch)
        for column in (LABEL, STATE):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        ui.casesTable.connect("itemSelectionChanged()", self._show_selected)
        ui.addCurrentButton.connect("clicked(bool)", self._add_current)
        ui.addAllButton.connect("clicked(bool)", self._add_all)
        ui.addFolderButton.connect("clicked(bool)", self._add_folder)
        ui.removeCaseButton.connect("clicked(bool)", self._remove_selected)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._edit_volume)
        ui.segmentSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._edit_segments)
        ui.segmentSelector.connect("segmentSelectionChanged(QStringList)", self._edit_segments)
        ui.labelEdit.connect("textEdited(QString)", self._edit_label)
        ui.convertButton.connect("clicked(bool)", self._convert_label_map)

    def set_parameters(self, parameters: PanelParameters | None) -> None:
        self.parameters = parameters
        self._states = {}
        self.update()

    def set_enabled(self, enabled: bool) -> None:
        """Cases cannot be edited while they are being protected."""
        for widget in ("addCurrentButton", "addAllButton", "addFolderButton", "removeCaseButton", "caseEditor"):
            getattr(self.ui, widget).enabled = enabled

    def show_labels(self) -> None:
        """Classes are asked for where the method makes something of them."""
        shown = self.form().has_labels
        self.ui.casesTable.setColumnHidden(LABEL, not shown)
        self.ui.labelEdit.visible = self.ui.labelEditLabel.visible = shown

    def set_state(self, row: int, text: str) -> None:
        self._states[row] = text
        if row < self.ui.casesTable.rowCount:
            self.ui.casesTable.item(row, STATE).setText(text)

    def clear_states(self) -> None:
        self._states = {}
        self.update()

    def update(self) -> None:
        """Reads the parameters and fills the table. Called when nodes are removed, too."""
        self.rows = [Row.of(pack) for pack in self.parameters.cases] if self.parameters is not None else []
        selected = self._selected_number()
        self._updating = True
        table = self.ui.casesTable
        table.setRowCount(len(self.rows))
        for number, row in enumerate(self.rows):
            texts = row.image_text, row.segments_text, row.label, self._states.get(number, "")
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                table.setItem(number, column, item)
        visible = min(max(len(self.rows), 1), _ROWS_SHOWN)
        table.setFixedHeight(table.horizontalHeader().sizeHint.height() + visible * _ROW_HEIGHT + 4)
        self._updating = False
        if self.rows:
            table.selectRow(min(max(selected, 0), len(self.rows) - 1))
        self._show_selected()

    def selected(self) -> Row | None:
        number = self._selected_number()
        return self.rows[number] if 0 <= number < len(self.rows) else None

    def _selected_number(self) -> int:
        """The selected row, or -1."""
        return int(self.ui.casesTable.currentRow()) if self.ui.casesTable.rowCount else -1

    def _show_selected(self) -> None:
        if self._updating:
            return
        row = self.selected()
        self._updating = True
        self.ui.caseEditor.visible = row is not None and not row.imagesFolder
        if row is not None and not row.imagesFolder:
            self.ui.volumeSelector.setCurrentNode(row.volume)
            self.ui.segmentSelector.setCurrentNode(row.segmentation)
            self.ui.segmentSelector.setSelectedSegmentIDs(list(row.segmentIDs) or all_segments(row.segmentation))
            if self.ui.labelEdit.text != row.label:  # else the cursor would jump while the user types
                self.ui.labelEdit.text = row.label
            self._offer_label_maps(row)
        self.ui.removeCaseButton.enabled = row is not None and self.ui.addCurrentButton.enabled
        self._updating = False

    def _offer_label_maps(self, row: Row) -> None:
        """Where there is no segmentation but a label map, one click makes it one."""
        usable = row.volume is not None and row.segmentation is None
        label_map = label_map_for(row.volume) if usable else None
        for name in ("labelMapLabel", "labelMapEditor"):
            getattr(self.ui, name).visible = label_map is not None
        if label_map is not None:
            self.ui.labelMapSelector.setCurrentNode(label_map)

    def _convert_label_map(self, _checked: bool = False) -> None:
        pack, label_map = self._edited_pack(), self.ui.labelMapSelector.currentNode()
        if pack is None or label_map is None:
            return
        try:
            pack.segmentation = segmentation_of(label_map, pack.volume)
        except Refused as error:
            self.ui.statusLabel.text = str(error)
            return
        pack.segmentIDs = []
        self._changed()

    def _edit_volume(self, node: Any) -> None:
        pack = self._edited_pack()
        if pack is not None and node is not pack.volume:
            pack.volume = node
            self._changed()

    def _edit_segments(self, *_ignored: Any) -> None:
        pack = self._edited_pack()
        if pack is None:
            return
        node = self.ui.segmentSelector.currentNode()
        every = all_segments(node)
        # Without a node the selector still gives the segments of the last one.
        chosen = [i for i in self.ui.segmentSelector.selectedSegmentIDs() if i in every]
        if node is not pack.segmentation:
            pack.segmentation = node
            chosen = every
        pack.segmentIDs = [] if chosen == every else chosen
        self._changed()

    def _edit_label(self, text: str) -> None:
        pack = self._edited_pack()
        if pack is not None:
            pack.label = str(text).strip()
            self._changed()

    def _edited_pack(self) -> CaseRow | None:
        """The selected row in the parameter node."""
        if self._updating or self.parameters is None or self._selected_number() < 0:
            return None
        return self.parameters.cases[self._selected_number()]

    def _changed(self) -> None:
        self.clear_states()
        self.on_change()

    def _add_current(self, _checked: bool = False) -> None:
        volume = background_volume()
        if volume is None:
            slicer.util.infoDisplay(_("No volume is shown in the slice views. Show one, or use 'Add all'."))
            return
        self._add_volumes([volume])

    def _add_all(self, _checked: bool = False) -> None:
        self._add_volumes(image_volumes())

    def _add_volumes(self, volumes: list[Any]) -> None:
        """Each volume once, with the segmentation drawn on it; one change of the parameter node for all."""
        there = [row.volume for row in self.rows]
        every = image_volumes()
        new = [volume for volume in volumes if volume not in there]
        self._add([_row_of(volume, segmentation_for(volume, every)) for volume in new])

    def _add_folder(self, _checked: bool = False) -> None:
        """Asks for what the method needs of a folder; what it can do without may be cancelled."""
        form, window = self.form(), slicer.util.mainWindow()
        images = str(qt.QFileDialog.getExistingDirectory(window, _("Folder of images, or data set of nnU-Net")))
        if not images:
            return
        try:
            labels = self._segmentations_of(images)
        except Refused as error:
            self.ui.statusLabel.text = str(error)
            return
        if form.needs_segments and not labels:
            return
        classes = self._classes_of(images, bool(labels)) if form.has_labels else ""
        output = qt.QFileDialog.getExistingDirectory(window, _("New or empty folder for the results"))
        if output and self._may_go_on(Path(str(output))):
            self._add([CaseRow(None, None, [], "", images, labels, classes, str(output))])

    def _segmentations_of(self, images: str) -> str:
        """Empty where there are none. The layout of nnU-Net says where they are."""
        data_set = DataSet.at(Path(images))
        if data_set is not None and data_set.labels.is_dir():
            return str(data_set.labels)
        needed = self.form().needs_segments
        title = _("Folder of their segmentations") if needed else _("Segmentations (cancel: none)")
        return str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, images))

    def _classes_of(self, images: str, has_segments: bool) -> str:
        """A CSV; without one the folders of the images are their classes, or else their segments."""
        title = _("Classes as CSV (cancel: a folder for each class, or the segments)")
        chosen = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, images, "CSV (*.csv)")
        return str(chosen) or ("" if has_segments else images)

    def _may_go_on(self, output: Path) -> bool:
        """Asks where a run in the folder was interrupted: it goes on as it was started, or not at all."""
        run = interrupted_run(output)
        return run is None or slicer.util.confirmYesNoDisplay(
            _(
                "A run in {folder} was interrupted; {finished} of {total} cases are done. Go on with it, with the "
                "images and settings it was started with? For others, choose a new folder."
            ).format(folder=output, finished=run.finished, total=run.total)
        )

    def _add(self, packs: list[CaseRow]) -> None:
        if self.parameters is not None and packs:
            self.parameters.cases = [*self.parameters.cases, *packs]
            self._changed()
            self.ui.casesTable.selectRow(self.ui.casesTable.rowCount - 1)

    def _remove_selected(self, _checked: bool = False) -> None:
        if self.parameters is not None and self._selected_number() >= 0:
            del self.parameters.cases[self._selected_number()]
            self._changed()


def _row_of(volume: Any, segmentation: Any) -> CaseRow:
    return CaseRow(volume, segmentation, [], volume.GetAttribute(LABEL_ATTRIBUTE) or "", "", "", "", "")
