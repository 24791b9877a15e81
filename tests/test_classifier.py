"""Classifiers on any trunk: shapes, decoding, samples that hold together, and training."""

import math

import pytest
import torch

from colorkit.batches import Batches
from colorkit.bins import SoftEncoder, annealed_mean, soft_cross_entropy, soft_encode
from colorkit.color import out_of_gamut
from colorkit.models import Classifier, DilatedCNN, ResNetColorizer, UNet, ZhangNet
from colorkit.training.config import train_config
from colorkit.training.fit import fit
from colorkit.training.objectives import Classification, middle_pixels
from colorkit.training.options import Options
from colorkit.worlds import orchard

TRUNKS = {
    "eight groups": (lambda: ZhangNet(2), 4),
    "U-Net": (lambda: UNet(4), 4),
    "U-Net, half": (lambda: UNet(4), 2),
    "ResNet": (lambda: ResNetColorizer(encoder_width=4, width=2), 4),
}


@pytest.fixture(scope="module")
def objective():
    return Classification()


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Classifier(ZhangNet(2))


class Told(Classifier):
    """A classifier whose logits are given: left half red or green, right half blue."""

    def __init__(self, red: float = 0.6) -> None:
        super().__init__(ZhangNet(1))
        logits = torch.full((1, 313, 8, 8), -30.0)
        self.red, self.green, self.blue = (self.number(*c) for c in ((50, 30), (-50, 40), (0, -40)))
        logits[:, self.red, :, :4] = math.log(red)
        logits[:, self.green, :, :4] = math.log(1 - red)
        logits[:, self.blue, :, 4:] = 0.0
        self.told = logits

    def number(self, a: float, b: float) -> int:
        return int(((self.bins - torch.tensor([a, b])).abs().sum(1) == 0).nonzero())

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
    assert net.distribution(L).shape == (2, 313, *part)
    assert net.uncertainty(L).shape == (2, 1, *part)
    assert net.colorize(L).shape == (2, 2, *size)
    assert net.samples(L, 3).shape == (3, 2, 2, *size)


@pytest.mark.parametrize("hidden", [None, 20])
@pytest.mark.parametrize("name", TRUNKS)
def test_every_weight_that_is_kept_is_trained(name, hidden, objective):
    """Else distributed training fails, and what is trained is not what was meant."""
    make, scale = TRUNKS[name]
    net = Classifier(make(), scale=scale, hidden=hidden)
    objective(net, (torch.rand(2, 1, 32, 32) * 100, torch.randn(2, 2, 32, 32))).backward()
    assert [k for k, p in net.named_parameters() if p.grad is None] == []


def test_networks_without_a_trunk_and_wrong_scales_are_refused():
    with pytest.raises(TypeError, match="has no trunk"):
        Classifier(DilatedCNN())
    with pytest.raises(ValueError, match="scale is 4, not 2"):
        Classifier(ZhangNet(2), scale=2)
    with pytest.raises(ValueError, match="power of 2"):
        Classifier(UNet(4), scale=3)
    with pytest.raises(ValueError, match="hidden is a number of channels"):
        Classifier(UNet(4), hidden=0)


@pytest.mark.parametrize("hidden", [None, 64])
def test_first_loss_is_about_ln_313(hidden, objective):
    torch.manual_seed(0)
    net = Classifier(ZhangNet(2), hidden=hidden)
    batch = next(Batches(orchard(4, size=32), 4)(0, 0))
    assert objective(net, batch).item() == pytest.approx(math.log(313), abs=0.25)


def test_a_hidden_layer_stands_between_trunk_and_logits():
    net = Classifier(ZhangNet(2), hidden=20).eval()
    L = torch.rand(2, 1, 32, 32) * 100
    features = net.trunk.features(net.trunk.prepare(L))
    hidden = net.norm(net.hidden(features)).relu()
    assert hidden.shape == (2, 20, 8, 8)
    torch.testing.assert_close(net(L), net.head(hidden))


def test_colours_are_decoded_then_enlarged_smoothly_then_fitted(net):
    L = torch.rand(1, 1, 32, 32) * 100
    small = annealed_mean(net.logits(L), net.bins, 0.38)
    ab, enlarged = net.colorize(L), net.predict(L)
    torch.testing.assert_close(enlarged[..., 2::4, 2::4], small)
    halfway = (small[..., 1:] + small[..., :-1]) / 2
    torch.testing.assert_close(enlarged[..., 2::4, 4::4], halfway)
    inside = ~out_of_gamut(L, enlarged).expand_as(ab)
    torch.testing.assert_close(ab[inside], enlarged[inside])
    assert not out_of_gamut(L, ab).any()


def test_temperature_leads_from_brown_to_red():
    net, L = Told(), torch.full((1, 1, 32, 32), 55.0)
    mean, mode = net.predict(L, 1.0)[0, :, 16, 4], net.predict(L, 0.02)[0, :, 16, 4]
    torch.testing.assert_close(mean, torch.tensor([10.0, 34.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(mode, torch.tensor([50.0, 30.0]), atol=0.1, rtol=0)


def test_samples_are_one_colour_a_thing_in_the_predicted_shares():
    net, L = Told(red=0.6), torch.full((2, 1, 32, 32), 55.0)
    samples = net.samples(L, 10)
    thing = samples[..., :, :12]
    assert torch.allclose(thing, thing[..., :1, :1], atol=1e-4)
    red = (thing[..., 0, 0] - torch.tensor([50.0, 30.0])).norm(dim=-1) < 1
    green = thing[:, :, 0, 0, 0] < -40
    assert (red | green).all()  # never the brown between
    assert (red.float().mean(0) - 0.6).abs().max() <= 0.1
    blue = samples[..., 16, 28]
    assert torch.allclose(blue, blue[:1, :1], atol=1e-3)


def test_samples_depend_on_picture_and_seed_alone(net):
    L = torch.rand(3, 1, 32, 32) * 100
    net.eval()
    whole = net.samples(L, 2, seed=5)
    torch.testing.assert_close(whole[:, 1:2], net.samples(L[1:2], 2, seed=5), atol=1e-2, rtol=0)
    assert not torch.equal(whole, net.samples(L, 2, seed=6))


def test_tails_are_never_drawn():
    net, L = Told(red=0.97), torch.full((1, 1, 32, 32), 55.0)
    for mass, expected in ((0.9, 0), (1.0, 1)):
        green = net.samples(L, 33, mass=mass)[:, 0, 0, 0, 0] < -40
        assert green.sum().item() == pytest.approx(expected, abs=1 if expected else 0)


def test_uncertainty_is_the_entropy_in_nats():
    uncertainty = Told(red=0.5).uncertainty(torch.full((1, 1, 32, 32), 55.0))
    assert uncertainty[0, 0, 3, 1].item() == pytest.approx(math.log(2), rel=1e-4)
    assert uncertainty[0, 0, 3, 6].item() == pytest.approx(0, abs=1e-4)


def test_targets_are_colours_of_middle_pixels_not_means():
    ab = torch.zeros(1, 2, 8, 10)
    ab[:, 0] = torch.arange(80.0).view(8, 10)
    assert middle_pixels(ab, (2, 3))[0, 0].tolist() == [[22, 26, 29], [62, 66, 69]]
    assert torch.equal(middle_pixels(ab, (8, 10)), ab)
    with pytest.raises(ValueError, match="logits of 3 x 3"):
        middle_pixels(ab, (3, 3))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(16, 24), (18, 21)])
def test_colours_come_back_to_the_pixels_that_they_were_taken_from(scale, size):
    height, width = size
    ramp = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ).float()[None]
    cells = tuple(-(-side // scale) for side in size)
    back = Classifier(UNet(4, 3), scale=scale).enlarge(middle_pixels(ramp, cells), ramp[:, :1])
    assert back.shape == ramp.shape
    inside = (..., slice(scale, height - 2 * scale), slice(scale, width - 2 * scale))
    assert torch.allclose(back[inside], ramp[inside], atol=1e-4)


def test_objective_is_the_definition_with_the_weights_of_the_true_bins(net, monkeypatch):
    L, ab = next(Batches(orchard(2, size=32), 2)(0, 0))
    weights = torch.rand(313) * 5
    monkeypatch.setattr(SoftEncoder, "__call__", SoftEncoder.exact)
    found = Classification(weights=weights)(net.eval(), (L, ab))
    small = ab[:, :, 2::4, 2::4]
    targets = soft_encode(small, net.bins)
    nearest = (net.bins.view(1, 313, 2, 1, 1) - small[:, None]).square().sum(2).argmin(1)
    expected = soft_cross_entropy(net.logits(L), targets, weights[nearest][:, None])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_weights_of_pixels_are_refused_where_bins_are_meant():
    with pytest.raises(ValueError, match="one a bin"):
        Classification(weights=torch.ones(1, 1, 8, 8))


def test_training_lowers_the_loss_and_validates(objective):
    data = Batches(orchard(16, size=32), 8)
    torch.manual_seed(0)
    run = fit(
        Classifier(UNet(8, depth=3)),
        objective,
        data,
        Options(steps=20, lr=1e-2),
        validation=Batches(orchard(4, size=32, seed=1), 4, in_order=True),
        callbacks=(),
        device="cpu",
    )
    losses = run.history.curve("loss")[1]
    assert losses[-1] < 0.75 * losses[0]
    assert math.isfinite(run.best)


def test_a_configuration_trains_one_with_rebalancing(tmp_path):
    pictures = {"factory": "colorkit.worlds:orchard", "n": 4, "size": 32}
    data = {"factory": "colorkit.batches:Batches", "pictures": pictures, "batch": 4}
    prior = {"factory": "colorkit.bins:estimate_prior", "data": data}
    config = {
        "folder": str(tmp_path / "run"),
        "model": {
            "factory": "colorkit.models:Classifier",
            "trunk": {"factory": "colorkit.models:ZhangNet", "kernels": 2},
        },
        "loss": {
            "factory": "colorkit.training.objectives:Classification",
            "weights": {"factory": "colorkit.bins:rebalancing_weights", "prior": prior},
        },
        "data": data,
        "training": {"steps": 2},
    }
    assert train_config(config, device="cpu").stopped == "finished"


def test_shares_of_a_batch_average_to_the_whole_batch(net, objective):
    """So the gradients that several processes average are those of one."""
    L, ab = next(Batches(orchard(4, size=32), 4)(0, 0))
    weighted = Classification(weights=torch.rand(313) * 5)
    whole = weighted(net.eval(), (L, ab))
    shares = [weighted(net, (L[k::2], ab[k::2])) for k in (0, 1)]
    assert whole.item() == pytest.approx(sum(shares).item() / 2, rel=1e-5)
