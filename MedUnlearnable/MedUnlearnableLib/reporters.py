"""How the command line shows a run: a bar on a terminal, plain lines elsewhere, JSON lines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from .jobs.events import Event
from .jobs.job import Job

if TYPE_CHECKING:
    from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0
_ID_WIDTH = 24


class Reporter:
    """Shows nothing but errors and warnings; the others build on it."""

    _last_error = ""

    def show(self, event: Event) -> None:
        """One event of the worker."""
        if event["event"] == "case" and "error" in event:
            self._last_error = event["error"]
            self._line(f"error: {self._last_error}", sys.stderr)

    def close(self, result: Event, job: Job | None) -> None:
        """The end. `job` is None when nothing was finished, so that there is nothing to hand out."""
        if result["exit_code"] != 0 and result["message"] != self._last_error:  # a single case has said it already
            self._line(f"error: {result['message']}", sys.stderr)

    def _line(self, text: str, stream: TextIO) -> None:
        stream.write(text + "\n")
        stream.flush()


class JsonReporter(Reporter):
    """Every event as a JSON line on standard output; the last one is `finished`."""

    def show(self, event: Event) -> None:
        self._line(json.dumps(event), sys.stdout)


class LineReporter(Reporter):
    """One line a case, and a sign of life every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def show(self, event: Event) -> None:
        super().show(event)
        if event["event"] == "started":
            self._line(f"{event['method']}, profile {event['profile']} ({event['why']})", sys.stdout)
            if event["finished"]:
                self._line(f"going on with an interrupted run: {event['finished']} cases are finished", sys.stdout)
        elif event["event"] == "case" and "error" not in event:
            self._line(case_line(event), sys.stdout)
            for warning in event["warnings"]:
                self._line(f"warning: {event['case']}: {warning}", sys.stderr)
        elif event["event"] == "warning":
            self._line(f"warning: {event['message']}", sys.stderr)
        elif event["event"] == "forecast":
            self._line(event["message"], sys.stdout)
        elif event["event"] == "progress":
            self._show_progress(event)

    def close(self, result: Event, job: Job | None) -> None:
        super().close(result, job)
        if job is not None:
            self._line(f"{result['message']}. Hand out: {job.out}  Keep for yourself: {job.private}", sys.stdout)

    def _show_progress(self, event: Event) -> None:
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line(
                f"  {event['stage']} {event['case'] or ''} (case {event['number'] + 1} of {event['of']}){_eta(event)}",
                sys.stdout,
            )


class BarReporter(LineReporter):
    """tqdm on a terminal: cases, or the steps of a single case."""

    def __init__(self, cases: int, bar_class: type[tqdm[Any]]) -> None:
        super().__init__()
        self._bar = bar_class(total=cases, unit="case", dynamic_ncols=True, leave=False)

    def close(self, result: Event, job: Job | None) -> None:
        self._bar.close()
        super().close(result, job)

    def _show_progress(self, event: Event) -> None:
        self._bar.n = event["number"] + round(event["case_share"], 2)
        self._bar.set_postfix_str(f"{event['case'] or ''} {event['stage']}")

    def _line(self, text: str, stream: TextIO) -> None:
        self._bar.write(text, file=stream)


def reporter_for(as_json: bool, quiet: bool, cases: int) -> Reporter:
    if as_json:
        return JsonReporter()
    if quiet:
        return Reporter()
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:  # not part of Slicer; lines say the same
            return LineReporter()
        return BarReporter(cases, tqdm)
    return LineReporter()


def case_line(event: Event) -> str:
    """The figures of one finished case on one line."""
    if event["psnr_db"] is None:
        return f"{event['case']:{_ID_WIDTH}} unchanged"
    units = f" {event['units']}" if event["units"] else ""
    return (
        f"{event['case']:{_ID_WIDTH}} PSNR {event['psnr_db']:.2f} dB  SSIM {event['ssim']:.5f}  "
        f"max change {event['max_change_physical']:g}{units}  changed {event['share_changed']:.2%}  "
        f"{event['seconds']:.1f} s"
    )


def _eta(event: Event) -> str:
    return "" if event["eta_s"] is None else f", {event['eta_s']:.0f} s left"
