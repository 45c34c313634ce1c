"""The training of `standard` (ours): fresh attackers choose the carrier.

Which pattern a network takes for the segment depends on the tissue, so every layout is tried on the cohort. An attacker
who starts from nothing trains for a moment on samples that carry it, and segments clean ones it has not seen: without
augmentation, under nnU-Net's, and after a blur. The layout that leaves the lowest mean DSC is taken.

A search over a few patterns, because noise of generators that were trained together with a surrogate added nothing to a
checkerboard that could be measured (docs/umed.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..attack import AttackData, AttackSettings, attack
from ..carrier import LAYOUTS, Carrier
from ..method import State, Workspace
from ..progress import AsStage, Progress
from ..team import Team
from .plan import Plan
from .samples import Samples, perturbed

#: All have the same seed, so that layouts can be compared.
ATTACKERS = (AttackSettings(), AttackSettings(recipe="nnunet"), AttackSettings(defense="blur0.8"))
TRIALS = tuple((layout, attacker) for layout in LAYOUTS for attacker in ATTACKERS)
_TEST_EVERY = 8  # this one of so many samples is segmented clean, and not learned from


class CarrierSearch:
    """The trials that are over, each by its DSC on clean samples, in the order of TRIALS."""

    def __init__(self, plan: Plan, epsilon: float, device: str, team: Team | None = None) -> None:
        self.plan, self.epsilon, self.device, self.team = plan, epsilon, device, team or Team()
        self.scores: list[float] = []

    @property
    def is_over(self) -> bool:
        return len(self.scores) == len(TRIALS)

    @property
    def layout(self) -> str:
        """The best one, after the last trial; the first of equals."""
        return tuple(LAYOUTS)[int(np.reshape(self.scores, (len(LAYOUTS), -1)).mean(1).argmin())]

    def state(self) -> State:
        """All that a resumed search needs."""
        return State({"scores": self.scores})

    def load(self, state: State) -> None:
        """Goes on from `state`."""
        self.scores = list(state.header["scores"])

    def run(self, samples: Samples, workspace: Workspace, header: Mapping[str, Any]) -> None:
        """Tries what is left, each member of the team another trial; keeps the state with `header` after each."""
        import torch

        while not self.is_over:
            left = TRIALS[len(self.scores) :]
            scores = torch.zeros(self.team.size, dtype=torch.float64, device=self.device)
            if self.team.rank < len(left):
                scores[self.team.rank] = self._trial(samples, *left[self.team.rank], workspace.progress)
            self.team.add_up([scores])
            for (layout, attacker), score in zip(left, scores.tolist()):
                self.scores.append(score)
                workspace.progress.curve(f"DSC left by {layout}", ATTACKERS.index(attacker), score)
            if self.team.leads:
                workspace.keep(self.state().below(header))

    def _trial(self, samples: Samples, layout: str, attacker: AttackSettings, progress: Progress) -> float:
        """DSC on clean samples of an attacker who learned for a moment from those with this carrier."""
        before, after = (n * self.plan.iterations for n in (len(self.scores), len(TRIALS) - len(self.scores) - 1))
        heard = AsStage(progress, "train", before, after)
        return trial(samples, layout, attacker, self.plan, self.epsilon, self.device, heard)


def trial(
    samples: Samples,
    layout: str,
    attacker: AttackSettings,
    plan: Plan,
    epsilon: float,
    device: str,
    progress: Progress | None = None,
) -> float:
    """DSC on clean samples of one attacker; every eighth sample is held out."""
    test = np.arange(len(samples)) % _TEST_EVERY == 0
    data = AttackData(
        perturbed(samples, Carrier(1, **LAYOUTS[layout]), epsilon)[~test],
        samples["classes"][~test],
        samples["image"][test],
        samples["classes"][test],
    )
    settings = replace(
        attacker,
        steps=plan.iterations,
        batch_size=plan.batch,
        width=plan.width,
        window=(0, 1),
        curve_points=1,
        device=device,
    )
    return attack(data, settings, progress).dsc
