"""Signals and slots behave as in Slicer's PythonQt, and raise where it is silent."""

import functools
import gc

import pytest


@pytest.fixture
def button(qt):
    button = qt.QPushButton("Apply")
    button.checkable = True
    return button


def test_connect_by_signature_returns_true_and_passes_the_argument(button):
    got = []
    assert button.connect("clicked(bool)", got.append) is True
    button.click()
    assert got == [True]


def test_connect_by_attribute_passes_the_argument(button):
    got = []
    assert button.clicked.connect(got.append) is True
    button.click()
    assert got == [True]


def test_connect_by_qobject(qt, button):
    got = []
    assert qt.QObject.connect(button, "clicked(bool)", got.append) is True
    button.click()
    assert got == [True]


def test_connect_to_a_slot_by_its_signature(qt):
    edit, label = qt.QLineEdit(), qt.QLabel()
    edit.connect("textChanged(QString)", label, "setText(QString)")
    edit.text = "liver"
    assert label.text == "liver"


@pytest.mark.parametrize("signature", ["clicked", "klicked(bool)", "clicked(int)", "currentIndexChanged(QString)"])
def test_an_unknown_signal_raises(button, signature):
    with pytest.raises(RuntimeError, match="does not exist"):
        button.connect(signature, print)


def test_an_unknown_slot_raises(qt, button):
    with pytest.raises(RuntimeError, match="does not exist"):
        button.connect("clicked(bool)", qt.QLabel(), "setTxt(QString)")


@pytest.mark.parametrize("receiver", [None, 3, "text"])
def test_a_receiver_that_cannot_be_called_raises(button, receiver):
    with pytest.raises(ValueError, match="cannot be called"):
        button.connect("clicked(bool)", receiver)


def test_star_arguments_receive_all_signal_arguments(button):
    got = []
    button.connect("clicked(bool)", lambda *arguments: got.append(arguments))
    button.click()
    assert got == [(True,)]


def test_a_callable_object_receives_all_signal_arguments(button):
    class Receiver:
        def __call__(self, *arguments):
            self.got = arguments

    receiver = Receiver()
    button.clicked.connect(receiver)
    button.click()
    assert receiver.got == (True,)


def test_a_partial_receives_all_signal_arguments(button):
    got = []
    button.connect("clicked(bool)", functools.partial(lambda *arguments: got.append(arguments), "first"))
    button.click()
    assert got == [("first", True)]


def test_a_function_without_parameters_is_called_without_arguments(button):
    got = []
    button.connect("clicked(bool)", lambda: got.append("called"))
    button.click()
    assert got == ["called"]


def test_a_default_value_is_overwritten_by_the_signal_argument(button):
    """The trap of late-capture lambdas: x is not "d" but the state of the button."""
    got = []
    button.connect("clicked(bool)", lambda x="d": got.append(x))
    button.click()
    assert got == [True]


def test_a_partial_of_a_function_without_parameters_fails_the_test(button, slicer_problems):
    button.connect("clicked(bool)", functools.partial(lambda: None))
    with slicer_problems.expected("exception in a slot", "TypeError"):
        button.click()


def test_two_required_parameters_on_one_argument_fail_the_test(button, slicer_problems):
    button.connect("clicked(bool)", lambda a, b: None)
    with slicer_problems.expected("exception in a slot", "TypeError"):
        button.click()


def test_an_exception_in_a_slot_does_not_stop_later_slots(button, slicer_problems):
    got = []

    def fails():
        raise ValueError("broken slot")

    button.connect("clicked(bool)", fails)
    button.connect("clicked(bool)", got.append)
    with slicer_problems.expected("exception in a slot", "broken slot"):
        button.click()
    assert got == [True]


def test_a_signal_can_be_called_and_emitted(button):
    got = []
    button.connect("clicked(bool)", got.append)
    button.clicked(True)
    button.clicked()
    button.clicked.emit(True)
    assert got == [True, False, True]


def test_disconnect_of_nothing_returns_false(button):
    assert button.disconnect("clicked(bool)", print) is False


def test_an_equal_bound_method_disconnects(button):
    class Panel:
        count = 0

        def onClicked(self):
            self.count += 1

    panel = Panel()
    button.connect("clicked(bool)", panel.onClicked)
    assert button.disconnect("clicked(bool)", panel.onClicked) is True
    button.click()
    assert panel.count == 0


def test_a_double_connection_fires_twice(button):
    got = []
    button.connect("clicked(bool)", got.append)
    button.connect("clicked(bool)", got.append)
    button.click()
    assert got == [True, True]


def test_a_connected_bound_method_keeps_its_owner_alive(button):
    got = []

    class Panel:
        def onClicked(self):
            got.append("alive")

    button.connect("clicked(bool)", Panel().onClicked)
    gc.collect()
    button.click()
    assert got == ["alive"]


def test_a_process_tells_its_end(qt):
    got = []
    process = qt.QProcess()
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: got.append((code, int(status))))
    process.start("true", [])
    process.waitForFinished()
    assert got == [(0, 0)]


def test_a_single_shot_runs_in_the_event_loop(qt, slicer_app):
    got = []
    qt.QTimer.singleShot(0, lambda: got.append("fired"))
    assert got == []
    slicer_app.processEvents()
    assert got == ["fired"]


def test_a_repeating_timer_fires_until_stopped(qt, slicer_app):
    got = []
    timer = qt.QTimer()
    timer.interval = 1
    timer.connect("timeout()", lambda: (got.append(1), timer.stop() if len(got) == 3 else None))
    timer.start()
    while timer.active:
        slicer_app.processEvents()
    assert len(got) == 3


def test_own_signals_work_on_subclasses_of_qobject(qt):
    class Job(qt.QObject):
        progress = qt.Signal(int)

    got, job = [], Job()
    job.progress.connect(got.append)
    job.progress.emit(40)
    assert got == [40]
