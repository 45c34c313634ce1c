"""Lesion boxes from a CSV: `case,x0,y0,x1,y1` or `case,slice,x0,y0,x1,y1`, half-open, in stored pixels.

x runs along the columns, y along the rows, slices count from 0 along k; without a slice a box holds for all of them.
Cases are named by their id or file name. An empty box (x0 = x1) says that a case has been looked at and has no lesion.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from ..engine.errors import Refused

#: slice or None, x0, y0, x1, y1
BoxRow = list[int | None]
_CORNERS = ["x0", "y0", "x1", "y1"]
_HEADERS = (["case", *_CORNERS], ["case", "slice", *_CORNERS])


def read(path: Path, file_names: Mapping[str, str]) -> dict[str, list[BoxRow]]:
    """The boxes by case id. `file_names`: of all cases, by id. Refuses a table that does not fit, by line."""
    by_name = {name: case_id for case_id, name in file_names.items()} | {case_id: case_id for case_id in file_names}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, [value.strip() for value in row]) for number, row in enumerate(csv.reader(file), 1)]
    except UnicodeDecodeError:
        raise Refused(f"{path}: this is not text in UTF-8; save the table as CSV UTF-8") from None
    filled = [(number, row) for number, row in lines if any(row)]
    header = [value.lower() for value in filled[0][1]] if filled else []
    if header not in _HEADERS:
        raise Refused(f"{path}: the first line must be `{','.join(_HEADERS[0])}` or `{','.join(_HEADERS[1])}`")
    found: dict[str, list[BoxRow]] = {}
    for number, row in filled[1:]:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise Refused(f"{where}: {len(row)} values, but the header has {len(header)}")
        if row[0] not in by_name:
            raise Refused(f"{where}: there is no image of a case '{row[0]}'; check its name")
        found.setdefault(by_name[row[0]], []).append(_box(row[1:], where))
    return found


def _box(values: list[str], where: str) -> BoxRow:
    wrong = next((value for value in values if not value.isdecimal()), None)
    if wrong is not None:
        raise Refused(f"{where}: '{wrong}' is not a whole number of 0 or more")
    numbers = [int(value) for value in values]
    place, (x0, y0, x1, y1) = (numbers[0] if len(numbers) == 5 else None), numbers[-4:]
    if x1 < x0 or y1 < y0:
        raise Refused(f"{where}: the box ends before it begins; give x0 <= x1 and y0 <= y1")
    return [place, x0, y0, x1, y1]
