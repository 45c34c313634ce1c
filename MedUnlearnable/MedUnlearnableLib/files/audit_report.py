"""The Audit's report: one HTML file with everything in it. No script, nothing fetched; a policy in the page says so.

Every text that comes from files, nodes or errors is escaped on its way into the page.
"""

from __future__ import annotations

import base64
import io
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.audit.conditions import CLEAN, LABEL_FREE, PROTECTED
from ..engine.case import Case
from .picture import DIFFERENCE_GAIN
from .svg import Series, bar_chart, line_chart
from .volume import write_atomically

_LONGEST_SIDE = 512  # pixels of a picture
_ROWS_SHOWN = 20  # cases in the table, those changed most
_COLORS = {CLEAN: "#1b6ca8", LABEL_FREE: "#7a7f87", PROTECTED: "#c2410c"}
_BEFORE, _AFTER = "#1b6ca8", "#c2410c"
_CHECKS = {
    "dtype": "type of the voxels",
    "geometry": "geometry",
    "units": "units",
    "outside_mask": "bit-identical where the method may change nothing",
    "budget": "no change above the budget",
    "record": "voxels are those of the record",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2126;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #d5d9de}
table{border-collapse:collapse;margin:.8rem 0}th,td{padding:.25rem .6rem;border-bottom:1px solid #e3e6ea}
th{text-align:left;font-weight:600}td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.box{border:1px solid #c8cdd3;border-left:6px solid #1b6ca8;padding:.6rem 1rem;margin:1rem 0;border-radius:4px}
.box.doubt{border-left-color:#b7791f}.box b.big{font-size:1.15rem}.quiet{color:#59616b}
.holds{color:#1d6f42}.weakened{color:#946200}.fails{color:#a61b1b}.unknown{color:#59616b}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#39414a}svg .grid{stroke:#e3e6ea}
.legend span{margin-right:1.2rem}.legend i{display:inline-block;width:.8rem;height:.8rem;margin-right:.35rem}
figure{margin:1rem 0}figure img{width:32%;image-rendering:pixelated;border:1px solid #c8cdd3}
@media print{body{margin:0}}
"""


@dataclass(frozen=True)
class Example:
    """One slice of a case, uint8 [H, W] or [H, W, 3]."""

    name: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    difference: NDArray[np.uint8]


def example_of(clean: Case, protected: Case, window: tuple[float, float]) -> Example:
    """The slice along k that changed most, as the window shows it; large ones are thinned out."""
    changed = (clean.image != protected.image).any(axis=0)
    k = int(changed.sum(axis=(1, 2)).argmax())
    step = math.ceil(max(clean.shape_kji[1:]) / _LONGEST_SIDE)
    before, after = (_plane(case.image[:, k, ::step, ::step]) for case in (clean, protected))
    lo, hi = window
    difference = 0.5 + DIFFERENCE_GAIN * (after - before) / (hi - lo)
    shown = [_gray((plane - lo) / (hi - lo)) for plane in (before, after)]
    return Example(clean.id, shown[0], shown[1], _gray(difference))


def _plane(channels: NDArray[Any]) -> NDArray[np.float64]:
    """[H, W, 3] of colors, else the first channel."""
    plane = np.moveaxis(channels, 0, -1) if len(channels) == 3 else channels[0]
    return np.nan_to_num(plane.astype(np.float64))


def _gray(plane: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(plane, 0, 1)).astype(np.uint8)


def write_report(path: Path, results: Mapping[str, Any], examples: Sequence[Example]) -> None:
    """Writes the page. `results`: what stands in report.json."""
    page = render(results, examples)
    write_atomically(path, lambda file: file.write(page.encode()))


def render(results: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """The page as text."""
    attack = results["attack"]
    parts = [
        _head(results),
        _verdict(attack["summary"]) if attack else _no_attack(results["why_no_attack"]),
        *([_attack(attack)] if attack else []),
        _images(results, examples),
        _region(results["changes"]),
        _open_questions(results, attack),
    ]
    return _page("".join(parts))


def _page(body: str) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>MedUnlearnable Audit</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def _head(results: Mapping[str, Any]) -> str:
    minutes = f"{results['seconds'] / 60:.1f} min of {results['budget_seconds'] / 60:g}"
    facts = f"{results['created']}, {results['software']}, {results['pairs']} pairs of images, {minutes}"
    keep = "This report shows parts of the originals: keep it where they may be seen. Not for diagnosis."
    return f'<h1>MedUnlearnable Audit</h1><p class="quiet">{escape(facts)}<br>{keep}</p>'


def _verdict(summary: Mapping[str, Any]) -> str:
    kind = "box doubt" if summary["indicative_only"] else "box"
    only = ""
    if summary["indicative_only"]:
        only = f"<p><b>Indicative only:</b> {escape('; '.join(summary['reservations']))}.</p>"
    elif summary["few"]:
        only = f"<p>Indicative only, by fewer than 3 seeds or 20 test cases: {escape(', '.join(summary['few']))}.</p>"
    rows = [
        _listed("Holds against", summary["holds"], "holds"),
        _listed("Weakened by", summary["weakened"], "weakened"),
        _listed("Does not hold against", summary["fails"], "fails"),
        _listed("Cannot be told", [f"{name}: {why}" for name, why in summary["unknown"].items()], "unknown"),
    ]
    return (
        f'<div class="{kind}"><b class="big">{escape(summary["headline"])}</b>{only}</div>'
        f"<table>{''.join(rows)}</table>"
    )


def _listed(title: str, names: Sequence[str], kind: str) -> str:
    if not names:
        return ""
    return f'<tr><th class="{kind}">{title}</th><td>{"<br>".join(map(escape, names))}</td></tr>'


def _no_attack(why: str) -> str:
    return f'<div class="box doubt"><b class="big">The protection was not tested.</b><p>{escape(why)}.</p></div>'


def _attack(attack: Mapping[str, Any]) -> str:
    verdicts = attack["verdicts"]
    scored = [verdict for verdict in verdicts if verdict["scores"]]
    effort = attack["effort"]
    size = "x".join(map(str, attack["image_pixels"]))
    setting = (
        f"Attackers train on {attack['train_images']} images ({size} pixels) and are tested on {attack['test_images']} "
        f"clean images of {attack['test_cases']} test cases, split {attack['split']}; width {attack['width']}, about "
        f"{effort['fit_seconds']:.0f} s each, on {attack['device']}. The score is the {attack['score']}; "
        f"an answer that never looks has {attack['trivial']:.2f}. Each condition has its clean row and the label-free "
        "control: the same noise, but of another image and in another place, so that it knows no label."
        f"{_volumes_text(attack['volumes'])}"
    )
    header = ("condition", "clean", "label-free", "protected", "lost of clean", "beyond the control", "verdict", "runs")
    return (
        f"<h2>Attackers</h2><p>{escape(setting)}</p>{_bars(scored, attack['score'])}"
        f"{_table(header, map(_attack_row, verdicts))}"
        "<p>Lost: share of what the attacker can do on clean data, with its 95 % interval over test cases. The verdict "
        "goes by the lower limit, the smaller of both columns: from 50 % on it holds, from 10 % on it is weakened.</p>"
        f"{_labels(attack, scored)}{_curves(attack, scored)}"
    )


def _attack_row(verdict: Mapping[str, Any]) -> list[str]:
    scores = [_number(verdict["scores"].get(arm)) for arm in (CLEAN, LABEL_FREE, PROTECTED)]
    runs = f"{verdict['seeds']} x {verdict['steps']} steps" if verdict["seeds"] else "-"
    shares = _interval(verdict["lost"]), _interval(verdict["caused"])
    return [verdict["condition"], *scores, *shares, verdict["wording"], runs]


def _volumes_text(volumes: Mapping[str, Any] | None) -> str:
    if volumes is None:
        return ""
    size = "x".join(map(str, volumes["voxels"]))
    return f" Networks for volumes train on {volumes['train']} crops of {size} voxels; {volumes['test']} are held out."


def _interval(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "-"
    mean, low, high = (round(interval[part], 2) + 0.0 for part in ("mean", "low", "high"))  # + 0.0: no "-0%"
    return f"{mean:.0%} ({low:.0%} to {high:.0%})"


def _bars(verdicts: Sequence[Mapping[str, Any]], score: str) -> str:
    series = [
        Series(arm, color, [(0, _or_nan(verdict["scores"].get(arm))) for verdict in verdicts])
        for arm, color in _COLORS.items()
    ]
    return bar_chart([verdict["condition"] for verdict in verdicts], series, 1.0, f"{score} by condition")


def _labels(attack: Mapping[str, Any], scored: Sequence[Mapping[str, Any]]) -> str:
    """The score of each label under each condition, where there are several labels; means over seeds."""
    rows, score = [], attack["score"]
    for verdict in scored:
        cells = attack["cells"][verdict["condition"]]
        for label in cells[0]["score_by_label"]:
            means = (_mean_of_label(cells, arm, label) for arm in (CLEAN, LABEL_FREE, PROTECTED))
            rows.append([f"{verdict['condition']}: label {label}", *map(_number, means)])
    if len(rows) <= len(scored):
        return ""
    return f"<h3>Labels</h3>{_table((f'{score} by label', 'clean', 'label-free', 'protected'), rows)}"


def _mean_of_label(cells: Sequence[Mapping[str, Any]], arm: str, label: str) -> float | None:
    scores = [cell["score_by_label"][label] for cell in cells if cell["arm"] == arm]
    known = [score for score in scores if score is not None]
    return statistics.mean(known) if known else None


def _curves(attack: Mapping[str, Any], scored: Sequence[Mapping[str, Any]]) -> str:
    """Of the first condition, seed by seed."""
    if not scored:
        return ""
    name = scored[0]["condition"]
    cells = attack["cells"][name]
    first_seed = [cell for cell in cells if cell["seed"] == 0]
    series = [
        Series(cell["arm"], _COLORS[cell["arm"]], [(step, _or_nan(score)) for step, _, score in cell["curve"]])
        for cell in first_seed
    ]
    chart = line_chart(series, "training step", f"{attack['score']} on clean test cases", 1.0)
    return f"<h3>Learning curves: {escape(name)}</h3>{chart}"


def _images(results: Mapping[str, Any], examples: Sequence[Example]) -> str:
    changes = sorted(results["changes"], key=lambda change: change["psnr_db"] or math.inf)
    header = ("case", "PSNR dB", "SSIM", "largest change", "99.9 % below", "changed in ROI", "changed outside")
    more = len(changes) - _ROWS_SHOWN
    note = f"<p>{more} more cases, changed less, are in the JSON file.</p>" if more > 0 else ""
    return (
        f"<h2>Images</h2>{_findings(results)}{''.join(map(_figure, examples))}"
        f"{_table(header, map(_change_row, changes[:_ROWS_SHOWN]))}{note}"
        "<p>Changes in stored units; the peak of the PSNR is the intensity window.</p>"
        f"<h3>Checks after reading both files again</h3>{_checks(results['changes'])}{_histogram(changes)}"
    )


def _findings(results: Mapping[str, Any]) -> str:
    lines = [problem["error"] for problem in results["problems"]]
    if results["unpaired"]:
        names = ", ".join(results["unpaired"][:10]) + (", ..." if len(results["unpaired"]) > 10 else "")
        lines.append(f"{len(results['unpaired'])} images without a partner were left out: {names}")
    if results["not_looked_at"]:
        lines.append(f"{results['not_looked_at']} pairs, drawn at random, were not looked at: there was no time")
    return f'<div class="box doubt">{"<br>".join(map(escape, lines))}</div>' if lines else ""


def _figure(example: Example) -> str:
    pictures = "".join(
        f'<img alt="{what}" src="data:image/png;base64,{_png(pixels)}"> '
        for what, pixels in (("before", example.before), ("after", example.after), ("difference", example.difference))
    )
    caption = f"{example.name}: before, after, difference x{DIFFERENCE_GAIN} (gray: no change)"
    return f"<figure>{pictures}<figcaption>{escape(caption)}</figcaption></figure>"


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _change_row(change: Mapping[str, Any]) -> list[str]:
    psnr = "unchanged" if change["psnr_db"] is None else f"{change['psnr_db']:.1f}"
    shares = (_percent(change[f"share_changed_{where}"]) for where in ("inside", "outside"))
    return [
        change["case"],
        psnr,
        f"{change['ssim']:.5f}",
        f"{change['max_change']:g}",
        f"{change['change_999']:g}",
        *shares,
    ]


def _checks(changes: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for name, text in _CHECKS.items():
        found = [change["checks"][name] for change in changes]
        failed = [change["case"] for change in changes if change["checks"][name] is False]
        rows.append(
            [text, str(found.count(True)), str(len(failed)), str(found.count(None)), ", ".join(failed[:5]) or "-"]
        )
    return _table(("check", "passed", "failed", "could not be checked", "failed for"), rows)


def _histogram(changes: Sequence[Mapping[str, Any]]) -> str:
    """Of the case that changed most."""
    if not changes:
        return ""
    change = changes[0]
    lo, hi = change["window"]
    series = []
    for name, color in (("before", _BEFORE), ("after", _AFTER)):
        counts = change[f"histogram_{name}"]
        share = [count / max(1, sum(counts)) for count in counts]
        series.append(Series(name, color, list(enumerate(share))))
    top = max(value for one in series for _, value in one.points) or 1.0
    label = f"bin of the window [{lo:g}, {hi:g}]"
    return f"<h3>Histogram: {escape(change['case'])}</h3>{line_chart(series, label, 'share of voxels', top)}"


def _region(changes: Sequence[Mapping[str, Any]]) -> str:
    """Medians over cases, and the largest change of any case."""
    pairs = [(c["region_before"], c["region_after"]) for c in changes if c["region_before"] and c["region_after"]]
    if not pairs:
        return ""
    rows = [
        _statistic_row("volume (mm\u00b3)", pairs, lambda region: region["volume_mm3"]),
        _statistic_row("mean (physical units)", pairs, lambda region: region["mean"]),
        _statistic_row("SD (physical units)", pairs, lambda region: region["sd"]),
    ]
    for name in ("contrast", "homogeneity", "energy", "entropy", "correlation"):
        textured = [pair for pair in pairs if pair[0]["texture"] and pair[1]["texture"]]
        rows.append(_statistic_row(f"texture: {name}", textured, lambda region, name=name: region["texture"][name]))  # type: ignore[misc]
    header = ("segments together", "before (median)", "after (median)", "largest change of a case")
    texture = "Texture: gray-level co-occurrence, 32 levels over the window, distance 1 within the slice."
    return f"<h2>What a reader or a radiomics program measures</h2>{_table(header, rows)}<p>{texture}</p>"


def _statistic_row(
    name: str, pairs: Sequence[tuple[Any, Any]], value: Callable[[Mapping[str, Any]], float]
) -> list[str]:
    before, after = ([value(pair[side]) for pair in pairs] for side in (0, 1))
    if not before:
        return [name, "-", "-", "-"]
    largest = max((abs(b - a) / abs(b) for b, a in zip(before, after) if b), default=0.0)
    return [name, f"{statistics.median(before):.4g}", f"{statistics.median(after):.4g}", f"{largest:.1%}"]


def _open_questions(results: Mapping[str, Any], attack: Mapping[str, Any] | None) -> str:
    not_tested = attack["summary"]["not_tested"] if attack else []
    tested = f"<h2>Not tested</h2>{_bullets(not_tested)}" if not_tested else ""
    return f"{tested}<h2>Limits of every such protection</h2>{_bullets(results['limits'])}"


def _bullets(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Escapes every cell; all columns but the first hold figures."""
    head = "".join(f"<th>{escape(title)}</th>" for title in header)
    body = "".join(f"<tr><td>{escape(row[0])}</td>{''.join(map(_figure_cell, row[1:]))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _figure_cell(text: str) -> str:
    return f'<td class="n">{escape(text)}</td>'


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
