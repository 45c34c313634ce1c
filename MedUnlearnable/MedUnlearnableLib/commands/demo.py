"""`demo`: the main job on generated data, through a real MRML scene."""

from __future__ import annotations

import argparse
from pathlib import Path

from .output import say
from .parsers import Parsers


def add(commands: Parsers) -> None:
    parser = commands.add_parser("demo", help="protect a generated CT through a real MRML scene, and draw it")
    parser.add_argument("file", nargs="?", type=Path, help="protect this image as well")
    parser.add_argument("--labels", type=Path, help="label file of FILE (default: a threshold, said so)")
    parser.add_argument("--out", type=Path, default=Path("medunlearnable-demo"), help="folder (default: %(default)s)")
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    from ..scene.demo import run_demo

    run_demo(options.out, options.file, options.labels, say=say)
    return 0
