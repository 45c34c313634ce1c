"""slicer-module-lint finds what Slicer and tests do not show. Each case is a module folder with one fault."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slicer_test_utilities.lint import lint
from slicer_test_utilities.lint.command import main

SAMPLE = Path(__file__).parent / "modules" / "Sample"
MODULE, UI, CMAKE = "Sample.py", "Resources/UI/Sample.ui", "CMakeLists.txt"
END = "class SampleTest("


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "Sample")
    return tmp_path / "Sample"


def change(folder, file, old, new):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def rules(folder):
    return [finding.rule for finding in lint([folder])]


FAULTS = {
    "ui-unknown-class": (UI, 'class="ctkSliderWidget"', 'class="ctkSliderWidgit"'),
    "ui-broken-connection": (UI, "<receiver>inputSelector</receiver>", "<receiver>inputSelecter</receiver>"),
    "ui-no-scene": (UI, "<slot>setMRMLScene(vtkMRMLScene*)</slot>", "<slot>setEnabled(bool)</slot>"),
    "ui-unknown-parameter": (UI, "<string>epsilon</string>", "<string>epsilno</string>"),
    "ui-unbound-parameter": (
        UI,
        '<property name="SlicerParameterName" stdset="0">\n         <string>epsilon',
        '<property name="epsilon" stdset="0">\n         <string>',
    ),
    "ui-syntax": (UI, "</ui>", ""),
    "syntax": (MODULE, END, "class (\n" + END),
    "file-scope-import": (MODULE, "import qt\n", "import qt\nimport torch\n"),
    "thread": (MODULE, "import qt\n", "import threading\n\nimport qt\n"),
    "imp": (MODULE, END, "def reload():\n    import imp\n\n\n" + END),
    "isinstance-qt-base": (MODULE, END, "def isWidget(w):\n    return isinstance(w, qt.QWidget)\n\n\n" + END),
    "late-capture": (
        MODULE,
        END,
        'def f(b, n):\n    b.connect("clicked(bool)", lambda name=n: print(name))\n\n\n' + END,
    ),
    "untranslated": (MODULE, END, 'def f(b):\n    b.toolTip = "Compute output"\n\n\n' + END),
    "cmake-not-listed": (CMAKE, " SampleLib/__init__", ""),
    "cmake-missing-file": (CMAKE, "SampleLib/__init__", "SampleLib/__init__ SampleLib/jobs.py"),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_the_fault_is_found(folder, rule):
    change(folder, *FAULTS[rule])
    assert rule in rules(folder)


def test_a_clean_module_has_no_findings():
    assert lint([SAMPLE]) == []


def test_a_stray_file_beside_the_module_is_found(folder):
    (folder / "conftest.py").write_text("")
    assert rules(folder) == ["stray-file"]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    import torch\n",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n",
        "import json, numpy, SimpleITK\nfrom SampleLib import jobs\n",
        'def f(b):\n    b.connect("clicked()", lambda name="x": name)\n',
        'def f(w):\n    return w.inherits("QWidget")\n',
        'def f(b):\n    b.text = ""\n    b.text = "—"\n',
    ],
)
def test_good_code_has_no_findings(folder, code):
    (folder / "SampleLib" / "__init__.py").write_text(code)
    assert rules(folder) == []


@pytest.mark.parametrize(
    "code",
    [
        "if True:\n    import torch\n",
        "from torch import nn\n",
    ],
)
def test_imports_inside_blocks_at_file_scope_count(folder, code):
    (folder / "SampleLib" / "__init__.py").write_text(code)
    assert rules(folder) == ["file-scope-import"]


def test_an_f_string_is_not_translatable(folder):
    (folder / "SampleLib" / "__init__.py").write_text("def f(b, n):\n    b.text = _(f'{n} cases')\n")
    assert "untranslated" in rules(folder)


def test_the_line_of_a_misspelled_parameter_property_is_reported(folder):
    change(folder, *FAULTS["ui-unbound-parameter"])
    finding = lint([folder])[0]
    line = (folder / UI).read_text().splitlines()[finding.line - 1]
    assert '<property name="epsilon" stdset="0">' in line


def test_the_command_prints_findings_and_exits_with_1(folder, capsys):
    change(folder, *FAULTS["thread"])
    assert main([str(folder)]) == 1
    assert f"{folder / MODULE}:5: thread: threading" in capsys.readouterr().out


def test_the_command_exits_with_0_when_a_rule_is_ignored(folder):
    change(folder, *FAULTS["thread"])
    assert main([str(folder), "--ignore", "thread"]) == 0


def test_a_comment_allows_one_rule_on_its_line(folder):
    code = "import threading  # slicer-lint: allow thread\nimport torch  # slicer-lint: allow thread\n"
    (folder / "SampleLib" / "__init__.py").write_text(code)
    assert rules(folder) == ["file-scope-import"]


def test_the_command_exits_with_2_for_a_missing_path(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["/missing"])
    assert exit_info.value.code == 2


def test_linting_needs_neither_slicer_nor_qt():
    code = (
        "import sys; from slicer_test_utilities.lint.command import main; "
        f"main([{str(SAMPLE)!r}]); sys.exit(any(m in sys.modules for m in ('slicer', 'vtk', 'PySide6')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
