"""`info`: versions, device, memory."""

from __future__ import annotations

import argparse
import json

from .output import say
from .parsers import Parsers


def add(commands: Parsers) -> None:
    parser = commands.add_parser("info", help="versions, device, memory")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(command=info)


def info(options: argparse.Namespace) -> int:
    from ..system import system_report

    report = system_report()
    say(json.dumps(report, indent=1) if options.json else "\n".join(f"{k:16}{v}" for k, v in report.items()))
    return 0
