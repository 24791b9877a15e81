"""What lesson 2 measures: arithmetic against torch's own layers, steps downhill, crops."""

import pytest
import torch
from torch import nn

from colorcourse.lesson02 import overfit
from colorcourse.lesson02.exercises import arithmetic, fit
from colorcourse.lesson02.overfit import Conv, random_crops
from colorkit.models import DilatedCNN

STACKS = [
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


def test_small_steps_keep_what_the_gradient_promises_and_adam_moves_every_weight_by_lr():
    torch.manual_seed(0)
    net, L, ab = DilatedCNN(4), 100 * torch.rand(1, 1, 16, 16), 30 * torch.randn(1, 2, 16, 16)
    nn.functional.mse_loss(net(L), ab).backward()
    steps = overfit.downhill(net, L, ab, (1e-7, 1.0))
    assert steps.promised.iloc[0] == pytest.approx(steps.measured.iloc[0], rel=1e-3)
    assert overfit.step_sizes(net, 0.01).loc["Adam"].tolist() == pytest.approx([0.01] * 3, rel=0.01)


def test_batches_are_compared_at_equal_steps_and_at_equal_crops():
    runs = overfit.batch_runs(fit, lambda: DilatedCNN(2), 50 * torch.rand(1, 3, 24, 24), 8, 40, 0)
    assert [len(errors) for errors in runs.values()] == [160, 40, 40]
    table = overfit.batch_table({1: range(160), 4: [5.0] * 40, 16: range(100, 140)})
    assert table.to_numpy().tolist() == [[35, 5, 138], [155, 5, 108]]


def test_the_recorded_study_shows_what_the_lesson_says():
    mean = overfit.recorded_batches().map(lambda text: float(text.split()[0]))
    steps, crops = mean["after equal steps"], mean["after equal crops"]
    assert steps.loc["none", 16] < steps.loc["none", 1]
    assert crops.loc["none"].is_monotonic_increasing
    assert crops.loc["batch"].idxmin() == 4
    assert mean.loc["instance"].min() == 229
    assert all(x.loc[["none", "batch"], 16].between(80, 150).all() for x in (steps, crops))
