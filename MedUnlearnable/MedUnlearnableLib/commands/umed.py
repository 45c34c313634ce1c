"""`protect umed`: segmentation data."""

from __future__ import annotations

import argparse

from ..engine.umed import DEFAULT_EPSILON
from ..files.cases import find_cases
from .parsers import Parsers
from .protect import add_budget, add_data_options, add_run_options, job_of, run

_DESCRIPTION = """\
UMed (arXiv 2403.14250), our implementation of the published idea: perturbs the segments and their contour.

instant   ours: a checkerboard within the segments, under UMed's bounds, without training. It weakens training from
          scratch without augmentation; blur, resampling, strong augmentation and subtracting the checkerboard undo it.
standard  ours: a checkerboard, or stripes and a checkerboard, whichever attackers fall for who are trained on these
          cases; at half strength around the segments, too. Stripes hold in part after a blur, a checkerboard does not;
          see docs/umed.md. To choose takes PyTorch and at least 16 cases; with a --state neither is needed.
paper     UMed's alternating training without augmentation, as far as it is known. Needs PyTorch.
auto      instant: it needs no training, and none holds against strong augmentation.
"""


def add(methods: Parsers) -> None:
    parser = methods.add_parser(
        "umed",
        help="segmentation data: contour- and texture-aware perturbation",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    add_budget(parser, DEFAULT_EPSILON)
    add_run_options(parser, "umed")
    parser.set_defaults(command=protect_umed)


def protect_umed(options: argparse.Namespace) -> int:
    return run(job_of(options, "umed", find_cases(options.images, options.labels)), options)
