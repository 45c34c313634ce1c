"""`audit`: does the protection hold, on the user's own data?"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ..engine.audit.budget import parse_budget
from ..files.pairs import find_pairs
from ..jobs.audit_job import RESULTS_FILE, AuditJob, start_audit
from ..jobs.methods import DEVICES
from .output import say
from .parsers import Parsers

_SECONDS_BETWEEN_LINES = 5.0
_STAGES = {"quality": "measuring", "probe": "timing an attacker", "attack": "training an attacker"}


def add(commands: Parsers) -> None:
    parser = commands.add_parser(
        "audit",
        help="what protection did to images, and whether it holds against attackers",
        description="Compares originals with their protected copies, then trains attackers on them until the time is "
        "used: clean row, protected row and a control that knows no label under each condition, most informative "
        "first. Writes DIR/report.html and DIR/report.json; the report shows originals, so it stays with you. Exit "
        "code 1: a file is not as it should be; see the message.",
    )
    parser.add_argument("--clean", type=Path, required=True, metavar="P", help="originals: a file or a folder")
    parser.add_argument("--protected", type=Path, required=True, metavar="P", help="their protected copies, same stems")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="P",
        help="label file or folder (default: beside the originals, or P/labels of the protected ones)",
    )
    parser.add_argument("--classes", type=Path, metavar="CSV|DIR", help="classes of the images, as for `protect salm`")
    parser.add_argument("--budget", default="10m", metavar="T", help="time to use: 90s, 10m, 2h (default: 10m)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the report")
    parser.add_argument(
        "--weights", type=Path, metavar="F", help="weights of the attacker's own network: adds a pretrained start"
    )
    parser.add_argument("--device", default="auto", metavar="|".join(DEVICES), help="default: auto")
    parser.add_argument(
        "--resume", action="store_true", help="go on where it was stopped, also with more time; no attacker runs twice"
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    parser.add_argument("--quiet", action="store_true", help="errors only")
    parser.set_defaults(command=audit)


def audit(options: argparse.Namespace) -> int:
    budget = parse_budget(options.budget)
    found = find_pairs(options.clean, options.protected, options.labels, options.classes)
    job = AuditJob.of(found, options.out, budget, device=options.device, weights=options.weights)
    running = start_audit(job, options.resume)
    reporter = _Reporter(options.json, options.quiet)
    try:
        result = running.wait(reporter.show)
    except KeyboardInterrupt:
        running.cancel()
        result = running.wait(reporter.show)
    if result["exit_code"] != 0 and not options.json:
        sys.stderr.write(f"error: {result['message']}\n")
    if running.report.exists() and not (options.json or options.quiet):
        _say_verdict(json.loads((options.out / RESULTS_FILE).read_text("utf-8")))
        say(f"Report: {running.report}")
    return int(result["exit_code"])


class _Reporter:
    """One line a case and an attacker, and a sign of life every few seconds."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self._as_json, self._quiet = as_json, quiet
        self._last = time.monotonic()

    def show(self, event: dict[str, Any]) -> None:
        if self._as_json:
            say(json.dumps(event))
        elif event["event"] == "case" and "error" in event:
            sys.stderr.write(f"error: {event['error']}\n")
        elif not self._quiet and event["event"] == "cell":
            score = "-" if event["score"] is None else f"{event['score']:.3f}"
            say(f"{event['condition']:36}{event['arm']:12}seed {event['seed']}  {score}  {event['seconds']:.0f} s")
        elif (
            not self._quiet and event["event"] == "progress" and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES
        ):
            self._last = time.monotonic()
            time_used = f"{event['elapsed_s'] / 60:.1f} of {event['budget_s'] / 60:.4g} min"
            say(f"  {_STAGES[event['stage']]}, {event['done']} of {event['total']} ({time_used})")


def _say_verdict(results: dict[str, Any]) -> None:
    if results["attack"] is None:
        say(f"The protection was not tested: {results['why_no_attack']}.")
        return
    summary = results["attack"]["summary"]
    say(summary["headline"])
    for title, names in (
        ("holds against", summary["holds"]),
        ("weakened by", summary["weakened"]),
        ("does not hold against", summary["fails"]),
        ("cannot be told", list(summary["unknown"])),
    ):
        if names:
            say(f"{title}: {', '.join(names)}")
    if summary["indicative_only"]:
        say(f"Indicative only: {'; '.join(summary['reservations'])}.")
    elif summary["few"]:
        say(f"Indicative only, by fewer than 3 seeds or 20 test cases: {', '.join(summary['few'])}.")
