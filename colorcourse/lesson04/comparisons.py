"""What lesson 4 compares: rare and common colours, moments of a run, weights right and wrong."""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from colorkit.bins import Targets, pixel_weights, soft_cross_entropy
from colorkit.color import join_lab, lab_to_rgb
from colorkit.data.pictures import Pair
from colorkit.evaluate import score_models, table
from colorkit.losses import Classification, middle_pixels
from colorkit.metrics import ab_error, colorfulness, nearest_bin, share_within
from colorkit.models import Colorizer
from colorkit.models.colorizer import evaluating


def dense_targets(targets: object, bins: Tensor) -> object:
    """A pair (indices, weights), (M, K) each, as weights (M, Q); all else as it is."""
    pair = isinstance(targets, tuple | list) and len(targets) == 2
    if not pair or not all(isinstance(part, Tensor) for part in targets):
        return targets
    indices, weights = targets
    if indices.is_floating_point() or indices.shape != weights.shape or indices.ndim != 2:
        raise ValueError("a pair is (indices, weights), both (M, K), indices as whole numbers")
    return weights.new_zeros(len(weights), len(bins)).scatter_add(1, indices.long(), weights)


def rare_and_common(
    models: Mapping[str, Colorizer], pair: Pair, prior: Tensor, bins: Tensor, share: float = 0.1
) -> pd.DataFrame:
    """The share of pixels within 10 of the truth, among rare and among other colours.

    The rarest bins that together hold `share` of the prior p (Q,) are rare. A row a model: rare,
    common, colorfulness_ratio, auc_rebalanced.
    """
    L, ab = pair
    p, order = prior.cpu().sort()
    rare = torch.zeros(len(bins), dtype=torch.bool)
    rare[order] = p.cumsum(0) <= share
    seldom = rare[nearest_bin(ab, bins.cpu())]
    columns = ["colorfulness_ratio", "auc_rebalanced"]
    frame = table(score_models(models, zip(L.split(50), ab.split(50), strict=True), columns))
    for name, model in models.items():
        guess = torch.cat([model.colorize(part).to(ab) for part in L.split(50)])
        near = (ab_error(guess, ab) <= 10).double()
        frame.loc[name, "rare"] = near[seldom].mean().item()
        frame.loc[name, "common"] = near[~seldom].mean().item()
    return frame[["rare", "common", "colorfulness_ratio", "auc_rebalanced"]]


class Watch:
    """A callback that scores a classifier while it trains: a row after every so many steps.

    `loss` is the cross-entropy, ``loss(model, batch)``; `seen` and `unseen` are (L, ab): pictures
    that it is trained on, and others.
    """

    def __init__(self, loss: Callable, seen: Pair, unseen: Pair, every: int) -> None:
        self.loss, self.every, self.rows = loss, every, []
        self.pairs = {"seen": seen, "unseen": unseen}
        self._vivid = _colorfulness(*unseen)

    def __call__(self, run) -> None:
        """Score, where due; `fit` calls this after each step."""
        if run.step % self.every:
            return
        net, entropy, device = run.model, {}, next(run.model.parameters()).device
        with evaluating(net), torch.no_grad():
            for name, pair in self.pairs.items():
                entropy[name] = float(self.loss(net, tuple(plane.to(device) for plane in pair)))
        L, ab = self.pairs["unseen"]
        guess = net.colorize(L)
        scores = {
            "within_10": share_within(guess, ab).mean().item(),
            "colorfulness_ratio": _colorfulness(L, guess) / self._vivid,
        }
        self.rows.append({"step": run.step, **entropy, **scores})

    def frame(self) -> pd.DataFrame:
        """The rows, indexed by step."""
        return pd.DataFrame(self.rows).set_index("step")


def _colorfulness(L: Tensor, ab: Tensor) -> float:
    return colorfulness(lab_to_rgb(join_lab(L, ab))).mean().item()


def reshaped_weights(targets: Targets, weights: Tensor) -> Tensor:
    """Weights of pixels (N, 1, H, W), as public code has taken them: with a mistake.

    Dense targets (N, Q, H, W) are reshaped to rows of Q numbers, without moving the bins to the
    end first. A row then holds one bin at Q pixels, not Q bins at one pixel.
    """
    count, _, *size = targets.indices.shape
    dense = targets.weights.new_zeros(count, len(weights), *size)
    rows = dense.scatter_(1, targets.indices, targets.weights).reshape(-1, len(weights))
    return weights.to(rows)[rows.argmax(1)].view(count, 1, *size)


def weighted(base: Classification, weights: Tensor, rule: Callable = pixel_weights) -> Callable:
    """A loss with weights (Q,) of the bins, and a rule to make weights of pixels of them.

    ``rule(targets, weights)`` gives (N, 1, H, W). The table of the soft encoding, which takes a
    second to make, is that of `base`.
    """

    def loss(model: nn.Module, batch: Pair) -> Tensor:
        L, ab = batch
        logits = model(L)
        targets = base.encoder(middle_pixels(ab, logits.shape[2:]))
        return soft_cross_entropy(logits, targets, rule(targets, weights))

    return loss
