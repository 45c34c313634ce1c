"""What `protect` has in common for every method: the options of a run, the job made of them, and the run itself."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine.errors import Refused
from ..files.cases import CaseFiles
from ..jobs.job import Job
from ..jobs.methods import DEVICES, METHODS
from ..jobs.plan import plan_of
from ..jobs.runner import RunningJob, refuse_unusable_folders, start
from ..jobs.share import Share
from ..reporters import Reporter, reporter_for
from .certificates import add_certificate_options, sealer_of
from .output import say


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Where the images are, and their labels."""
    parser.add_argument("--images", type=Path, required=True, metavar="P", help="image file, or folder of images")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="P",
        help="label file or folder (default: beside the images, <stem>_mask or <stem>.seg.nrrd)",
    )


def add_budget(parser: argparse.ArgumentParser, default_epsilon: Mapping[str, float]) -> None:
    """--epsilon; `default_epsilon` by profile, as a fraction of the window."""
    default = ", ".join(f"{name} {epsilon * 255:g}" for name, epsilon in default_epsilon.items())
    parser.add_argument(
        "--epsilon", type=float, metavar="K", help=f"budget in 1/255 of the window (default: {default})"
    )


def add_run_options(parser: argparse.ArgumentParser, method: str) -> None:
    """The options every method has. `method`: its key in `METHODS`."""
    profiles = METHODS[method].profiles
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder; it may be handed out")
    parser.add_argument(
        "--private",
        type=Path,
        metavar="DIR",
        help="folder for key and input hashes; never hand it out (default: DIR-private)",
    )
    parser.add_argument("--profile", default="auto", metavar="|".join(("auto", *profiles)), help="default: auto")
    parser.add_argument(
        "--window", metavar="auto|ct|mr|LO,HI", help="intensity window that epsilon is a fraction of (default: auto)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="repeatable run; the key is then no better kept than N (default: fresh and secret)",
    )
    parser.add_argument("--device", default="auto", metavar="|".join(DEVICES), help="default: auto")
    parser.add_argument(
        "--state", type=Path, metavar="F", help="protect with key, window and training of an earlier run"
    )
    parser.add_argument(
        "--save-state", type=Path, metavar="F", help="save key, window and training for later cases; keep it secret"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the same command where it was killed or cancelled"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="read all cases and say what would be done; nothing is written"
    )
    add_certificate_options(parser)
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    parser.add_argument("--quiet", action="store_true", help="errors only")


def job_of(
    options: argparse.Namespace, method: str, cases: Sequence[CaseFiles], parameters: Mapping[str, Any] | None = None
) -> Job:
    """The job that the options describe. `parameters`: the method's own choices."""
    epsilon = getattr(options, "epsilon", None)
    return Job(
        method=method,
        cases=tuple(cases),
        out=options.out,
        private=options.private or Path(f"{options.out}-private"),
        profile=options.profile,
        epsilon=None if epsilon is None else epsilon / 255,
        window=options.window,
        seed=options.seed,
        device=options.device,
        state=options.state,
        save_state=options.save_state,
        parameters={name: value for name, value in (parameters or {}).items() if value is not None},
    )


def run(job: Job, options: argparse.Namespace) -> int:
    """Starts the job, shows it to its end, and returns the exit code; or only says what it would do."""
    if options.dry_run:
        return _show_plan(job, options)
    running = start(job, options.resume, Share.from_environment(), sealer_of(options))
    return _watch(running, reporter_for(options.json, options.quiet, len(job.cases)))


def _show_plan(job: Job, options: argparse.Namespace) -> int:
    """Exit code 1 where a case cannot be protected, as the run would end, or refused for want of PyTorch."""
    refuse_unusable_folders(job, options.resume)
    plan = plan_of(job)
    if options.json:
        say(json.dumps(plan.to_json()))
    else:
        say("\n".join(plan.lines()))
        for warning in plan.warnings:
            sys.stderr.write(f"warning: {warning}\n")
    if plan.refusal:
        raise Refused(plan.refusal)
    return int(any(case.error for case in plan.cases))


def _watch(running: RunningJob, reporter: Reporter) -> int:
    """Ctrl-C cancels the run; finished cases are kept."""
    try:
        result = running.wait(reporter.show)
    except KeyboardInterrupt:
        running.cancel()
        result = running.wait(reporter.show)
    reporter.close(result, running.job if running.finished_any else None)
    return int(result["exit_code"])
