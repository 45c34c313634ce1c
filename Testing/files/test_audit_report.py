"""The report stands alone, runs nothing, and shows every text as text."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from MedUnlearnableLib.engine.audit.attacks import ConditionResults
from MedUnlearnableLib.engine.audit.cells import CellResult
from MedUnlearnableLib.engine.audit.change import measure_change
from MedUnlearnableLib.engine.audit.conditions import ARMS, CLEAN, PROTECTED, segmentation_conditions
from MedUnlearnableLib.engine.audit.summary import LIMITS, summarize
from MedUnlearnableLib.engine.audit.verdict import judge, reservations
from MedUnlearnableLib.engine.case import Case, Geometry
from MedUnlearnableLib.engine.training import nan_to_none
from MedUnlearnableLib.files.audit_report import example_of, render
from MedUnlearnableLib.files.svg import Series, bar_chart, line_chart

HOSTILE = "<script>alert('x')</script>&\"><img src=https://evil.invalid/a.png onerror=alert(1)>"


class Page(HTMLParser):
    """Collects tags, attributes and texts as a browser would."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def pair(name):
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (1, 4, 20, 20)).astype(np.uint8)
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[1:3, 5:12, 5:12] = 1
    clean = Case(name, image, Geometry.of_spacing((1, 1, 2)), (labels,))
    changed = image.copy()
    changed[0][labels > 0] ^= 1
    return clean, Case(name, changed, clean.geometry, ())


def attack_results(protected_score, problem="MONAI is missing"):
    condition, *others = segmentation_conditions(False)
    tested = ConditionResults(condition)
    for arm in ARMS:
        score = protected_score if arm == PROTECTED else 0.8
        curve = [(10, 1.0, score / 2), (20, 0.5, score)]
        labels = {"1": score, "2": float("nan")}
        tested.by_arm[arm].append(CellResult(arm, 0, 20, score, 0.9, ["a"] * 30, [score] * 30, curve, 3.0, labels))
    broken = ConditionResults(others[0], problem=problem)
    random = np.random.default_rng(0)
    verdicts = [judge(results, 0.0, 0.2, random) for results in (tested, broken)]
    left_out = [condition.name for condition in others[1:]]
    doubts = reservations(verdicts[0], True, small=True)
    return {
        "task": "segmentation", "score": "DSC", "floor": 0.0, "trivial": 0.2, "split": "by case", "train_images": 70,
        "test_images": 30, "test_cases": 30, "image_pixels": [20, 20],
        "volumes": {"train": 7, "test": 3, "voxels": [9, 9, 9]}, "device": "cpu",
        "width": 8, "effort": {"fit_seconds": 40.0},
        "summary": summarize(verdicts, doubts, left_out).to_json(),
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "cells": {condition.name: [cell.to_json() for cells in tested.by_arm.values() for cell in cells]},
    }  # fmt: skip


def results(name="case 1", attack=None):
    clean, protected = pair(name)
    change = measure_change(clean, protected, None)
    return nan_to_none({
        "created": "2026-01-31T12:00:00+00:00", "software": "MedUnlearnable", "budget_seconds": 600.0, "seconds": 590.0,
        "pairs": 1, "not_looked_at": 0, "unpaired": [f"unpaired {name}"],
        "problems": [{"case": name, "error": f"{name}: cannot be read"}],
        "changes": [change.to_json()], "attack": attack, "why_no_attack": "" if attack else f"PyTorch {name}",
        "limits": list(LIMITS),
    }), [example_of(clean, protected, change.window)]  # fmt: skip


@pytest.mark.parametrize("attack", [None, attack_results(0.1), attack_results(0.8)], ids=["none", "holds", "fails"])
def test_the_page_fetches_nothing_and_runs_nothing(attack):
    page = render(*results(attack=attack))
    parsed = Page(page)
    assert {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "embed", "form", "a"} == set()
    for tag, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/png;base64,")
    assert "http:" not in page and "https:" not in page and "url(" not in page
    (policy,) = [a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_names_and_errors_are_shown_as_text():
    parsed = Page(render(*results(HOSTILE, attack_results(0.1, HOSTILE))))
    assert not any(attributes.get("onerror") for _, attributes in parsed.tags)
    assert "script" not in {tag for tag, _ in parsed.tags}
    shown = "".join(parsed.texts)
    assert shown.count(HOSTILE) >= 5  # case, unpaired, problem, caption, histogram and the broken condition


def test_names_in_charts_are_shown_as_text():
    series = [Series(HOSTILE, "#000000", [(0, 0.5)])]
    for chart in (bar_chart([HOSTILE], series, 1.0, HOSTILE), line_chart(series, HOSTILE, HOSTILE, 1.0)):
        assert {tag for tag, _ in Page(chart).tags} <= {
            "svg", "text", "rect", "title", "line", "polyline", "p", "span", "i"
        }  # fmt: skip


def test_the_verdict_is_plain_and_says_what_it_is_worth():
    text = " ".join(Page(render(*results(attack=attack_results(0.1)))).texts)
    for words in (
        "Training from scratch fails on the protected images",
        "Indicative only:",
        "the attackers are small",
        "training from scratch was done with 1 of 3 seeds",
        "7 crops of 9x9x9 voxels",
        "training from scratch: label 2",
        "Holds against",
        "Cannot be told",
        "Not tested",
        "resampling to 0.7: there was no time",
        *LIMITS,
    ):
        assert words in text, words
    failed = " ".join(Page(render(*results(attack=attack_results(0.8)))).texts)
    assert "No protection was found" in failed
    assert "Does not hold against" in failed


def test_without_an_attack_the_page_says_why_and_still_has_the_limits():
    text = " ".join(Page(render(*results())).texts)
    assert "The protection was not tested." in text and "PyTorch case 1" in text
    assert LIMITS[0] in text


def test_the_same_results_from_the_json_file_give_the_same_page():
    found, examples = results(attack=attack_results(0.3))
    assert render(json.loads(json.dumps(found, allow_nan=False)), examples) == render(copy.deepcopy(found), examples)


def test_an_example_is_the_slice_that_changed_most_and_never_larger_than_needed():
    clean, protected = pair("a")
    image = np.random.default_rng(0).integers(0, 255, (3, 2, 1100, 900)).astype(np.uint8)
    changed = image.copy()
    changed[:, 1, 100:300, 100:300] ^= 4
    big = [Case("big", pixels, clean.geometry) for pixels in (image, changed)]
    example = example_of(*big, (0.0, 255.0))
    assert example.before.shape == (367, 300, 3)
    assert (example.difference != 128).any()
    small = example_of(clean, protected, (0.0, 255.0))
    assert small.before.shape == (20, 20)
    assert {clean.image[0, k].tobytes() for k in (1, 2)} >= {small.before.tobytes()}


@pytest.mark.parametrize(
    ("top", "ticks"), [(277, [0, 100, 200]), (40, [0, 10, 20, 30, 40]), (0.35, [0, 0.1, 0.2, 0.3])]
)
def test_axes_have_round_numbers(top, ticks):
    page = line_chart([Series("clean", "red", [(top, 0.5)])], "step", "score", 1.0)
    shown = [float(text) for text in re.findall(r'text-anchor="middle">([\d.]+)<', page)]
    assert shown == ticks


def test_a_missing_score_leaves_no_bar():
    series = [Series("a", "#000000", [(0, 0.5), (1, float("nan"))])]
    assert bar_chart(["x", "y"], series, 1.0, "bars").count("<rect") == 1
    assert CLEAN not in line_chart([], "x", "y", 1.0)
