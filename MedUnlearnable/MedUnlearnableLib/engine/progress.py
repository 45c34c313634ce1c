"""How a method says where it is. Who listens (an event file, a test, nobody) is not the engine's concern."""


class Progress:
    """Listens to nothing. Subclasses record the steps and raise `Cancelled` when the user wants to stop."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Called between steps, several times a second at most expense: `done` of `total` in `stage`."""

    def curve(self, name: str, step: int, value: float) -> None:
        """One point of a curve worth showing, such as a loss: at most a few hundred a training."""


class AsStage(Progress):
    """Passes steps on under one name, between others of it: for the user it is all one stage. No curves."""

    def __init__(self, progress: Progress, stage: str, before: int = 0, after: int = 0) -> None:
        self._progress = progress
        self._stage = stage
        self._before = before
        self._after = after

    def step(self, stage: str, done: int, total: int) -> None:
        self._progress.step(self._stage, self._before + done, self._before + total + self._after)
