"""Rules for Python files of a scripted module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .cmake_rules import module_names
from .finding import Finding

# What Slicer ships, besides the standard library. The Index's reviewer asks for nothing else at file scope.
_SHIPPED = {
    "numpy", "scipy", "vtk", "vtkmodules", "SimpleITK", "sitkUtils", "qt", "ctk", "slicer", "mrml", "SampleData",
    "DICOMLib", "DICOMScalarVolumePlugin", "SegmentEditorEffects", "SegmentEditorEffectsLib", "PythonQt", "vtkITK",
    "vtkSegmentationCorePython", "teem", "requests", "packaging", "pip", "typing_extensions", "pydicom",
    "ScreenCapture", "SubjectHierarchyPlugins", "AbstractScriptedSubjectHierarchyPlugin",
    "AbstractScriptedSegmentEditorEffect", "Editor", "LandmarkRegistration", "dateutil", "setuptools",
}  # fmt: skip
_THREADS = {"threading", "_thread", "concurrent.futures", "multiprocessing.pool", "multiprocessing.dummy"}
_QT_BASES = {"QWidget", "QObject", "QAbstractButton", "QAbstractSlider", "QAbstractSpinBox", "QFrame", "QLayout"}
_TEXT_PROPERTIES = {"text", "toolTip", "title", "windowTitle", "placeholderText", "statusTip", "helpText", "labelText"}
_TEXT_METHODS = {
    "setText", "setToolTip", "setTitle", "setWindowTitle", "setPlaceholderText", "setStatusTip", "errorDisplay",
    "infoDisplay", "warningDisplay", "confirmOkCancelDisplay", "confirmYesNoDisplay", "tryWithErrorDisplay",
}  # fmt: skip

Rule = Callable[[Path, ast.Module], Iterator[tuple[int, str, str]]]


def check(path: Path) -> Iterator[Finding]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        yield Finding(path, getattr(error, "lineno", 0) or 0, "syntax", f"cannot be read: {error}")
        return
    for rule in _RULES:
        for line, name, text in rule(path, tree):
            yield Finding(path, line, name, text)


def _file_scope_imports(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Also inside `if` and `try` at file scope: Slicer runs those too."""
    for statement in _file_scope(tree.body):
        for name in _imported(statement):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in _SHIPPED or _is_local(path, top):
                continue
            text = f"import of {top} at file scope: Slicer does not ship it, so the module would not load"
            yield statement.lineno, "file-scope-import", text


def _file_scope(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and not _is_type_checking(statement.test):
            yield from _file_scope(statement.body + statement.orelse)
        elif isinstance(statement, ast.With):
            yield from _file_scope(statement.body)


def _is_type_checking(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _imported(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and not statement.level:
        return [statement.module or ""]
    return []


def _is_local(path: Path, name: str) -> bool:
    """A module or package beside the file, or beside one of the folders above it."""
    folders = list(path.resolve().parents)[:4]
    return any((folder / name).is_dir() or (folder / f"{name}.py").is_file() for folder in folders)


def _threads(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        names = _imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else []
        used = [name for name in names if name in _THREADS]
        is_qthread = isinstance(node, ast.Attribute) and node.attr in ("QThread", "QThreadPool", "QRunnable")
        if used or is_qthread:
            what = used[0] if used else ast.unparse(node)
            text = f"{what}: Python threads starve in Slicer's event loop; use a process and a QTimer"
            yield node.lineno, "thread", text  # type: ignore[attr-defined]


def _removed_modules(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and "imp" in _imported(node):
            yield node.lineno, "imp", "imp was removed in Python 3.12; use importlib"


def _isinstance_of_qt_base(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance" and len(node.args) == 2:
            kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
            for kind in kinds:
                if isinstance(kind, ast.Attribute) and kind.attr in _QT_BASES and _root(kind) == "qt":
                    text = f"isinstance(..., qt.{kind.attr}) is False in Slicer for subclasses; use inherits()"
                    yield node.lineno, "isinstance-qt-base", text


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")


def _late_capture(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """`lambda x=value:` keeps x in plain Python; on a signal with an argument, x receives the argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect":
            for receiver in (argument for argument in node.args if isinstance(argument, ast.Lambda)):
                if receiver.args.defaults and _sends_arguments(node):
                    name = receiver.args.args[-1].arg
                    text = f"the default of '{name}' is overwritten by the signal's argument; use functools.partial"
                    yield receiver.lineno, "late-capture", text


def _sends_arguments(connect: ast.Call) -> bool:
    """False only for a signature without arguments, such as "clicked()"."""
    signature = connect.args[0]
    is_text = isinstance(signature, ast.Constant) and isinstance(signature.value, str)
    return not (is_text and signature.value.endswith("()"))  # type: ignore[union-attr,attr-defined]


def _stray_file(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Slicer runs every .py beside a module at start."""
    folder = path.parent
    names = module_names(folder / "CMakeLists.txt")
    if names and path.stem not in names:
        yield 1, "stray-file", f"{path.name} lies beside the modules: Slicer runs it at start and reports an error"


def _untranslated(path: Path, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        for value in _shown_texts(node):
            if isinstance(value, ast.JoinedStr):
                yield value.lineno, "untranslated", 'f-string shown to the user: use _("... {name}").format(name=...)'
            elif isinstance(value, ast.Constant) and isinstance(value.value, str) and _has_words(value.value):
                yield value.lineno, "untranslated", f"text without _(): {value.value[:40]!r}"


def _shown_texts(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
        return [node.value] if names & _TEXT_PROPERTIES else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        is_widget = node.func.attr in ("QLabel", "QPushButton", "QCheckBox", "QRadioButton", "QAction", "QGroupBox")
        if node.func.attr in _TEXT_METHODS or (is_widget and _root(node.func) == "qt"):
            return [node.args[0]]
        if getattr(node.func, "attr", "") in ("_", "tr"):
            return [argument for argument in node.args if isinstance(argument, ast.JoinedStr)]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
        return [argument for argument in node.args if isinstance(argument, ast.JoinedStr)]
    return []


def _has_words(text: str) -> bool:
    return any(character.isalpha() for character in text)


_RULES: list[Rule] = [
    _file_scope_imports,
    _threads,
    _removed_modules,
    _isinstance_of_qt_base,
    _late_capture,
    _stray_file,
    _untranslated,
]
