"""`protect salm`: classification data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..engine.salm import DEFAULT_EPSILON, REGIONS
from ..files.classes import ClassTable, names_in_state
from ..files.labeled_cases import find_labeled_cases
from .output import say
from .parsers import Parsers
from .protect import add_budget, add_data_options, add_run_options, job_of, run


def add(methods: Parsers) -> None:
    parser = methods.add_parser(
        "salm",
        help="classification data: sparse perturbation of the pixels that matter most",
        description="SALM, our implementation of the idea of arXiv 2403.10573: perturbs a small share of the pixels, "
        "so that a network learns the perturbation instead of the classes. Profiles instant and standard are ours: a "
        "fine pattern for each class, on edges (instant) or in even tissue (standard), without training. Blur, "
        "resampling and clean copies undo it.",
    )
    add_data_options(parser)
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="CSV|DIR",
        help="CSV of `case,label` or `case,slice,label`, or a folder DIR/<label>/<case> (default: the class of a slice "
        "is the segment with most voxels in it)",
    )
    parser.add_argument(
        "--class-names",
        metavar="A,B,...",
        help="all classes in their order (default: those of --state, else of the labels, sorted)",
    )
    parser.add_argument(
        "--region",
        choices=REGIONS,
        metavar="|".join(REGIONS),
        help="where pixels may change: everywhere, in the segments, outside them, or along their contours "
        "(default: all)",
    )
    add_budget(parser, DEFAULT_EPSILON)
    add_run_options(parser, "salm")
    parser.set_defaults(command=protect_salm)


def protect_salm(options: argparse.Namespace) -> int:
    names = options.class_names.split(",") if options.class_names else None
    if names is None and options.state is not None:
        names = names_in_state(options.state)
    segments_needed = options.region not in (None, "all")
    cases, table = find_labeled_cases(options.images, options.labels, options.classes, names, segments_needed)
    _show(table, options)
    return run(job_of(options, "salm", cases, {"region": options.region}), options)


def _show(table: ClassTable, options: argparse.Namespace) -> None:
    """Before the run: a wrong table is the mistake that costs most."""
    if not options.json and not options.quiet:
        say("\n".join(table.lines()))
    for warning in table.warnings:
        sys.stderr.write(f"warning: {warning}\n")
