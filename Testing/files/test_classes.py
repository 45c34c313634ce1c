"""Class labels of cases: what a table may say, and what is refused."""

import json

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files.cases import CaseFiles, load_case
from MedUnlearnableLib.files.classes import CaseClasses, from_csv, from_folders, from_segments, of_labels
from PIL import Image

CASES = {f"case{number}": f"case{number}.png" for number in range(4)}


def table(tmp_path, text, cases=None, class_names=None, encoding="utf-8"):
    path = tmp_path / "classes.csv"
    path.write_text(text, encoding=encoding)
    return from_csv(path, CASES if cases is None else cases, class_names)


def shown(found):
    return {case_id: case.of_case for case_id, case in found.cases.items()}


def test_a_table_names_cases_by_id_or_file_name(tmp_path):
    text = "Case, Label\ncase0,b\ncase1.png,a\n\ncase2,b\ncase3,b\n"
    found = table(tmp_path, text, encoding="utf-8-sig")
    assert found.names == ("a", "b")
    assert shown(found) == {"case0": (1,), "case1": (0,), "case2": (1,), "case3": (1,)}
    assert found.lines() == ["classes of 4 cases, from classes.csv:", "  a  1", "  b  3"]
    assert found.warnings[0] == "class 'a' has 1 sample; with fewer than 8, a class is protected poorly"


def test_slices_have_labels_of_their_own(tmp_path):
    found = table(tmp_path, "case,slice,label\nv,0,a\nv,2,b\nv,3,a\n", {"v": "v.nrrd"})
    classes = found.cases["v"].for_image(4)
    assert [classes.of_slice(k) for k in range(4)] == [(0,), None, (1,), (0,)]
    assert found.samples == {"a": 2, "b": 1}
    with pytest.raises(Refused, match="slice 3 has a class label, but the image has the slices 0 to 2"):
        found.cases["v"].for_image(3)


def test_a_sample_may_show_several_classes_or_none(tmp_path):
    found = table(tmp_path, "case,label\ncase0,b|a\ncase1,\ncase2,a\ncase3,c | a\n")
    assert shown(found) == {"case0": (0, 1), "case1": (), "case2": (0,), "case3": (0, 2)}
    assert found.cases["case1"].several


def test_given_class_names_set_the_order_and_may_be_more(tmp_path):
    text = "case,label\n" + "".join(f"case{number},b\n" for number in range(4))
    assert shown(table(tmp_path, text, class_names=("b", "a", "c")))["case0"] == (0,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the first line must be `case,label`"),
        ("name,class\ncase0,a\n", "the first line must be `case,label` or `case,slice,label`, not `name,class`"),
        ("case,label\ncase0,a\ncase1,b\ncase2,a\n", "1 of 4 cases have no class label, the first: 'case3'"),
        ("case,label\ncase0,a\nother,b\n", "line 3: there is no image of a case 'other'"),
        ("case,label\ncase0,a\ncase0.png,b\n", "line 3: 'case0.png' is there twice"),
        ("case,slice,label\ncase0,1,a\ncase0,1,b\n", "line 3: 'case0' is there twice"),
        ("case,slice,label\ncase0,first,a\n", "'first' is no number of a slice"),
        ("case,label\ncase0,a,b\n", "line 2: 3 values, but the header has 2"),
        ("case,label\ncase0,a\ncase1,a\ncase2,a\ncase3,a\n", "has one class only"),
        ("case,label\ncase0,a\ncase1,b\ncase2,a\ncase3,\n", "the label of 'case3' is empty"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(tmp_path, text, sentence):
    with pytest.raises(Refused, match=r"classes\.csv") as refused:
        table(tmp_path, text)
    assert sentence in str(refused.value)


def test_class_names_must_cover_the_table(tmp_path):
    text = "case,label\ncase0,a\ncase1,b\ncase2,a\ncase3,b\n"
    with pytest.raises(Refused, match="has the class 'b', which --class-names leaves out"):
        table(tmp_path, text, class_names=("a", "c"))
    with pytest.raises(Refused, match="names a class twice"):
        table(tmp_path, text, class_names=("a", "b", "a"))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_bytes("case,label\ncase0,gutartig\ncase1,b\xf6sartig\n".encode("latin-1"))
    with pytest.raises(Refused, match="not text in UTF-8"):
        from_csv(path, CASES)


def test_a_folder_for_each_class(tmp_path):
    for folder, names in (("a", ("case0.png", "case1.png")), ("b", ("case2.png", "case3.nrrd", "notes.txt"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    found = from_folders(tmp_path, CASES)
    assert shown(found) == {"case0": (0,), "case1": (0,), "case2": (1,), "case3": (1,)}
    (tmp_path / "b" / "case0.png").touch()
    with pytest.raises(Refused, match="'case0' lies in two folders"):
        from_folders(tmp_path, CASES)
    with pytest.raises(Refused, match="holds no folders of classes"):
        from_folders(tmp_path / "a", CASES)


def test_the_largest_segment_of_a_slice_is_its_class():
    layer, other = np.zeros((4, 10, 10), np.uint8), np.zeros((4, 10, 10), np.uint8)
    layer[0, :5] = 1
    layer[1, :2] = 2
    layer[1, 5:] = 1
    layer[2, 0, :3] = 2  # too small
    other[3, :, :8] = 1
    layer[3, :2] = 2
    found = from_segments([("v", (layer, other))])
    assert found.names == ("none", "segment 1", "segment 2", "layer 1, 1")
    assert [found.cases["v"].of_slices[k] for k in range(4)] == [(1,), (1,), (0,), (3,)]
    assert from_segments([("v", (layer, other))], ("healthy", "x", "y", "z")).names == ("healthy", "x", "y", "z")
    with pytest.raises(Refused, match="names 2 classes, but the segments make 4"):
        from_segments([("v", (layer, other))], ("healthy", "x"))
    with pytest.raises(Refused, match="one class only"):
        from_segments([("v", (np.zeros_like(layer),))])


def test_labels_at_hand_make_a_table():
    assert shown(of_labels({"x": "b", "y": "a"})) == {"x": (1,), "y": (0,)}


def test_classes_reach_the_case_and_survive_json(tmp_path):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "p.png")
    classes = CaseClasses(("a", "b"), of_case=(1,))
    files = CaseFiles("p", tmp_path / "p.png", None, classes=classes)
    again = CaseFiles.from_json(json.loads(json.dumps(files.to_json())))
    assert again == files
    assert load_case(again)[1].classes == classes.for_image(1)
    of_slices = CaseClasses(("a", "b"), of_slices={0: (1,), 7: ()}, several=True)
    assert CaseClasses.from_json(json.loads(json.dumps(of_slices.to_json()))) == of_slices
