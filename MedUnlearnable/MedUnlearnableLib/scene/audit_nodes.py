"""Results of an audit as nodes: tables of attackers and of images, learning curves, bars for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.audit.conditions import CLEAN, LABEL_FREE, PROTECTED

_ARMS = {CLEAN: (0.11, 0.42, 0.66), LABEL_FREE: (0.48, 0.50, 0.53), PROTECTED: (0.76, 0.25, 0.05)}
_NAN = float("nan")


@dataclass(frozen=True)
class AuditNodes:
    """`attackers`, `curves`, `bars` are None where nothing was attacked."""

    images: Any  # table: one row a case
    attackers: Any | None = None  # table: one row a condition
    curves: Any | None = None  # plot chart: score by training step, of the usual attacker
    bars: Any | None = None  # plot chart: score by condition

    @property
    def table(self) -> Any:
        """The verdicts; without an attack the figures of the images."""
        return self.images if self.attackers is None else self.attackers


def add_nodes(results: Mapping[str, Any], report: Path | None) -> AuditNodes:
    """Adds the nodes to the scene. `results`: what stands in report.json."""
    images = _table("Audit: images", _image_columns(results["changes"]))
    images.SetAttribute("MedUnlearnable.report", str(report or ""))
    attack = results["attack"]
    if attack is None:
        return AuditNodes(images)
    verdicts = attack["verdicts"]
    attackers = _table("Audit: attackers", _attacker_columns(verdicts))
    attackers.SetAttribute("MedUnlearnable.report", str(report or ""))
    attackers.SetAttribute("MedUnlearnable.headline", attack["summary"]["headline"])
    attackers.SetAttribute("MedUnlearnable.indicativeOnly", str(attack["summary"]["indicative_only"]).lower())
    return AuditNodes(images, attackers, _curves(attack, verdicts[0]["condition"]), _bars(attackers, attack["score"]))


def _image_columns(changes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    def column(name: str) -> list[float]:
        return [_number(change[name]) for change in changes]

    return {
        "case": [change["case"] for change in changes],
        "PSNR dB": column("psnr_db"),
        "SSIM": column("ssim"),
        "largest change": column("max_change"),
        "99.9 % below": column("change_999"),
        "changed inside": column("share_changed_inside"),
        "changed outside": column("share_changed_outside"),
        "failed checks": [_failed(change["checks"]) for change in changes],
    }


def _failed(checks: Mapping[str, bool | None]) -> str:
    return ", ".join(name for name, passed in checks.items() if passed is False)


def _attacker_columns(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"condition": [verdict["condition"] for verdict in verdicts]}
    for arm in _ARMS:
        columns[arm] = [_number(verdict["scores"].get(arm)) for verdict in verdicts]
    for part in ("mean", "low", "high"):
        columns[f"lost {part}"] = [_NAN if v["lost"] is None else v["lost"][part] for v in verdicts]
    columns["verdict"] = [verdict["wording"] for verdict in verdicts]
    columns["seeds"] = [float(verdict["seeds"]) for verdict in verdicts]
    columns["reason"] = [verdict["reason"] for verdict in verdicts]
    return columns


def _curves(attack: Mapping[str, Any], condition: str) -> Any:
    cells = [cell for cell in attack["cells"][condition] if cell["seed"] == 0]
    columns: dict[str, list[Any]] = {"step": [float(step) for step, _, _ in cells[0]["curve"]]}
    for cell in cells:
        columns[cell["arm"]] = [_number(score) for _, _, score in cell["curve"]]
    table = _table("Audit: learning curves", columns)
    chart = _chart(f"Audit: {condition}", "training step", f"{attack['score']} on clean test cases")
    for cell in cells:
        series = _series(table, cell["arm"])
        series.SetXColumnName("step")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetMarkerStyle(series.MarkerStyleNone)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _bars(table: Any, score: str) -> Any:
    chart = _chart("Audit: conditions", "", score)
    for arm in _ARMS:
        series = _series(table, arm)
        series.SetPlotType(series.PlotTypeBar)
        series.SetLabelColumnName("condition")
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _table(name: str, columns: Mapping[str, Sequence[Any]]) -> Any:
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    for title, values in columns.items():
        array = vtk.vtkStringArray() if any(isinstance(value, str) for value in values) else vtk.vtkDoubleArray()
        array.SetName(title)
        for value in values:
            array.InsertNextValue(value)
        node.AddColumn(array)
    return node


def _chart(title: str, x_label: str, y_label: str) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", slicer.mrmlScene.GenerateUniqueName(title))
    node.SetTitle(title)
    node.SetXAxisTitle(x_label)
    node.SetYAxisTitle(y_label)
    node.SetYAxisRangeAuto(False)
    node.SetYAxisRange(0.0, 1.0)
    return node


def _series(table: Any, arm: str) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", arm)
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetYColumnName(arm)
    node.SetColor(*_ARMS[arm])
    return node


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)
