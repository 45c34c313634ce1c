"""Weights to start from: tensors by name, and nothing that could run."""

from __future__ import annotations

import pickle

import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files.weights import read_weights

torch = pytest.importorskip("torch")


class Harmful:
    def __reduce__(self):
        return print, ("this must never be executed",)


def test_a_state_dict_comes_back_with_the_digest_of_its_file(tmp_path):
    network = torch.nn.Linear(3, 2)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert torch.equal(found.weights["weight"], network.weight)
    assert len(found.digest) == 64
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "b.pt")
    assert read_weights(tmp_path / "b.pt").digest != found.digest


@pytest.mark.parametrize("content", [b"", b"not a file of torch", pickle.dumps(Harmful())])
def test_other_files_are_refused_and_never_executed(tmp_path, capsys, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(Refused, match=r"a\.pt: this is no state_dict"):
        read_weights(tmp_path / "a.pt")
    assert capsys.readouterr().out == ""


def test_a_whole_network_and_a_missing_file_are_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(Refused, match="this is no state_dict"):
        read_weights(tmp_path / "a.pt")
    with pytest.raises(Refused, match="there is no such file"):
        read_weights(tmp_path / "b.pt")
