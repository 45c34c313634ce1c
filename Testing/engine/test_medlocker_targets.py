"""Loading target models: what is taken, and what is refused before anything of it runs."""

import json
import pickle

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.medlocker.targets import TargetModel, load_model

torch = pytest.importorskip("torch")


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        mean = planes.mean(dim=(1, 2, 3)) * self.weight
        return torch.stack([mean, -mean], dim=1)


def described(folder, kind, file="m.pt", **more):
    path = folder / "model.json"
    path.write_text(json.dumps({"kind": kind, "file": file, "size": [16, 16], "channels": 1, **more}))
    return path


def planes():
    return torch.full((2, 1, 32, 32), 0.5)


def test_a_program_is_not_even_opened_without_an_explicit_yes(tmp_path, monkeypatch):
    (tmp_path / "m.pt").write_bytes(b"anything")
    for loader in (torch.jit, torch.export):
        monkeypatch.setattr(loader, "load", lambda *a, **k: pytest.fail("was loaded"))
    for kind in ("torchscript", "exported"):
        with pytest.raises(Refused, match="--trust-models"):
            load_model(described(tmp_path, kind), trusted=False, device="cpu")


def test_torchscript_that_is_trusted_predicts(tmp_path):
    torch.jit.script(Tiny()).save(str(tmp_path / "m.pt"))
    model = load_model(described(tmp_path, "torchscript", classes=["a", "b"], mean=[0.5], deviation=[0.5]), True, "cpu")
    assert model(planes() + 0.25).tolist() == [[0.5, -0.5]] * 2
    assert model.class_number("b") == 1
    assert len(model.sha256) == 64


def test_an_exported_program_that_is_trusted_predicts(tmp_path):
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(Tiny(), (torch.zeros(2, 1, 16, 16),), dynamic_shapes={"planes": {0: batch}})
    torch.export.save(program, str(tmp_path / "m.pt"))
    model = load_model(described(tmp_path, "exported"), True, "cpu")
    assert model(planes().repeat(3, 1, 1, 1)).shape == (6, 2)


def test_a_monai_network_takes_nothing_but_numbers_from_its_file(tmp_path):
    nets = pytest.importorskip("monai.networks.nets")
    arguments = {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 3}
    torch.save(nets.resnet10(**arguments).state_dict(), tmp_path / "m.pt")
    path = described(tmp_path, "monai", network="resnet10", arguments=arguments, size=[32, 32])
    assert load_model(path, False, "cpu")(planes()).shape == (2, 3)


class Evil:
    def __reduce__(self):
        return pytest.fail, ("code of the file was executed",)


def test_code_hidden_in_weights_is_refused_and_not_run(tmp_path):
    pytest.importorskip("monai")
    path = described(tmp_path, "monai", network="resnet10", arguments={"spatial_dims": 2, "n_input_channels": 1})
    torch.save({"weight": Evil()}, tmp_path / "m.pt", pickle_module=pickle)
    with pytest.raises(Refused, match="cannot be loaded"):
        load_model(path, False, "cpu")


@pytest.mark.parametrize("more", [
    {"network": "resnet10", "arguments": {"pretrained": True}}, {"network": "UNet"}, {"network": "__import__"}, {},
])  # fmt: skip
def test_other_networks_and_downloads_are_refused(tmp_path, more):
    (tmp_path / "m.pt").write_bytes(b"")
    with pytest.raises(Refused, match="must be one of"):
        load_model(described(tmp_path, "monai", **more), False, "cpu")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x80\x04."])
@pytest.mark.parametrize("kind", ["torchscript", "exported", "monai"])
def test_damaged_files_are_one_sentence(tmp_path, kind, content):
    pytest.importorskip("monai")
    (tmp_path / "m.pt").write_bytes(content)
    more = {"network": "resnet10", "arguments": {"spatial_dims": 2, "n_input_channels": 1}}
    with pytest.raises(Refused, match="cannot be loaded"):
        load_model(described(tmp_path, kind, **more), True, "cpu")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "pickle", "file": "m.pt", "size": [1, 1], "channels": 1}'])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(Refused, match=r"model\.json"):
        load_model(path, True, "cpu")


def test_weights_lie_beside_their_description(tmp_path):
    (tmp_path / "m.pt").write_bytes(b"")
    for file in ("../m.pt", "/etc/passwd", "absent.pt"):
        with pytest.raises(Refused, match="beside it"):
            load_model(described(tmp_path, "monai", file=file), False, "cpu")
    with pytest.raises(Refused, match="cannot be read"):
        load_model(tmp_path / "no.json", False, "cpu")


def test_colors_and_sizes_are_brought_to_what_the_model_takes():
    seen = []
    model = TargetModel("m", lambda given: seen.append(given) or given.mean(dim=(2, 3)), (8, 8), 3, (0.5,), (0.25,))
    model(torch.full((1, 1, 20, 12), 0.75))
    assert seen[0].shape == (1, 3, 8, 8)
    assert torch.allclose(seen[0], torch.ones(1))


def test_classes_are_named_or_numbered():
    numbered = TargetModel.of_scores(lambda given: np.zeros((len(given), 2)), (8, 8))
    assert numbered.class_number("1") == 1
    with pytest.raises(Refused, match="unknown to the model"):
        numbered.class_number("malignant")
