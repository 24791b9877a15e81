"""What two processes do in the tests of distributed training: started by torchrun."""

import signal
import sys
from pathlib import Path

import torch

from colorkit import distributed
from colorkit.batches import Batches
from colorkit.training import checkpoint
from colorkit.training.config import read, train_config
from colorkit.training.fit import fit
from colorkit.training.options import Options
from tests.training_demo import Net, double_game, mse, pictures


class InterruptOne:
    """Ctrl-C that only the second process hears."""

    def stepped(self, run) -> None:
        if run.step == 5 and distributed.rank() == 1:
            signal.raise_signal(signal.SIGINT)


def dropout_run(folder: Path, callbacks=()):
    """A run in which each process draws its own random numbers."""
    torch.manual_seed(1)
    return fit(
        Net(norm=False, dropout=0.5),
        mse,
        Batches(pictures(), 4),
        Options(steps=12, validate_every=4),
        validation=Batches(pictures(5), 3, in_order=True),  # shares of 2 and 1, then of 1 and 1
        callbacks=callbacks,
        folder=folder,
        resume=True,
        device="cpu",
    )


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with distributed.process_group("cpu"):
        for name in ("plain", "weighted", "classes"):
            train_config(read(folder / f"{name}.toml"), device="cpu")
        double_game(folder / "game")
        stopped = dropout_run(folder / "stopped", [InterruptOne()])
        steps = distributed.gather((stopped.stopped, stopped.step))
        whole, resumed = dropout_run(folder / "whole"), dropout_run(folder / "stopped")
        pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
        same = all(torch.equal(a, b) for a, b in pairs)
        draws = distributed.gather(torch.rand(1).item())
        result = {
            "stopped": steps,
            "same": distributed.gather(same),
            "draws": draws,
            "validation": whole.best,
            "writers": distributed.gather(distributed.is_main()),
        }
        if distributed.is_main():
            checkpoint.save(folder / "result.pt", result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
