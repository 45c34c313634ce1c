"""Audits of nodes: a table, plots and a report; names of nodes are those of the scene; nothing is changed."""

import numpy as np
import pytest
import slicer
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.scene.audit import AuditPair, SceneAudit, headline_of
from MedUnlearnableLib.scene.logic import MedUnlearnableLogic, SceneCase
from scene_helpers import add_segmentation, add_volume, ct_with_segments, matrix, voxels

LOGIC = MedUnlearnableLogic()


def column(table, name):
    array = table.GetTable().GetColumnByName(name)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())]


def ball_volume(slices=36, side=20):
    """A bright ball in noise; many slices show it."""
    random = np.random.default_rng(0)
    grid = np.indices((slices, side, side))
    distance = np.sqrt(((grid[0] - slices / 2) / 3) ** 2 + (grid[1] - 10) ** 2 + (grid[2] - 9) ** 2)
    image = (random.integers(100, 140, distance.shape) + 60 * (distance < 6.5)).astype(np.int16)
    volume = add_volume(image, matrix(), "MR <ball>")
    return volume, add_segmentation(volume, ball=distance < 6.5)


def test_without_segments_the_images_are_measured(scene, tmp_path):
    volume, segmentation = ct_with_segments()
    protected = LOGIC.protect(volume, segmentation, profile="instant")
    before = voxels(volume).copy()
    table = LOGIC.audit(volume, protected, reportFolder=tmp_path / "report")
    assert column(table, "case") == ["CT"]
    assert column(table, "PSNR dB")[0] > 40
    assert column(table, "failed checks") == [""]
    assert (tmp_path / "report" / "report.html").exists()
    assert table.GetAttribute("MedUnlearnable.report") == str(tmp_path / "report" / "report.html")
    assert np.array_equal(voxels(volume), before)


def test_a_volume_with_segments_is_attacked_slab_against_slab(scene, tmp_path):
    pytest.importorskip("torch")
    volume, segmentation = ball_volume()
    protected = LOGIC.protect(volume, segmentation, profile="instant", epsilon=16)
    audit = LOGIC.startAudit(
        [AuditPair(SceneCase(volume, segmentation), protected)], "1s", tmp_path / "report", device="cpu"
    )
    nodes = audit.wait()
    assert column(nodes.table, "condition")[0] == "training from scratch"
    assert column(nodes.table, "seeds")[0] == 1
    assert nodes.table.GetAttribute("MedUnlearnable.indicativeOnly") == "true"
    assert headline_of(audit.results()).startswith("Indicative only. ")
    assert "slabs" in audit.results()["attack"]["split"]
    for chart, arms in ((nodes.curves, 3), (nodes.bars, 3)):
        assert chart.GetNumberOfPlotSeriesNodes() == arms
        for number in range(arms):
            series = chart.GetNthPlotSeriesNode(number)
            assert series.GetTableNode().GetColumnIndex(series.GetYColumnName()) >= 0
    page = audit.report.read_text()
    assert "MR &lt;ball&gt;" in page and "MR <ball>" not in page


def test_a_tampered_copy_is_named_by_its_node(scene):
    volume, segmentation = ct_with_segments()
    protected = LOGIC.protect(volume, segmentation, profile="instant")
    voxels(protected)[0, 0, 0] += 7
    audit = LOGIC.startAudit([AuditPair(SceneCase(volume), protected)])
    nodes = audit.wait()
    assert "record" in column(nodes.images, "failed checks")[0]
    assert "CT: the check" in audit.result["message"]


def test_two_volumes_of_one_name_are_two_cases(scene):
    pairs = []
    for _ in range(2):
        volume, segmentation = ct_with_segments()
        pairs.append(AuditPair(SceneCase(volume), LOGIC.protect(volume, segmentation, profile="instant")))
    nodes = LOGIC.startAudit(pairs).wait()
    assert column(nodes.images, "case") == ["CT", "CT (2)"]


def test_folders_are_audited_as_on_the_command_line(scene, tmp_path):
    from MedUnlearnableLib.files import nrrd
    from MedUnlearnableLib.files.samples import synthetic_ct
    from MedUnlearnableLib.files.volume import write_atomically

    sample = synthetic_ct((6, 24, 24))
    for folder in ("clean", "protected"):
        write_atomically(
            tmp_path / folder / "a.nrrd",
            lambda file: nrrd.write(file, sample.image[np.newaxis], sample.geometry, None),
        )
    audit = SceneAudit.of_folders(
        tmp_path / "clean", tmp_path / "protected", None, None, tmp_path / "report", "1m", device="cpu"
    )
    assert column(audit.wait().images, "changed inside") != []
    assert "neither labels nor classes" in headline_of(audit.results()) or "PyTorch" in headline_of(audit.results())


def test_impossible_requests_are_one_sentence_and_leave_no_copy(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    volume, _ = ct_with_segments()
    small = add_volume(np.zeros((2, 3, 3), np.int16), matrix(), "small")
    for call, error, words in [
        (lambda: LOGIC.startAudit([]), Refused, "nothing to audit"),
        (lambda: LOGIC.audit(volume, None), Refused, "copy of 'CT' is missing"),
        (lambda: LOGIC.audit(volume, volume, budget="soon"), UsageError, "--budget soon"),
        (lambda: LOGIC.audit(volume, volume, device="tpu"), UsageError, "--device tpu"),
        (lambda: LOGIC.audit(volume, small), Refused, "voxels"),
    ]:
        with pytest.raises(error, match=words):
            call()
    assert [path for path in tmp_path.iterdir() if not path.name.endswith("-report")] == []


def test_a_cancelled_audit_adds_no_node(scene):
    volume, segmentation = ct_with_segments(shape=(60, 160, 160))
    protected = LOGIC.protect(volume, segmentation, profile="instant")
    before = slicer.mrmlScene.GetNumberOfNodes()
    audit = LOGIC.startAudit([AuditPair(SceneCase(volume, segmentation), protected)])
    audit.cancel()
    with pytest.raises(Cancelled):
        audit.wait()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
