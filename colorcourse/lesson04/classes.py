"""What lesson 4 measures: a namer of fruit, rare and common colours, a watched run, bad weights."""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.bins import Targets, pixel_weights, soft_cross_entropy
from colorkit.color import join_lab, lab_to_rgb
from colorkit.data.pictures import Pair
from colorkit.evaluate import HasColorize, score_models, table
from colorkit.metrics import ab_error, colorfulness, nearest_bin, share_within
from colorkit.objects import ObjectColors
from colorkit.training.fit import fit
from colorkit.training.objectives import Classification, middle_pixels
from colorkit.training.options import Options
from colorkit.worlds import World

CELL = 4  # pixels a side that get one name
_IGNORED = -1


def dense_targets(targets: object, bins: Tensor) -> object:
    """A pair (indices, weights), (M, K) each, as weights (M, Q); all else as it is."""
    pair = isinstance(targets, tuple | list) and len(targets) == 2
    if not pair or not all(isinstance(part, Tensor) for part in targets):
        return targets
    indices, weights = targets
    if indices.is_floating_point() or indices.shape != weights.shape or indices.ndim != 2:
        raise ValueError("a pair is (indices, weights), both (M, K), indices as whole numbers")
    return weights.new_zeros(len(weights), len(bins)).scatter_add(1, indices.long(), weights)


class Namer(nn.Module):
    """Names what each cell of 4 x 4 pixels shows, from its colours: Lab (N, 3, H, W) to scores.

    It sees 23 pixels around, so shape helps it too.
    """

    def __init__(self, kinds: int, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, width, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ReLU()),
            nn.Conv2d(2 * width, kinds, 3, padding=1),
        )

    def forward(self, lab: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, kinds, H / 4, W / 4)."""
        return self.layers(lab / 50 - lab.new_tensor([1.0, 0, 0]).view(1, 3, 1, 1))


def train_namer(world: World, steps: int, batch: int = 32, seed: int = 0) -> Namer:
    """Train a `Namer` on the true colours of a world, to tell its things apart."""
    cells = _named_cells(world)
    lab = join_lab(world.L, world.ab)
    torch.manual_seed(seed)
    net = Namer(len(world.things))
    options = Options(steps=steps, lr=3e-3, schedule="one-cycle", seed=seed)
    fit(net, _name_loss, Batches((lab, cells), batch, seed=seed), options, callbacks=())
    return net


@torch.no_grad()
def named_right(
    net: Namer, world: World, objects: ObjectColors, planes: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Which objects the namer names right, when it looks at recoloured pictures.

    Parameters
    ----------
    planes : mapping of str to Tensor
        Name to ab (N, 2, H, W), of all pictures of the world.

    Returns
    -------
    dict of str to Tensor
        float32 (M,) of 0 and 1, a number an object.
    """
    right = {name: [] for name in planes}
    device = next(net.parameters()).device
    where = F.avg_pool2d(objects.visible.float(), CELL)  # (M, 1, h, w): how much of each cell
    for name, ab in planes.items():
        lab = join_lab(world.L, ab)
        scores = torch.cat([net(part.to(device)).log_softmax(1).cpu() for part in lab.split(50)])
        for at, share in zip(objects.table.itertuples(), where, strict=True):
            best = (scores[at.picture] * share).sum((1, 2)).argmax()
            right[name].append(float(world.things[best] == at.kind))
    return {name: torch.tensor(values) for name, values in right.items()}


def _named_cells(world: World) -> Tensor:
    """The commonest thing of each cell, (N, H / 4, W / 4); surroundings are -1."""
    number = torch.full((len(world.kinds),), _IGNORED, dtype=torch.int8)
    for k, thing in enumerate(world.things):
        number[world.kinds.index(thing)] = k
    parts = [
        number[kinds.int()].unfold(1, CELL, CELL).unfold(2, CELL, CELL).flatten(3).mode(-1).values
        for kinds in world.kind_map[:, 0].split(50)
    ]
    return torch.cat(parts)


def _name_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    lab, cells = batch
    return F.cross_entropy(model(lab), cells.long(), ignore_index=_IGNORED)


def rare_and_common(
    models: Mapping[str, HasColorize], pair: Pair, prior: Tensor, bins: Tensor, share: float = 0.1
) -> pd.DataFrame:
    """The share of pixels within 10 of the truth, among rare and among other colours.

    Parameters
    ----------
    pair : (L, ab)
    prior : Tensor
        p (Q,): the rarest bins that together hold `share` of it are rare.

    Returns
    -------
    DataFrame
        A row a model: rare, common, colorfulness_ratio, auc_rebalanced.
    """
    L, ab = pair
    p, order = prior.cpu().sort()
    rare = torch.zeros(len(bins), dtype=torch.bool)
    rare[order] = p.cumsum(0) <= share
    seldom = rare[nearest_bin(ab, bins.cpu())]
    columns = ["colorfulness_ratio", "auc_rebalanced"]
    frame = table(score_models(models, zip(L.split(50), ab.split(50), strict=True), columns))
    for name, model in models.items():
        near = torch.cat(
            [
                ab_error(model.colorize(x), y) <= 10
                for x, y in zip(L.split(50), ab.split(50), strict=True)
            ]
        ).double()
        frame.loc[name, "rare"] = near[seldom].mean().item()
        frame.loc[name, "common"] = near[~seldom].mean().item()
    return frame[["rare", "common", "colorfulness_ratio", "auc_rebalanced"]]


class Watch:
    """A callback that scores a classifier while it trains: every so many steps a row.

    Parameters
    ----------
    seen, unseen : (L, ab)
        Pictures that it is trained on, and others.
    every : int
        Steps.
    """

    def __init__(self, seen: Pair, unseen: Pair, every: int) -> None:
        self.pairs, self.every, self.rows = {"seen": seen, "unseen": unseen}, every, []
        self._vivid = _colorfulness(*unseen)

    def stepped(self, run) -> None:
        """Score, where due; `fit` calls this."""
        if run.step % self.every:
            return
        net, entropy = run.model, {}
        net.eval()
        with torch.no_grad():
            for name, pair in self.pairs.items():
                L, ab = (plane.to(run.device) for plane in pair)
                entropy[name] = float(run.loss(net, (L, ab)))
        net.train()
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


class Weighted:
    """An objective with weights of the bins, and a rule that makes weights of pixels from them.

    Parameters
    ----------
    base : Classification
        Its table of the soft encoding, which takes a second to make, is shared.
    weights : Tensor
        (Q,).
    rule : callable
        ``rule(targets, weights)`` gives (N, 1, H, W).
    """

    def __init__(
        self,
        base: Classification,
        weights: Tensor,
        rule: Callable[[Targets, Tensor], Tensor] = pixel_weights,
    ) -> None:
        self.encoder, self.weights, self.rule = base.encoder, weights, rule

    def __call__(self, model: nn.Module, batch: Pair) -> Tensor:
        L, ab = batch
        logits = model(L)
        targets = self.encoder(middle_pixels(ab, logits.shape[2:]))
        return soft_cross_entropy(logits, targets, self.rule(targets, self.weights))
