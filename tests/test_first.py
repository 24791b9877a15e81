"""The first network and its arithmetic, against torch's own layers and gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from colorkit.models.cnn import (
    Conv,
    DilatedCNN,
    activations,
    arithmetic,
    fit,
    liveliest,
    random_crops,
)

STACKS = [
    [Conv(1, 4, 3, 1, 0, 1)],
    [Conv(1, 4, 5, 2, 1, 2), Conv(4, 3, 3, 1, 3, 3)],
    [Conv(2, 3, 3, 2, 1, 1), Conv(3, 3, 3, 2, 1, 1), Conv(3, 2, 3, 1, 1, 1)],
    [Conv(1, 2, 1, 3, 0, 1), Conv(2, 2, 4, 1, 2, 1)],
]


def torch_stack(convs):
    return nn.Sequential(
        *(nn.Conv2d(c[0], c[1], c[2], stride=c[3], padding=c[4], dilation=c[5]) for c in convs)
    ).double()


@pytest.mark.parametrize("convs", STACKS)
@pytest.mark.parametrize("size", [40, 41, 45])
def test_size_and_parameters_are_those_of_torchs_layers(convs, size):
    net = torch_stack(convs)
    out = net(torch.zeros(1, convs[0].channels_in, size, size, dtype=torch.float64))
    got_size, parameters, _ = arithmetic(size, convs)
    assert got_size == out.shape[-1]
    assert parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("convs", STACKS)
def test_receptive_field_is_what_the_gradient_reaches(convs):
    net = torch_stack(convs)
    for p in net.parameters():
        p.data.fill_(1.0)  # so that no path cancels
    x = torch.zeros(1, convs[0].channels_in, 65, 65, dtype=torch.float64, requires_grad=True)
    out = net(x)
    middle = out.shape[-1] // 2
    out[0, 0, middle, middle].backward()
    rows = x.grad[0].sum((0, 2)).nonzero().flatten()
    assert arithmetic(65, convs)[2] == int(rows[-1] - rows[0] + 1)


def test_network_keeps_the_size_and_sees_33_pixels():
    plan = [Conv(1, 8, padding=d, dilation=d) for d in (1, 2, 4, 8, 1)]
    assert arithmetic(40, plan)[2] == 33
    assert DilatedCNN(8)(torch.rand(2, 1, 24, 31) * 100).shape == (2, 2, 24, 31)


def test_a_fresh_network_gives_colours_of_sensible_size_from_raw_lightness():
    for seed in range(3):
        torch.manual_seed(seed)
        ab = DilatedCNN(16).colorize(torch.rand(1, 1, 48, 48) * 100)
        assert not ab.requires_grad
        assert 1 < ab.std() < 60


def test_training_overfits_a_picture_whose_colours_depend_on_lightness():
    torch.manual_seed(0)
    L = F.interpolate(torch.rand(1, 1, 6, 6) * 100, (24, 24), mode="bicubic").clamp(0, 100)
    ab = torch.cat([40 * torch.sin(L / 15), 0.4 * L - 30], dim=1)
    seen = []
    losses = fit(DilatedCNN(12), lambda: (L, ab), 80, 1e-2, seen.append)
    assert seen == list(range(1, 81))
    assert losses[-1] < 0.05 * ab.square().mean()


def test_crops_are_windows_of_the_picture_and_follow_the_generator():
    picture = torch.arange(30 * 20.0).view(1, 1, 30, 20)
    crops = random_crops(picture, 5, 8, torch.Generator().manual_seed(3))
    for crop in crops:
        y, x = divmod(int(crop[0, 0, 0]), 20)
        assert torch.equal(crop, picture[0, :, y : y + 8, x : x + 8])
    again = random_crops(picture, 5, 8, torch.Generator().manual_seed(3))
    assert torch.equal(crops, again)
    assert len({float(c[0, 0, 0]) for c in crops}) > 1


def test_crops_larger_than_the_picture_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match="32 x 32 do not fit into a 20 x 30"):
        random_crops(torch.zeros(1, 3, 20, 30), 2, 32, torch.Generator())


def test_every_group_is_looked_at_whatever_the_network_is_called():
    L = torch.rand(1, 1, 16, 16) * 100
    ours = activations(DilatedCNN(6), L)
    assert [tuple(a.shape) for a in ours] == [(1, 6, 16, 16)] * 5
    assert all((a >= 0).all() for a in ours)
    other = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    assert [a.shape[1] for a in activations(other, L)] == [3, 4]


def test_liveliest_channels_come_in_order_of_variance():
    noise = torch.randn(1, 1, 50, 50)
    channels = torch.cat([noise * s + 7 for s in (1.0, 5.0, 3.0, 0.0)], dim=1)
    top = liveliest(channels, 3)
    assert torch.equal(top, channels[:, [1, 2, 0]])
