"""States survive JSON with every bit; a workspace gives back what was kept."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.method import State, Workspace


@given(
    arrays.arrays(
        arrays.scalar_dtypes().filter(lambda dtype: dtype.kind in "biuf" and dtype.itemsize <= 8),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
    )
)
def test_an_array_comes_back_from_json_bit_by_bit(array):
    back = State.from_json(json.loads(json.dumps(State({"format": "x"}, {"a": array}).to_json())))
    assert back.header == {"format": "x"}
    assert back.arrays["a"].shape == array.shape
    assert back.arrays["a"].astype(array.dtype).tobytes() == array.tobytes()
    assert back.arrays["a"].flags.writeable


def test_a_state_of_another_method_is_refused():
    with pytest.raises(Refused, match=r"format 'a/1', expected 'b/1'; was it saved by B"):
        State({"format": "a/1"}).refuse_other_format("b/1", "B")


def test_a_workspace_keeps_the_last_state_and_its_arrays():
    workspace = Workspace()
    assert workspace.kept() is None
    workspace.keep(State({"step": 1}))
    workspace.keep(State({"step": 2}))
    assert workspace.kept() == State({"step": 2})
    workspace.array("noise", (2, 3), np.int8)[1] = 7
    assert workspace.array("noise", (2, 3), np.int8).sum() == 21
