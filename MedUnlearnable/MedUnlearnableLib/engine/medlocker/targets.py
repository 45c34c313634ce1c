"""Target models: the networks a mark is to mislead. torch is imported inside functions.

A TorchScript or torch.export file is a program: TorchScript may read and write files, and torch.export evaluates
expressions of the file while it loads. So both are loaded only after an explicit yes. A MONAI network takes its code
from the installed MONAI and from the file nothing but numbers (`weights_only`), so it needs none - with a torch that
keeps this promise (2.6 and later; before, a crafted file could break out of it).
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MedUnlearnableError, Refused

if TYPE_CHECKING:
    import torch
    from torch import nn

KINDS = ("torchscript", "exported", "monai")
#: Classifiers of monai.networks.nets that a description may name.
MONAI_NETWORKS = (
    "DenseNet121", "DenseNet169", "DenseNet201", "EfficientNetBN", "resnet10", "resnet18", "resnet34", "resnet50",
    "SEResNet50", "ViT",
)  # fmt: skip
_SAFE_WEIGHTS_FROM = (2, 6)
#: What PyTorch raises for files that are damaged or do not fit their description.
_DAMAGE = (
    RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, EOFError, OSError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class TargetModel:
    """A classifier of planes.

    network: planes [N, channels, *size], (image - mean) / deviation with the image in [0, 1], to logits [N, classes].
    classes: their names in the order of the logits, or empty if unknown. module: the torch module behind, if any.
    """

    name: str
    network: Callable[[torch.Tensor], torch.Tensor]
    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    classes: tuple[str, ...] = ()
    sha256: str = ""
    module: nn.Module | None = field(default=None, compare=False)
    differentiable: bool = True

    @classmethod
    def of_scores(
        cls,
        predict: Callable[[NDArray[np.float32]], NDArray[np.floating]],
        size: tuple[int, int],
        channels: int = 1,
        classes: Sequence[str] = (),
        name: str = "callable",
    ) -> TargetModel:
        """A function that gives scores and no gradient: planes [N, channels, *size] in [0, 1] to [N, classes]."""

        def network(planes: torch.Tensor) -> torch.Tensor:
            import torch

            scores = np.asarray(predict(planes.detach().cpu().numpy()), np.float32)
            return torch.from_numpy(scores).to(planes.device)

        return cls(name, network, size, channels, classes=tuple(classes), differentiable=False)

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        """Logits of planes [N, C, h, w] in [0, 1] of any size, gray or RGB."""
        return self.network(self.prepared(planes))

    def prepared(self, planes: torch.Tensor) -> torch.Tensor:
        """What the network sees: its size, its number of channels, normalized."""
        import torch
        from torch.nn.functional import interpolate

        if planes.shape[1] != self.channels:
            planes = planes.mean(dim=1, keepdim=True).expand(-1, self.channels, -1, -1)
        if planes.shape[2:] != self.size:
            planes = interpolate(planes, self.size, mode="bilinear", antialias=True, align_corners=False)
        mean, deviation = (
            torch.tensor(values, dtype=planes.dtype, device=planes.device).view(1, -1, 1, 1)
            for values in (self.mean, self.deviation)
        )
        return ((planes - mean) / deviation).contiguous(memory_format=torch.channels_last)

    def class_number(self, label: str) -> int:
        """The index of the logit of a class, by name or, where no names are known, by number."""
        if label in self.classes:
            return self.classes.index(label)
        if not self.classes and label.isdigit():
            return int(label)
        known = ", ".join(self.classes) or "numbers from 0"
        raise Refused(f"the class '{label}' is unknown to the model {self.name}; it knows {known}")


def load_model(description: Path, trusted: bool, device: str) -> TargetModel:
    """The model that a JSON description names. Keys:

    kind (one of KINDS), file (beside the description), size [h, w], channels; optional mean and deviation (per channel,
    of images in [0, 1]) and classes (names). For monai also network (one of MONAI_NETWORKS) and arguments.
    Raises Refused for anything else, and for programs unless `trusted`.
    """
    said = _read(description)
    path = description.parent / said["file"]
    if Path(said["file"]).name != said["file"] or not path.is_file():
        raise Refused(f"{description}: there is no file '{said['file']}' beside it; put the weights into its folder")
    if said["kind"] != "monai" and not trusted:
        raise Refused(
            f"{path}: a {said['kind']} file is a program, which could do anything on this computer; if you trust who "
            "made it, say so with --trust-models"
        )
    content = path.read_bytes()
    loaders = {"torchscript": _torchscript, "exported": _exported, "monai": _monai}
    network, module = loaders[said["kind"]](path, io.BytesIO(content), said, trusted, device)
    return TargetModel(
        name=description.stem,
        network=network,
        size=(int(said["size"][0]), int(said["size"][1])),
        channels=int(said["channels"]),
        mean=tuple(map(float, said.get("mean", [0.0]))),
        deviation=tuple(map(float, said.get("deviation", [1.0]))),
        classes=tuple(map(str, said.get("classes", ()))),
        sha256=hashlib.sha256(content).hexdigest(),
        module=module,
    )


def _read(description: Path) -> dict[str, Any]:
    try:
        said = json.loads(description.read_bytes())
    except OSError as error:
        raise Refused(
            f"{description}: cannot be read ({error.strerror}); give the JSON description of a model"
        ) from None
    except ValueError:
        raise Refused(f"{description}: this is not JSON; --model takes the description of a model, see docs") from None
    needed = {"kind", "file", "size", "channels"}
    if not isinstance(said, dict) or not needed <= said.keys() or said["kind"] not in KINDS:
        raise Refused(
            f"{description}: the description of a model has {', '.join(sorted(needed))}, with kind one of "
            f"{', '.join(KINDS)}"
        )
    return said


def _torchscript(path: Path, content: io.BytesIO, said: dict[str, Any], trusted: bool, device: str) -> tuple[Any, None]:
    import torch

    try:
        return torch.jit.load(content, map_location=device).eval(), None
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _exported(path: Path, content: io.BytesIO, said: dict[str, Any], trusted: bool, device: str) -> tuple[Any, None]:
    import torch

    try:
        return torch.export.load(content).module().to(device), None
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _monai(path: Path, content: io.BytesIO, said: dict[str, Any], trusted: bool, device: str) -> tuple[Any, Any]:
    import torch

    name, arguments = said.get("network"), said.get("arguments", {})
    if name not in MONAI_NETWORKS or "pretrained" in arguments:
        raise Refused(
            f"{path}: the network must be one of {', '.join(MONAI_NETWORKS)}, without 'pretrained'; correct the "
            "description"
        )
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _SAFE_WEIGHTS_FROM and not trusted:
        raise Refused(
            f"{path}: PyTorch {torch.__version__} cannot load weights of strangers safely; update it to 2.6 or later, "
            "or say --trust-models if you trust who made the file"
        )
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MedUnlearnableError(f"the model {path.name} needs MONAI; install it with `pip install monai`") from error
    try:
        module = getattr(nets, name)(**arguments)
        module.load_state_dict(torch.load(content, map_location=device, weights_only=True))
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    module = module.to(device).eval()
    return module, module


def _damaged(path: Path, error: Exception) -> Refused:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Refused(f"{path}: the model cannot be loaded ({first_line[:150]}); check the file and its description")
