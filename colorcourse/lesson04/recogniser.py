"""A judge of colours: a network, trained on true ones, that recognises what a picture shows."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.color import join_lab
from colorkit.fit import fit
from colorkit.objects import ObjectColors
from colorkit.worlds import World

CELL = 4  # pixels a side that get one name
IGNORED = -1  # the label of surroundings


class Recogniser(nn.Module):
    """What each cell of 4 x 4 pixels shows: Lab (N, 3, H, W) to scores (N, kinds, H / 4, W / 4)."""

    def __init__(self, kinds: int, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, width, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ReLU()),
            nn.Conv2d(2 * width, kinds, 3, padding=1),
        )

    def forward(self, lab: Tensor) -> Tensor:
        return self.layers(lab / 50 - lab.new_tensor([1.0, 0, 0]).view(1, 3, 1, 1))


def train_recogniser(world: World, steps: int, seed: int = 0) -> Recogniser:
    """Train one on the true colours of a world, to tell its kinds apart."""
    number = torch.full((len(world.kinds),), IGNORED, dtype=torch.int8)
    for k, thing in enumerate(world.things):
        number[world.kinds.index(thing)] = k
    cells = []  # the commonest kind of each
    for kinds in world.kind_map[:, 0].split(50):
        blocks = number[kinds.int()].unfold(1, CELL, CELL).unfold(2, CELL, CELL)
        cells.append(blocks.flatten(3).mode(-1).values)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        lab, labels = batch
        return F.cross_entropy(model(lab), labels.long(), ignore_index=IGNORED)

    torch.manual_seed(seed)
    net = Recogniser(len(world.things))
    data = Batches((join_lab(world.L, world.ab), torch.cat(cells)), 32, seed=seed)
    fit(net, loss, data, steps, lr=3e-3, schedule="one-cycle", seed=seed, callbacks=())
    return net


@torch.no_grad()
def recognised_right(
    net: Recogniser, world: World, objects: ObjectColors, planes: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Which objects are recognised in recoloured pictures: float32 (M,) of 0 and 1, for each name.

    `planes` are ab (N, 2, H, W) of all pictures of the world, by name.
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
