"""Classifiers on any trunk: shapes, decoding, samples that hold together, and training."""

import math

import pytest
import torch

from colorkit.bins import annealed_mean
from colorkit.color import out_of_gamut
from colorkit.losses import Classification, middle_pixels
from colorkit.metrics import nearest_bin
from colorkit.models import Classifier, DilatedCNN, ResNetColorizer, UNet, ZhangNet
from colorkit.worlds import orchard

TRUNKS = {
    "Zhang": (lambda: ZhangNet(2), 4),
    "U-Net": (lambda: UNet(4), 4),
    "U-Net, half": (lambda: UNet(4), 2),
    "ResNet": (lambda: ResNetColorizer(encoder_width=4, width=2), 4),
}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Classifier(ZhangNet(2)).eval()


@pytest.fixture(scope="module")
def batch():
    world = orchard(4, 32)
    return world.L, world.ab


class Told(Classifier):
    """A classifier whose logits are given: left half red or green, right half blue."""

    def __init__(self, red: float = 0.6) -> None:
        super().__init__(ZhangNet(1))
        self.told = torch.full((1, 313, 8, 8), -30.0)
        colours = torch.tensor([[50.0, 30.0], [-50.0, 40.0], [0.0, -40.0]])
        red_bin, green_bin, blue_bin = torch.cdist(colours, self.bins).argmin(1).tolist()
        self.told[:, red_bin, :, :4] = math.log(red)
        self.told[:, green_bin, :, :4] = math.log(1 - red)
        self.told[:, blue_bin, :, 4:] = 0.0

    def forward(self, L):
        return self.told.expand(len(L), -1, -1, -1)


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("size", [(32, 64), (45, 30)])
def test_any_trunk_gives_logits_at_a_part_of_the_size(name, size):
    make, scale = TRUNKS[name]
    net = Classifier(make(), scale=scale)
    L = torch.rand(2, 1, *size) * 100
    part = tuple(-(-side // scale) for side in size)
    assert net(L).shape == (2, 313, *part)
    assert torch.allclose(net.distribution(L).sum(1), torch.ones(2, *part))
    assert net.colorize(L).shape == (2, 2, *size)
    assert net.samples(L, 3).shape == (3, 2, 2, *size)


@pytest.mark.parametrize("hidden", [0, 20])
@pytest.mark.parametrize("name", TRUNKS)
def test_every_weight_that_is_kept_is_trained(name, hidden, batch):
    """Else distributed training fails, and what is trained is not what was meant."""
    make, scale = TRUNKS[name]
    net = Classifier(make(), scale=scale, hidden=hidden)
    Classification()(net, batch).backward()
    assert [k for k, p in net.named_parameters() if p.grad is None] == []


def test_networks_without_a_trunk_and_wrong_scales_are_refused():
    with pytest.raises(TypeError, match="a DilatedCNN has no trunk"):
        Classifier(DilatedCNN())
    with pytest.raises(ValueError, match="scale is 4, not 2"):
        Classifier(ZhangNet(2), scale=2)
    with pytest.raises(ValueError, match="power of 2"):
        Classifier(UNet(4), scale=3)


@pytest.mark.parametrize("hidden", [0, 64])
def test_first_loss_is_about_ln_313(hidden, batch):
    net = Classifier(ZhangNet(2), hidden=hidden)
    assert Classification()(net, batch).item() == pytest.approx(math.log(313), abs=0.25)


def test_colours_are_decoded_then_enlarged_smoothly_then_fitted(net):
    L = torch.rand(1, 1, 32, 32) * 100
    small = annealed_mean(net.logits(L), net.bins, 0.38)
    ab, enlarged = net.colorize(L), net.predict(L)
    torch.testing.assert_close(enlarged[..., 2::4, 2::4], small)
    inside = ~out_of_gamut(L, enlarged).expand_as(ab)
    torch.testing.assert_close(ab[inside], enlarged[inside])
    assert not out_of_gamut(L, ab).any()


def test_temperature_leads_from_brown_to_red():
    net, L = Told(), torch.full((1, 1, 32, 32), 55.0)
    for temperature, colour in ((1.0, [10.0, 34.0]), (0.02, [50.0, 30.0])):
        ab = net.colorize(L, temperature=temperature)[0, :, 16, 4]
        torch.testing.assert_close(ab, torch.tensor(colour), atol=0.1, rtol=0)


def test_samples_are_one_colour_a_thing_in_the_predicted_shares():
    net, L = Told(red=0.6), torch.full((2, 1, 32, 32), 55.0)
    samples = net.samples(L, 200)
    thing = samples[..., :, :12]
    assert torch.allclose(thing, thing[..., :1, :1], atol=1e-4)
    red = (thing[..., 0, 0] - torch.tensor([50.0, 30.0])).norm(dim=-1) < 1
    green = thing[:, :, 0, 0, 0] < -40
    assert (red | green).all()  # never the brown between
    assert (red.float().mean(0) - 0.6).abs().max() <= 0.1
    assert (red[:, 0] != red[:, 1]).any()  # each picture draws for itself
    blue = samples[..., 16, 28]
    assert torch.allclose(blue, blue[:1, :1], atol=1e-3)
    assert torch.equal(samples, net.samples(L, 200))
    assert not torch.equal(samples, net.samples(L, 200, seed=6))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(16, 24), (18, 21)])
def test_colours_come_back_to_the_pixels_that_they_were_taken_from(scale, size):
    height, width = size
    axes = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ramp = torch.stack(axes).float()[None]
    cells = tuple(-(-side // scale) for side in size)
    back = Classifier(UNet(4, 3), scale=scale).enlarge(middle_pixels(ramp, cells), ramp[:, :1])
    assert back.shape == ramp.shape
    inside = (..., slice(scale, height - 2 * scale), slice(scale, width - 2 * scale))
    assert torch.allclose(back[inside], ramp[inside], atol=1e-4)


def test_targets_are_colours_of_middle_pixels_not_means():
    ab = torch.zeros(1, 2, 8, 10)
    ab[:, 0] = torch.arange(80.0).view(8, 10)
    assert middle_pixels(ab, (2, 3))[0, 0].tolist() == [[22, 26, 29], [62, 66, 69]]
    assert torch.equal(middle_pixels(ab, (8, 10)), ab)
    with pytest.raises(ValueError, match="logits of 3 x 3"):
        middle_pixels(ab, (3, 3))


def test_objective_is_the_definition_with_the_weights_of_the_true_bins(net, batch):
    L, ab = batch
    weights = torch.rand(313) * 5
    objective = Classification(weights=weights)
    small = ab[:, :, 2::4, 2::4]
    targets = objective.encoder(small)
    log_p = net(L).log_softmax(1).gather(1, targets.indices)
    nearest = nearest_bin(small, net.bins)
    expected = (weights[nearest] * -(targets.weights * log_p).sum(1)).mean()
    assert objective(net, batch).item() == pytest.approx(expected.item(), rel=1e-4)
    with pytest.raises(ValueError, match="one a bin"):
        Classification(weights=torch.ones(1, 1, 8, 8))
