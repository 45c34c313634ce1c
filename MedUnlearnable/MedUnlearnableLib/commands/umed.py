"""`protect umed`: segmentation data."""

from __future__ import annotations

import argparse

from ..engine.umed import DEFAULT_EPSILON
from ..files.cases import find_cases
from .parsers import Parsers
from .protect import add_budget, add_data_options, add_run_options, job_of, run


def add(methods: Parsers) -> None:
    parser = methods.add_parser(
        "umed",
        help="segmentation data: contour- and texture-aware perturbation",
        description="UMed (arXiv 2403.14250): perturbs the segments and their contour. Profile instant is ours: a "
        "checkerboard under UMed's contour and texture bounds, without training. It weakens training from scratch "
        "without augmentation; blur, resampling, strong augmentation and subtracting the checkerboard undo it.",
    )
    add_data_options(parser)
    add_budget(parser, DEFAULT_EPSILON)
    add_run_options(parser, "umed")
    parser.set_defaults(command=protect_umed)


def protect_umed(options: argparse.Namespace) -> int:
    return run(job_of(options, "umed", find_cases(options.images, options.labels)), options)
