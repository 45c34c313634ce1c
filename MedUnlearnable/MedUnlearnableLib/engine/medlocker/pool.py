"""The target models of a run: given, loaded or trained, with what they are worth on clean images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import CaseSource
from ..errors import Refused
from ..method import State, Workspace
from ..streams import RandomStreams
from .cohort import LabeledPlanes, accuracy, labeled_planes, split
from .networks import seeded_target
from .params import MedLockerParams
from .targets import TargetModel, load_model
from .training import DEVIATION, MEAN, TrainingSettings, set_weights, train_classifier, weights_of, weights_sha256

#: Trained where no model is given: a mark that misleads two architectures misleads others more often.
TRAINED = ("residual", "plain")
#: The resolution of what is trained here.
TRAINED_SIZE = (128, 128)
_TRAINING = "training/"


class TargetPool:
    """`models` are ready after `prepare` or `load`. `accuracy`: by model, on labeled cases it was not trained on."""

    def __init__(self, params: MedLockerParams, streams: RandomStreams, given: Sequence[TargetModel] = ()) -> None:
        self.params = params
        self.streams = streams
        self.models = list(given)
        self.accuracy: dict[str, float] = {}
        self.chance = 0.0  # accuracy of naming the most frequent class
        self._trained: dict[str, dict[str, Any]] = {}  # what it takes to build a trained one again
        self._arrays: dict[str, NDArray[Any]] = {}  # "<architecture>/<weight>", and "training/..." of an unfinished one
        self._training: dict[str, Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """The resolution of the search: that of the finest model."""
        return max((model.size for model in self.models), key=lambda size: size[0] * size[1])

    def prepare(self, cases: CaseSource, workspace: Workspace, keep: Callable[[], None]) -> None:
        """Loads or trains the models and tests them on clean images. `keep` is called after each epoch."""
        self.load(workspace.device)
        if self.accuracy:
            return
        size = self.size if self.models else TRAINED_SIZE
        data = labeled_planes(cases, self.params, size, self.streams, workspace)
        if data is None:
            if not self.models:
                raise Refused("there is no model to mislead; give one with --model, or --classes to train one")
            return
        test = data
        if not self.models:
            train, test = split(data, self.streams)
            for architecture in TRAINED:
                self.models.append(self._train(architecture, train, workspace, keep))
        self.chance = max(test.labels.count(name) for name in test.names) / max(1, len(test.labels))
        for model in self.models:
            self.accuracy[model.name] = accuracy(model, test, workspace.device)
            workspace.progress.curve(f"clean accuracy of {model.name}", 0, self.accuracy[model.name])
        keep()

    def load(self, device: str) -> None:
        """The given files, or the networks of a saved state."""
        if self.models:
            return
        if self.params.models:
            self.models = [load_model(Path(path), self.params.trust_models, device) for path in self.params.models]
        elif len(self._trained) == len(TRAINED):
            self.models = [self._built(architecture, device) for architecture in self._trained]

    def header(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy,
            "chance": self.chance,
            "trained": self._trained,
            "training": self._training,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        return dict(self._arrays)

    def take_up(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Goes on from what `header` and `arrays` gave."""
        self.accuracy, self.chance = dict(header["accuracy"]), header["chance"]
        self._trained, self._training = dict(header["trained"]), header["training"]
        self._arrays = dict(arrays)

    def _train(
        self, architecture: str, data: LabeledPlanes, workspace: Workspace, keep: Callable[[], None]
    ) -> TargetModel:
        if architecture not in self._trained:
            settings = TrainingSettings(architecture)
            labels = np.array([data.names.index(label) for label in data.labels])
            inner = _InnerWorkspace(workspace, self, keep)
            streams = RandomStreams(self.streams.generator(f"target {architecture}").bytes(16))
            network = train_classifier(data.planes, labels, settings, streams, inner, len(data.names))
            self._drop_training()
            self._arrays |= {f"{architecture}/{name}": array for name, array in weights_of(network).items()}
            self._trained[architecture] = {
                "settings": asdict(settings),
                "channels": data.planes.shape[1],
                "classes": list(data.names),
            }
            keep()
        return self._built(architecture, workspace.device)

    def _built(self, architecture: str, device: str) -> TargetModel:
        import torch

        said = self._trained[architecture]
        settings = TrainingSettings(**said["settings"])
        network = seeded_target(0, architecture, said["channels"], len(said["classes"]), settings.width)
        prefix = f"{architecture}/"
        weights = {name[len(prefix) :]: a for name, a in self._arrays.items() if name.startswith(prefix)}
        set_weights(network, weights)
        layout: dict[str, Any] = {"memory_format": torch.channels_last}  # torch's own stubs do not know this argument
        network = network.to(device, **layout).eval()
        return TargetModel(
            architecture, network, TRAINED_SIZE, said["channels"], (MEAN,), (DEVIATION,), tuple(said["classes"]),
            weights_sha256(weights), network,
        )  # fmt: skip

    def training_state(self) -> State | None:
        """Of the target model whose training was interrupted."""
        if self._training is None:
            return None
        arrays = {name[len(_TRAINING) :]: a for name, a in self._arrays.items() if name.startswith(_TRAINING)}
        return State(self._training, arrays)

    def keep_training(self, state: State) -> None:
        self._drop_training()
        self._training = state.header
        self._arrays |= {f"{_TRAINING}{name}": array for name, array in state.arrays.items()}

    def _drop_training(self) -> None:
        self._training = None
        self._arrays = {name: a for name, a in self._arrays.items() if not name.startswith(_TRAINING)}


class _InnerWorkspace(Workspace):
    """The workspace of a training inside a run: what it keeps becomes a part of what the run keeps."""

    def __init__(self, outer: Workspace, pool: TargetPool, keep: Callable[[], None]) -> None:
        super().__init__(outer.progress, outer.device)
        self._pool = pool
        self._keep_all = keep

    def kept(self) -> State | None:
        return self._pool.training_state()

    def keep(self, state: State) -> None:
        self._pool.keep_training(state)
        self._keep_all()
