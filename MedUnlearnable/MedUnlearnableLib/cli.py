"""The command line. It builds the same job as the panel and the console, and shows its events."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from . import __version__
from .engine.errors import Cancelled, MedUnlearnableError
from .engine.umed import DEFAULT_EPSILON, PROFILES
from .files.cases import find_cases
from .jobs.job import Job
from .jobs.methods import DEVICES
from .jobs.runner import RunningJob, start
from .jobs.share import Share
from .reporters import Reporter, reporter_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 cancelled."""
    options = _parser().parse_args(_window_joined(sys.argv[1:] if arguments is None else arguments))
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return int(options.command(options))
    except MedUnlearnableError as error:
        code, message = error.exit_code, str(error)
    except OSError as error:
        code, message = 1, f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except KeyboardInterrupt:
        code, message = Cancelled.exit_code, str(Cancelled())
    if getattr(options, "json", False):
        _say(json.dumps({"event": "finished", "exit_code": code, "message": message}))
    sys.stderr.write(f"error: {message}\n")
    return code


def _window_joined(arguments: Sequence[str]) -> list[str]:
    """argparse takes the value in `--window -160,240` for an option; `--window=-160,240` it understands."""
    joined: list[str] = []
    for word in arguments:
        if joined[-1:] == ["--window"]:
            joined[-1] = f"--window={word}"
        else:
            joined.append(word)
    return joined


def protect_umed(options: argparse.Namespace) -> int:
    """`protect umed`: builds the job, refuses what can be refused before the start, runs it."""
    private = options.private or Path(f"{options.out}-private")
    job = Job(
        method="umed",
        cases=tuple(find_cases(options.images, options.labels)),
        out=options.out,
        private=private,
        profile=options.profile,
        epsilon=None if options.epsilon is None else options.epsilon / 255,
        window=options.window,
        seed=options.seed,
        device=options.device,
        state=options.state,
        save_state=options.save_state,
    )
    share = Share.from_environment()
    return _run(start(job, options.resume, share), reporter_for(options.json, options.quiet, len(job.cases)))


def info(options: argparse.Namespace) -> int:
    from .system import system_report

    report = system_report()
    _say(json.dumps(report, indent=1) if options.json else "\n".join(f"{k:16}{v}" for k, v in report.items()))
    return 0


def demo(options: argparse.Namespace) -> int:
    from .scene.demo import run_demo

    run_demo(options.out, options.file, options.labels, say=_say)
    return 0


def _run(running: RunningJob, reporter: Reporter) -> int:
    """Shows the run to its end. Ctrl-C cancels it; finished cases are kept."""
    try:
        result = running.wait(reporter.show)
    except KeyboardInterrupt:
        running.cancel()
        result = running.wait(reporter.show)
    reporter.close(result, running.job if running.finished_any else None)
    return int(result["exit_code"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medunlearnable",
        description="Make medical images safe to share: people see what they need, training on them does not pay.",
    )
    parser.add_argument("--version", action="version", version=f"medunlearnable {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    methods = commands.add_parser("protect", help="protect images").add_subparsers(required=True, metavar="METHOD")
    _add_umed(methods)
    described = commands.add_parser("info", help="versions, device, memory")
    described.add_argument("--json", action="store_true", help="as one JSON object")
    described.set_defaults(command=info)
    shown = commands.add_parser("demo", help="protect a generated CT through a real MRML scene, and draw it")
    shown.add_argument("file", nargs="?", type=Path, help="protect this image as well")
    shown.add_argument("--labels", type=Path, help="label file of FILE (default: a threshold, said so)")
    shown.add_argument("--out", type=Path, default=Path("medunlearnable-demo"), help="folder (default: %(default)s)")
    shown.set_defaults(command=demo)
    return parser


def _add_umed(methods: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    umed = methods.add_parser(
        "umed",
        help="segmentation data: contour- and texture-aware perturbation",
        description="UMed (arXiv 2403.14250): perturbs the segments and their contour. Profile instant is ours: a "
        "checkerboard under UMed's contour and texture bounds, without training. It weakens training from scratch "
        "without augmentation; blur, resampling, strong augmentation and subtracting the checkerboard undo it.",
    )
    umed.add_argument("--images", type=Path, required=True, metavar="P", help="image file, or folder of images")
    umed.add_argument(
        "--labels",
        type=Path,
        metavar="P",
        help="label file or folder (default: beside the images, <stem>_mask or <stem>.seg.nrrd)",
    )
    default = ", ".join(f"{name} {epsilon * 255:g}" for name, epsilon in DEFAULT_EPSILON.items())
    umed.add_argument("--epsilon", type=float, metavar="K", help=f"budget in 1/255 of the window (default: {default})")
    _add_run_options(umed, PROFILES)
    umed.set_defaults(command=protect_umed)


def _add_run_options(parser: argparse.ArgumentParser, profiles: Sequence[str]) -> None:
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
    parser.add_argument("--state", type=Path, metavar="F", help="protect with the key and window of an earlier run")
    parser.add_argument(
        "--save-state", type=Path, metavar="F", help="save key and window for later cases; keep it secret"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the same command where it was killed or cancelled"
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    parser.add_argument("--quiet", action="store_true", help="errors only")


def _as_interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
