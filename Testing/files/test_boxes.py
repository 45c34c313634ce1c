"""Lesion boxes from a CSV."""

import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import boxes

FILES = {"a": "a.png", "b": "b.nii.gz"}


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_boxes_of_whole_cases_by_id_or_file_name(tmp_path):
    path = table(tmp_path, "\ufeffCase,x0,y0,x1,y1\r\na,1,2,3,4\r\n\r\nb.nii.gz, 0,0,0,0\r\na,5,6,7,8\r\n")
    assert boxes.read(path, FILES) == {"a": [[None, 1, 2, 3, 4], [None, 5, 6, 7, 8]], "b": [[None, 0, 0, 0, 0]]}


def test_boxes_of_slices(tmp_path):
    assert boxes.read(table(tmp_path, "case,slice,x0,y0,x1,y1\nb,12,1,2,3,4\n"), FILES) == {"b": [[12, 1, 2, 3, 4]]}


@pytest.mark.parametrize(("text", "told"), [
    ("", "first line"),
    ("case,x,y,w,h\na,1,2,3,4\n", "first line"),
    ("case,x0,y0,x1,y1\na,1,2,3\n", "line 2: 4 values"),
    ("case,x0,y0,x1,y1\nc,1,2,3,4\n", "no image of a case 'c'"),
    ("case,x0,y0,x1,y1\na,1,2,3,4.5\n", "'4.5' is not a whole number"),
    ("case,x0,y0,x1,y1\na,-1,2,3,4\n", "'-1' is not a whole number"),
    ("case,x0,y0,x1,y1\na,5,2,3,4\n", "ends before it begins"),
])  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_by_line(tmp_path, text, told):
    with pytest.raises(Refused, match=told):
        boxes.read(table(tmp_path, text), FILES)


def test_other_encodings_are_named(tmp_path):
    with pytest.raises(Refused, match="UTF-8"):
        boxes.read(table(tmp_path, "case,x0,y0,x1,y1\n\u00e4,1,2,3,4\n", "latin-1"), FILES)
