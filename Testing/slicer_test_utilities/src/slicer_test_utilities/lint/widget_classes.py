"""Names of the widget classes that Slicer can load from a .ui file.

A plain list, because linting needs neither Qt nor Slicer.
"""

from __future__ import annotations

_QT = """
Line QCalendarWidget QCheckBox QColumnView QComboBox QCommandLinkButton QDateEdit QDateTimeEdit QDial QDialog
QDialogButtonBox QDockWidget QDoubleSpinBox QFontComboBox QFrame QGraphicsView QGroupBox QKeySequenceEdit QLCDNumber
QLabel QLineEdit QListView QListWidget QMainWindow QMdiArea QMenu QMenuBar QOpenGLWidget QPlainTextEdit QProgressBar
QPushButton QRadioButton QScrollArea QScrollBar QSlider QSpinBox QSplitter QStackedWidget QStatusBar QTabWidget
QTableView QTableWidget QTextBrowser QTextEdit QTimeEdit QToolBar QToolBox QToolButton QTreeView QTreeWidget QUndoView
QWidget QWizard QWizardPage
"""

_CTK = """
ctkActionsWidget ctkAxesWidget ctkCheckBox ctkCheckableComboBox ctkCheckablePushButton ctkCollapsibleButton
ctkCollapsibleGroupBox ctkColorPickerButton ctkComboBox ctkCoordinatesWidget ctkDateRangeWidget ctkDirectoryButton
ctkDoubleRangeSlider ctkDoubleSlider ctkDoubleSpinBox ctkDynamicSpacer ctkExpandButton ctkExpandableWidget
ctkFittedTextBrowser ctkFlatProxyModel ctkFontButton ctkMaterialPropertyWidget ctkMatrixWidget ctkMenuButton
ctkMenuComboBox ctkMessageBox ctkPathLineEdit ctkPathListButtonsWidget ctkPathListWidget ctkPopupWidget
ctkRangeSlider ctkRangeWidget ctkResizableFrame ctkSearchBox ctkSettingsPanel ctkSliderWidget ctkThumbnailLabel
ctkThumbnailListWidget ctkTreeComboBox ctkTreeView ctkVTKChartView ctkVTKMagnifyView ctkVTKRenderView
ctkVTKScalarBarWidget ctkVTKScalarsToColorsWidget ctkVTKSliceView ctkVTKThresholdWidget ctkVTKVolumePropertyWidget
ctkWidgetsUtils
"""

_QMRML_WITH_SCENE = """
qMRMLAnnotationROIWidget qMRMLCaptureToolBar qMRMLCheckableNodeComboBox qMRMLClipNodeWidget qMRMLCollapsibleButton
qMRMLColorListView qMRMLColorTableComboBox qMRMLColorTableView qMRMLDisplayNodeViewComboBox qMRMLDisplayNodeWidget
qMRMLLabelComboBox qMRMLLayoutWidget qMRMLLinearTransformSlider qMRMLListWidget qMRMLMarkupsROIWidget
qMRMLModelDisplayNodeWidget qMRMLNodeComboBox qMRMLPlotView qMRMLPlotWidget qMRMLRangeWidget qMRMLScalarsDisplayWidget
qMRMLSegmentEditorWidget qMRMLSegmentSelectorWidget qMRMLSegmentationShow3DButton qMRMLSegmentsTableView
qMRMLSequenceBrowserPlayWidget qMRMLSequenceBrowserSeekWidget qMRMLSliceWidget qMRMLSliderWidget qMRMLSpinBox
qMRMLSubjectHierarchyComboBox qMRMLSubjectHierarchyTreeView qMRMLTableView qMRMLThreeDView qMRMLThreeDWidget
qMRMLTransformSliders qMRMLTreeView qMRMLVolumeThresholdWidget qMRMLWidget qMRMLWindowLevelWidget
qSlicerSimpleMarkupsWidget qSlicerMarkupsPlaceWidget
"""

_SLICER = """
qMRMLMatrixWidget qMRMLCoordinatesWidget qMRMLPlotSeriesPropertiesWidget qMRMLPlotChartPropertiesWidget
qMRMLVolumePropertyNodeWidget qMRMLUnitWidget qMRMLTextWidget qMRMLTableWidget qMRMLSliceControllerWidget
qSlicerWidget qSlicerModulePanel qSlicerModuleSelectorToolBar qSlicerLayoutManager qSlicerMouseModeToolBar
qSlicerColorTableWidget qSlicerDirectoryListView qSlicerExtensionsButtonBox qSlicerWebWidget qSlicerUnitWidget
qSlicerTerminologyNavigatorWidget qSlicerPresetComboBox qSlicerVolumeRenderingPresetComboBox
"""

# Only these must get the scene from the .ui file or from code; the others work without, or inherit it.
_MUST_HAVE_SCENE = {
    "qMRMLCheckableNodeComboBox",
    "qMRMLNodeComboBox",
    "qMRMLPlotWidget",
    "qMRMLSegmentSelectorWidget",
    "qMRMLSegmentsTableView",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLSubjectHierarchyTreeView",
    "qMRMLTableView",
    "qMRMLTreeView",
}
_KNOWN = set((_QT + _CTK + _QMRML_WITH_SCENE + _SLICER).split())


def is_known(class_name: str) -> bool:
    return class_name in _KNOWN


def needs_scene(class_name: str) -> bool:
    return class_name in _MUST_HAVE_SCENE
