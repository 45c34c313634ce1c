"""Originals find their protected copies, labels and classes; what does not pair is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files.pairs import Pair, find_pairs
from PIL import Image


def pictures(folder, names, side=12):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (side, side)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def folders(tmp_path):
    pictures(tmp_path / "clean", ["a.png", "b.png", "only_clean.png"])
    pictures(tmp_path / "out", ["a.png", "b.png", "only_out.png"])
    return tmp_path / "clean", tmp_path / "out"


def test_equal_stems_are_pairs_and_others_are_named(folders):
    found = find_pairs(*folders, None, None)
    assert [pair.clean.id for pair in found.pairs] == ["a", "b"]
    assert found.unpaired == ("only_clean", "only_out")
    clean, protected, record = found.pairs[0].load()
    assert clean.image.shape == protected.image.shape
    assert record is None


def test_two_files_are_a_pair_whatever_their_names(folders):
    found = find_pairs(folders[0] / "a.png", folders[1] / "b.png", None, None)
    assert [(pair.clean.image.name, pair.protected.image.name) for pair in found.pairs] == [("a.png", "b.png")]


def test_labels_come_as_given_from_beside_or_from_the_protected_folder(folders):
    clean, out = folders
    (clean / "only_clean.png").unlink()
    pictures(out / "labels", ["a.png", "b.png"])
    assert find_pairs(clean, out, None, None).pairs[0].clean.label == out / "labels" / "a.png"
    assert find_pairs(clean, out, out / "labels", None).pairs[0].clean.label == out / "labels" / "a.png"
    pictures(clean, ["a_mask.png", "b_mask.png"])
    assert find_pairs(clean, out, None, None).pairs[0].clean.label == clean / "a_mask.png"


def test_classes_come_from_a_table(folders, tmp_path):
    clean, out = folders
    table = tmp_path / "classes.csv"
    table.write_text("case,label\na,benign\nb,malignant\nonly_clean,benign\n")
    pairs = find_pairs(clean, out, None, table).pairs
    assert [pair.load()[0].classes.shown for pair in pairs] == [((0,),), ((1,),)]


def test_a_pair_survives_json(folders):
    (pair, _) = find_pairs(*folders, None, None).pairs
    assert Pair.from_json(json.loads(json.dumps(pair.to_json()))) == pair


def test_what_cannot_be_compared_is_one_sentence(folders, tmp_path):
    clean, out = folders
    pictures(tmp_path / "other", ["x.png"])
    with pytest.raises(Refused, match="has a protected copy of the same stem"):
        find_pairs(clean, tmp_path / "other", None, None)
    with pytest.raises(Refused, match="no such file or folder"):
        find_pairs(clean, tmp_path / "nowhere", None, None)
    pictures(out, ["a.png"], side=13)
    with pytest.raises(Refused, match=r"a\.png: has .* voxels"):
        find_pairs(clean, out, None, None).pairs[0].load()
    (out / "b.medunlearnable.json").write_text('{"method": "UMed"}')
    with pytest.raises(Refused, match="the record is damaged"):
        find_pairs(clean, out, None, None).pairs[1].load()
