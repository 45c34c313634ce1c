"""The plug-in fails the test that leaves something behind: each case is a small test file run by pytest."""

import pytest

from slicer_test_utilities import host

host.install()  # here, because pytester would forget slicer and qt after each inner run and load them again


@pytest.fixture
def outcome(pytester):
    """Runs the body of one test; returns the output and the number of errors and failures."""

    def run(body, fixtures="slicer_app"):
        lines = "\n".join("    " + line for line in body.strip().splitlines())
        pytester.makepyfile(f"import pytest\n\ndef test_it({fixtures}):\n    import qt, slicer, vtk\n{lines}\n")
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
        counts = result.parseoutcomes()
        return result.stdout.str(), counts.get("errors", 0) + counts.get("failed", 0)

    return run


CAUSES = {
    "an exception in a slot": (
        "button = qt.QPushButton()\nbutton.connect('clicked()', lambda: 1 / 0)\nbutton.click()",
        "ZeroDivisionError",
    ),
    "an exception in a virtual method": (
        "class Label(qt.QLabel):\n"
        "    def sizeHint(self):\n"
        "        raise ValueError('broken hint')\n"
        "label = Label()\nlabel.adjustSize()",
        "broken hint",
    ),
    "an exception in an observer": (
        "def broken(caller, event):\n    raise ValueError('broken observer')\n"
        "slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, broken)\n"
        "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode')\n"
        "slicer.mrmlScene.RemoveObservers(slicer.mrmlScene.NodeAddedEvent)",
        "broken observer",
    ),
    "a VTK error": (
        "reader = vtk.vtkPNGReader()\nreader.SetFileName('/missing.png')\nreader.Update()",
        "VTK error",
    ),
    "an observer on the scene": (
        "slicer.mrmlScene.AddObserver(slicer.mrmlScene.EndCloseEvent, lambda caller, event: None)",
        "an observer of EndCloseEvent is left on the scene",
    ),
    "an observer on a node": (
        "node = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'record')\n"
        "node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: None)",
        "an observer of ModifiedEvent is left on vtkMRMLTextNode 'record'",
    ),
    "an active timer": (
        "global timer\ntimer = qt.QTimer()\ntimer.start(250)",
        "a timer is still active (250 ms)",
    ),
    "a pending single shot": ("qt.QTimer.singleShot(5000, lambda: None)", "a timer is still active (5000 ms)"),
    "a child process": (
        "import subprocess\nglobal process\nprocess = subprocess.Popen(['sleep', '30'])",
        "a child process is still running",
    ),
    "a Qt process": (
        "global process\nprocess = qt.QProcess()\nprocess.start('sleep', ['30'])\nprocess.waitForStarted()",
        "a child process is still running: sleep",
    ),
    "a thread": ("import threading\nthreading.Thread(target=lambda: None).start()", "it would starve"),
    "a popup": ("qt.QMessageBox.question(None, 'Title', 'Overwrite?')", "no answer for it"),
    "a modal dialog": ("qt.QDialog().exec_()", "no answer for it"),
    "a dialog that stays open": (
        "global dialog\ndialog = qt.QDialog()\ndialog.windowTitle = 'Cases'\ndialog.show()",
        "QDialog 'Cases' is still shown",
    ),
    "a wait cursor": ("slicer.app.setOverrideCursor(qt.Qt.WaitCursor)", "a wait cursor is still set"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_test_fails_after(outcome, cause):
    body, message = CAUSES[cause]
    output, bad = outcome(body)
    assert bad == 1, output
    assert message in output


def test_a_clean_test_passes(outcome):
    output, bad = outcome("button = qt.QPushButton()\nbutton.click()")
    assert bad == 0, output


def test_a_removed_observer_is_no_leak(outcome):
    output, bad = outcome(
        "tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.EndCloseEvent, lambda caller, event: None)\n"
        "slicer.mrmlScene.RemoveObserver(tag)"
    )
    assert bad == 0, output


def test_a_finished_process_and_a_stopped_timer_are_no_leaks(outcome):
    output, bad = outcome(
        "import subprocess\nsubprocess.run(['true'])\ntimer = qt.QTimer()\ntimer.start(250)\ntimer.stop()"
    )
    assert bad == 0, output


def test_an_expected_problem_passes_and_a_missing_one_fails(outcome):
    body = "button = qt.QPushButton()\nbutton.connect('clicked()', lambda: 1 / 0)\n"
    expecting = "with slicer_problems.expected('exception in a slot', 'ZeroDivision'):\n    "
    output, bad = outcome(body + expecting + "button.click()", "slicer_app, slicer_problems")
    assert bad == 0, output
    output, bad = outcome(body + expecting + "pass", "slicer_app, slicer_problems")
    assert bad == 1, output


def test_a_marker_allows_a_kind_of_problem(pytester):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.allow_slicer_problems('thread')\n"
        "def test_it(slicer_app):\n    import threading\n    threading.Thread(target=lambda: None).start()\n"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_an_unused_answer_fails_the_test(outcome):
    output, bad = outcome("slicer_popups.answer(1)", "slicer_popups")
    assert bad == 1
    assert "were not opened" in output


def test_a_module_that_keeps_its_observer_fails_the_test(pytester):
    from pathlib import Path

    folder = Path(__file__).parent / "modules" / "Sample"
    pytester.makepyfile(
        f"""
import shutil
def test_it(scripted_module, tmp_path):
    shutil.copytree({str(folder)!r}, tmp_path / "Sample")
    path = tmp_path / "Sample" / "Sample.py"
    path.write_text(path.read_text().replace("self.removeObservers()", "pass"))
    scripted_module(path)
"""
    )
    result = pytester.runpytest_inprocess()
    assert result.parseoutcomes().get("errors") == 1
    result.stdout.fnmatch_lines(["*an observer of EndCloseEvent is left on the scene*"])


def test_the_scene_fixture_needs_no_qt(pytester):
    pytester.makepyfile(
        "import sys\ndef test_it(slicer_scene):\n"
        "    assert 'PySide6' not in sys.modules and 'qt' not in sys.modules\n"
        "    assert slicer_scene.AddNewNodeByClass('vtkMRMLTextNode')\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
