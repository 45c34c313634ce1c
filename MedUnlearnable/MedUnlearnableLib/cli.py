"""The command line. It builds the same job as the panel and the console, and shows its events."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from . import __version__
from .commands import audit, certificates, demo, info, medlocker, salm, umed
from .commands.output import say
from .engine.errors import Cancelled, MedUnlearnableError

_METHODS = (umed, salm, medlocker)
_COMMANDS = (audit, certificates, info, demo)


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
        say(json.dumps({"event": "finished", "exit_code": code, "message": message}))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medunlearnable",
        description="Make medical images safe to share: people see what they need, training on them does not pay.",
    )
    parser.add_argument("--version", action="version", version=f"medunlearnable {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    methods = commands.add_parser("protect", help="protect images").add_subparsers(required=True, metavar="METHOD")
    for method in _METHODS:
        method.add(methods)
    for command in _COMMANDS:
        command.add(commands)
    return parser


def _as_interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
