"""The settings of a run: few, with defaults that work."""

from dataclasses import asdict, dataclass

from colorkit.training.schedule import SCHEDULES

# What may change between stopping and going on: it does not touch the weights.
FREE = ("log_every", "checkpoint_every", "keep")


@dataclass(frozen=True)
class Options:
    """How to train.

    Parameters
    ----------
    steps : int
        Optimizer steps in all. For e epochs: ``e * len(data)``.
    lr, weight_decay : float
        Of AdamW.
    schedule : {"cosine", "one-cycle", "constant"}
    warmup : int
        Steps of a linear rise before "cosine" and "constant".
    clip : float, optional
        Largest norm of the gradient; None: as it comes.
    seed : int
        Of dropout and whatever else draws while training. Data sources have their own.
    validate_every : int, optional
        Steps between validations; None: 10 in a run.
    patience : int, optional
        Stop after so many validations in a row without a new best; None: never.
    keep : {"last", "best"}
        Which weights the model holds at the end.
    log_every : int, optional
        Steps between rows of the history; None: 200 in a run.
    checkpoint_every : int
        Steps between checkpoints; each validation writes one too.
    precision : {"auto", "float32", "bf16"}
    channels_last : bool, optional
        None: where it pays, as `colorkit.device.pick_precision` knows.
    compile : bool
        Whether torch.compile makes the forward pass; it pays in long runs only.
    """

    steps: int = 1000
    lr: float = 1e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup: int = 0
    clip: float | None = 1.0
    seed: int = 0
    validate_every: int | None = None
    patience: int | None = None
    keep: str = "last"
    log_every: int | None = None
    checkpoint_every: int = 500
    precision: str = "auto"
    channels_last: bool | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "validate_every", "patience", "log_every", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is a whole number of 1 or more, not {value!r}")
        if not self.lr > 0 or self.weight_decay < 0 or (self.clip is not None and self.clip <= 0):
            raise ValueError(
                "lr and clip are above 0, weight_decay is 0 or more, "
                f"not {self.lr}, {self.clip}, {self.weight_decay}"
            )
        self._one_of("schedule", SCHEDULES)
        self._one_of("keep", ("last", "best"))
        self._one_of("precision", ("auto", "float32", "bf16"))
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup is 0 to {self.steps - 1} steps, not {self.warmup}")

    def _one_of(self, name: str, values: tuple[str, ...]) -> None:
        if getattr(self, name) not in values:
            raise ValueError(f"{name} is one of {', '.join(values)}, not {getattr(self, name)!r}")

    def binding(self) -> dict:
        """The settings that a resumed run has to share."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
