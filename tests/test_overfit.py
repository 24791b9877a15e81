"""What lesson 2 uses: arithmetic against torch's own layers and gradients, the loop, crops."""

import pytest
import torch
from torch import nn

from colorcourse.lesson02.overfit import Conv, activations, arithmetic, random_crops
from colorkit.models import DilatedCNN

STACKS = [
    [Conv(1, 4, 3, 1, 0, 1)],
    [Conv(1, 4, 5, 2, 1, 2), Conv(4, 3, 3, 1, 3, 3)],
    [Conv(2, 3, 3, 2, 1, 1), Conv(3, 3, 3, 2, 1, 1), Conv(3, 2, 3, 1, 1, 1)],
    [Conv(1, 2, 1, 3, 0, 1), Conv(2, 2, 4, 1, 2, 1)],
    [Conv(1, 8, padding=1), *(Conv(8, 8, padding=d, dilation=d) for d in (2, 4, 8, 1))],
]


@pytest.mark.parametrize("convs", STACKS)
def test_arithmetic_is_that_of_torchs_layers_and_what_a_gradient_reaches(convs):
    layers = (nn.Conv2d(c[0], c[1], c[2], stride=c[3], padding=c[4], dilation=c[5]) for c in convs)
    net = nn.Sequential(*layers).double()
    for p in net.parameters():
        p.data.fill_(1.0)  # so that no path cancels
    for size in (65, 40, 41, 45):
        x = torch.zeros(1, convs[0].channels_in, size, size).double().requires_grad_(size == 65)
        out = net(x)
        found, parameters, field = arithmetic(size, convs)
        assert found == out.shape[-1]
        assert parameters == sum(p.numel() for p in net.parameters())
        if size == 65:
            out[0, 0, found // 2, found // 2].backward()
            rows = x.grad[0].sum((0, 2)).nonzero().flatten()
            assert field == int(rows[-1] - rows[0] + 1)


def test_crops_are_windows_of_the_picture_and_follow_the_generator():
    picture = torch.arange(30 * 20.0).view(1, 1, 30, 20)
    crops = random_crops(picture, 5, 8, torch.Generator().manual_seed(3))
    for crop in crops:
        y, x = divmod(int(crop[0, 0, 0]), 20)
        assert torch.equal(crop, picture[0, :, y : y + 8, x : x + 8])
    assert torch.equal(crops, random_crops(picture, 5, 8, torch.Generator().manual_seed(3)))
    assert len({float(c[0, 0, 0]) for c in crops}) > 1
    with pytest.raises(ValueError, match="32 x 32 do not fit into a 30 x 20"):
        random_crops(picture, 2, 32, torch.Generator())


def test_every_group_is_looked_at_whatever_the_network_is_called():
    L = torch.rand(1, 1, 16, 16) * 100
    ours = activations(DilatedCNN(6), L)
    assert [tuple(a.shape) for a in ours] == [(1, 6, 16, 16)] * 5
    assert all((a >= 0).all() for a in ours)
    other = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    assert [a.shape[1] for a in activations(other, L)] == [3, 4]
