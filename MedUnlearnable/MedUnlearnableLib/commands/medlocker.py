"""`protect medlocker`: a visible mark on classification data."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..engine.medlocker.params import LESION_POLICIES, MODES, MOST_LOGOS, PLACEMENTS
from ..files import boxes
from ..files.cases import find_cases
from ..files.labeled_cases import find_labeled_cases
from ..files.logo import logo_of
from .parsers import Parsers
from .protect import add_data_options, add_run_options, job_of, run

_DESCRIPTION = """\
MedLocker (arXiv 2303.09858), our implementation of the published idea: a visible logo, placed so that diagnostic models
fail, never on a lesion. Who holds the key takes it off exactly. It deters; inpainting undoes it for a model, and a
translucent logo can nearly be inverted without the key.

instant   ours: a place that the key decides, away from the lesions. Needs no model and no training.
standard  place, opacity and ink are searched against the models given with --model, or against two that are trained
          on the cases and their --classes. Needs PyTorch.
auto      standard where PyTorch is there and a model or enough labeled cases are, else instant; the run says which.
"""


def add(methods: Parsers) -> None:
    parser = methods.add_parser(
        "medlocker",
        help="classification data: a visible logo that misleads models and can be taken off",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--boxes", type=Path, metavar="CSV", help="lesion boxes: case[,slice],x0,y0,x1,y1")
    parser.add_argument("--classes", type=Path, metavar="P", help="CSV case[,slice],label, or a folder for each class")
    parser.add_argument("--logo", required=True, metavar="PNG|TEXT", help="the alpha of a PNG says where it covers")
    parser.add_argument("--logos", type=int, choices=range(1, MOST_LOGOS + 1), metavar="N", help="1 to 3 (default: 1)")
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        metavar="JSON",
        help="description of a model to mislead, see docs/medlocker.md; several times for an ensemble",
    )
    parser.add_argument(
        "--trust-models", action="store_true", help="load models that are programs; only if you trust who made them"
    )
    parser.add_argument("--mode", choices=MODES, help="default: translucent")
    parser.add_argument("--lesions", choices=LESION_POLICIES, help="default: avoid")
    parser.add_argument("--placement", choices=PLACEMENTS, help="slices that share a place (default: column)")
    parser.add_argument("--margin", type=float, metavar="MM", help="kept free around segments (default: 3)")
    parser.add_argument("--slab", type=float, metavar="MM", help="how far beyond the lesion a column goes (default: 5)")
    add_run_options(parser, "medlocker")
    parser.set_defaults(command=protect_medlocker)


def protect_medlocker(options: argparse.Namespace) -> int:
    segments_needed = options.labels is not None
    if options.classes is None:
        cases = find_cases(options.images, options.labels, segments_needed)
    else:
        cases, _ = find_labeled_cases(options.images, options.labels, options.classes, segments_needed=segments_needed)
    chosen = {
        "logo": logo_of(options.logo),
        "logos": options.logos,
        "mode": options.mode,
        "lesions": options.lesions,
        "placement": options.placement,
        "margin_mm": options.margin,
        "slab_mm": options.slab,
        "models": [str(path.resolve()) for path in options.model] if options.model else None,
        "trust_models": options.trust_models or None,
        "boxes": boxes.read(options.boxes, {case.id: case.image.name for case in cases}) if options.boxes else None,
    }
    return run(job_of(options, "medlocker", cases, chosen), options)
