"""The demonstration: a generated CT, then a file of the user's, through a real MRML scene and the real worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.case import Geometry
from ..engine.errors import Refused
from ..engine.record import Record
from ..files import formats, labels
from ..files.picture import DIFFERENCE_GAIN, save_comparison
from ..files.samples import synthetic_ct
from . import headless, volumes
from .logic import MedUnlearnableLogic
from .sample_nodes import add_nodes, add_sample

#: A file without labels gets the voxels above this percentile as its segment.
_THRESHOLD_PERCENTILE = 90.0
_HEADER = f"{'volume':28}{'PSNR dB':>9}{'SSIM':>9}{'max change':>12}{'changed':>9}{'time s':>8}"


def run_demo(out: Path, file: Path | None, label: Path | None, say: Callable[[str], None]) -> None:
    """Protects each volume; saves it as NRRD with one picture in `out`; says a table. Refuses a folder in use."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"--out {out} is in use; give a new folder, so that nothing is overwritten")
    headless.start()
    out.mkdir(parents=True, exist_ok=True)
    nodes = [add_sample("generated CT", synthetic_ct())]
    if file is not None:
        nodes.append(_nodes_of_file(file, label, say))
    rows = [_show(volume, segmentation, out) for volume, segmentation in nodes]
    for line in (_HEADER, *rows, f"Saved as NRRD, with pictures (before, after, difference x{DIFFERENCE_GAIN}): {out}"):
        say(line)


def _nodes_of_file(file: Path, label: Path | None, say: Callable[[str], None]) -> tuple[Any, Any]:
    stored = formats.read(file)
    if label is not None:
        layers = list(labels.read(label, stored))
    else:
        threshold = np.percentile(stored.array[0], _THRESHOLD_PERCENTILE)
        layers = [(stored.array[0] > threshold).astype(np.uint8)]
        say(f"{file.name}: no --labels given, so the voxels above {threshold:g} stand in for a segment")
    geometry = stored.geometry or Geometry.of_spacing((1.0, 1.0, 1.0))
    return add_nodes(formats.stem(file), stored.array, geometry, layers, {})


def _show(volume: Any, segmentation: Any, out: Path) -> str:
    """Protects one volume of the scene, saves it and its picture, and returns its row of the table."""
    import slicer.util

    from . import segments

    protected = MedUnlearnableLogic().protect(volume, segmentation, method="UMed")
    record = Record.from_json(json.loads(protected.GetNodeReference(volumes.RECORD_REFERENCE).GetText()))
    name = volume.GetName()
    protected.AddDefaultStorageNode()
    storage = protected.GetStorageNode()
    storage.SetFileName(str(out / f"{name} protected.nrrd"))
    if not storage.WriteData(protected):
        raise Refused(f"{out / name} protected.nrrd: the scene could not write the volume; check the free space")
    layers, _ = segments.layers_of(segmentation, None, volume)
    mask = np.any(layers, axis=0)
    k = int(np.argmax(np.sum(mask, axis=(1, 2))))
    before, after = (slicer.util.arrayFromVolume(node)[k] for node in (volume, protected))
    title = f"{name}: UMed, profile {record.profile}, PSNR {record.psnr_db:.1f} dB"
    save_comparison(out / f"{name}.png", before, after, mask[k], record.window, title)
    change = f"{record.max_change_physical:g} {record.units}".strip()
    return (
        f"{name:28}{record.psnr_db:9.2f}{record.ssim:9.5f}{change:>12}{record.share_changed:9.2%}{record.seconds:8.1f}"
    )
