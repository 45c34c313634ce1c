"""How a method says where it is. Who listens (an event file, a test, nobody) is not the engine's concern."""


class Progress:
    """Listens to nothing. Subclasses record the steps and raise `Cancelled` when the user wants to stop."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Called between steps, several times a second at most expense: `done` of `total` in `stage`."""

    def curve(self, name: str, step: int, value: float) -> None:
        """One point of a curve worth showing, such as a loss: at most a few hundred a training."""
