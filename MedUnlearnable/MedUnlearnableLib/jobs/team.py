"""The processes of one run as a team that trains together, by torch.distributed: NCCL on CUDA, else Gloo.

They meet in a file of the job folder, so any launcher will do that numbers the processes, as for the cases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.errors import Refused
from ..engine.team import Team
from ..files.lock import Lock
from .share import TRAINING_FILE, Share

if TYPE_CHECKING:
    import torch

_MEETING_FILE = "meeting"
_PATIENCE = timedelta(minutes=5)  # a member that is silent for longer is gone


@dataclass(frozen=True)
class JobTeam(Team):
    """`folder`: of the job, shared by all members."""

    folder: Path = Path()

    @classmethod
    def of(cls, share: Share, job_folder: Path) -> Team:
        return Team() if share.is_alone else cls(share.rank, share.size, job_folder)

    @contextmanager
    def together(self, device: str) -> Iterator[None]:
        import torch.distributed as distributed

        meeting = self.folder.resolve() / _MEETING_FILE
        if self.leads:
            meeting.unlink(missing_ok=True)  # of a run that was killed
            if hasattr(os, "sync"):  # not on Windows
                os.sync()  # the others may read what was kept on another machine
            Lock.take(self.folder / TRAINING_FILE)  # held to the end of this process: the others join
        backend = "nccl" if device == "cuda" else "gloo"
        try:
            distributed.init_process_group(
                backend, meeting.as_uri(), rank=self.rank, world_size=self.size, timeout=_PATIENCE
            )
        except RuntimeError:
            raise Refused(f"rank {self.rank} of {self.size}: the others have not come to train together") from None
        try:
            yield
        finally:
            distributed.destroy_process_group()

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        import torch
        import torch.distributed as distributed

        flat = torch.cat([tensor.flatten() for tensor in tensors])
        try:
            distributed.all_reduce(flat)
        except RuntimeError:
            raise Refused("another process of the training has ended; start all again with --resume") from None
        for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(summed.view_as(tensor))
