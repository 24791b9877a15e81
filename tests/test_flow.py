"""Flow matching: straight lines, samplers of known order, true frequencies, and one L for many."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import colorkit as package
from colorkit import flow
from colorkit.batches import Batches
from colorkit.cli import colorkit
from colorkit.color import join_lab, lab_to_rgb, out_of_gamut, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.flow import FlowColorizer, euler, flow_matching, heun
from colorkit.models import ResNetColorizer, UNet, load_colorizer
from scripts import pretrain_flow
from tests.conftest import colourful

HILLS = ((-2.0, 0.7), (2.0, 0.3))  # where they lie, how probable they are
SPREAD = 0.5


def hills(n):
    """(n, 1) numbers of two hills."""
    right = torch.rand(n, 1) < HILLS[1][1]
    return torch.where(right, HILLS[1][0], HILLS[0][0]) + SPREAD * torch.randn(n, 1)


def uniform(data):
    """Independent noise for numbers, and times."""
    return torch.randn_like(data), torch.rand(len(data))


def exact_velocity(x, t):
    """E[data - noise | x, t] of the two hills, in closed form: Gaussians stay such on the way."""
    t = t.view(-1, 1)
    variance = (1 - t) ** 2 + (t * SPREAD) ** 2
    logs, means = [], []
    for centre, p in HILLS:
        off = x - t * centre
        logs.append(math.log(p) - off.square() / (2 * variance))
        means.append(centre + (t * SPREAD**2 - (1 - t)) / variance * off)
    return (torch.stack(logs).softmax(0) * torch.stack(means)).sum(0)


def make(width=8, **options):
    torch.manual_seed(0)
    net = FlowColorizer(ResNetColorizer(encoder_width=4, width=2), width=width, steps=2, **options)
    for module in net.modules():  # blocks begin as nothing: here all of them do something
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    return net


@pytest.fixture(scope="module")
def net():
    return make()


def lightness(n=2, height=32, width=32):
    return 100 * torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(1))


def test_a_line_begins_at_noise_ends_at_data_and_its_velocity_is_its_derivative():
    noise, data = torch.randn(5, 2, 4, 4).double(), torch.randn(5, 2, 4, 4).double()
    t = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0]).double()
    x, velocity = flow.interpolate(noise, data, t)
    assert torch.equal(x[0], noise[0])
    assert torch.equal(x[4], data[4])
    later = flow.interpolate(noise, data, t + 1e-6)[0]
    torch.testing.assert_close((later - x) / 1e-6, velocity, atol=1e-6, rtol=1e-6)


def test_the_exact_velocity_has_the_least_loss():
    """Squared error has the mean velocity as its best answer; an offset costs its square."""
    torch.manual_seed(0)
    data, losses = hills(40_000), []
    for offset in (0.0, 0.5):
        torch.manual_seed(1)
        model = lambda x, t, given, offset=offset: exact_velocity(x, t) + offset  # noqa: E731
        losses.append(flow.velocity_loss(model, data, None, uniform))
    assert (losses[1] - losses[0]).item() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2)])
def test_samplers_converge_in_their_order(sampler, order):
    def velocity(x, t):
        return 2 * x * (2 * t).cos().view(-1, 1)

    start = torch.tensor([[1.0], [-0.5]], dtype=torch.float64)
    end = start * math.exp(math.sin(2))
    errors = [(sampler(velocity, start, n) - end).abs().max().item() for n in (20, 40, 80)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_one_step_gives_the_mean_and_many_the_hills_in_their_shares():
    torch.manual_seed(0)
    noise = torch.randn(20_000, 1)
    mean = sum(centre * p for centre, p in HILLS)
    one = euler(exact_velocity, noise, 1)
    assert one.sub(mean).abs().max() < 1e-4
    many = heun(exact_velocity, noise, 20)
    assert (many > 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert many[many > 0].std().item() == pytest.approx(SPREAD, abs=0.05)


def test_a_small_network_recovers_the_shares():
    seed_everything(0)
    net = nn.Sequential(nn.Linear(2, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)

    def model(x, t, given=None):
        return net(torch.cat([x, t.view(-1, 1)], 1))

    for _ in range(500):
        optimizer.zero_grad()
        flow.velocity_loss(model, hills(256), None, uniform).backward()
        optimizer.step()
    with torch.no_grad():
        drawn = heun(model, torch.randn(4000, 1), 20)
    assert (drawn > 0).float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (drawn.abs() < 0.7).float().mean() < 0.08  # 0.006 in truth, all of them for a mean


def test_areas_are_drawn_in_true_shares_each_as_a_whole_and_by_itself():
    """Pictures of four areas, told apart by L; each is red with 70%, else green."""
    seed_everything(0)
    quarters = lambda x: x.repeat_interleave(16, 2).repeat_interleave(16, 3)  # noqa: E731
    colours = torch.tensor([[60.0, 40.0], [-60.0, 40.0]])
    ab = quarters(colours[(torch.rand(400, 2, 2) < 0.3).long()].permute(0, 3, 1, 2))
    L = quarters(torch.tensor([[[[40.0, 70.0], [60.0, 50.0]]]])).repeat(400, 1, 1, 1)
    net, how = make(sampler=heun), {"lr": 4e-3, "schedule": "one-cycle", "callbacks": ()}
    fit(net, flow_matching, Batches((L, ab), 32), 250, device="cpu", precision="float32", **how)
    net.steps = 8
    a = net.draw(L[:100], 1, 5)[0, :, 0].unfold(1, 16, 16).unfold(2, 16, 16)[..., 3:-3, 3:-3]
    green = a.mean((3, 4)) < 0  # (100, 2, 2)
    assert green.float().mean().item() == pytest.approx(0.3, abs=0.1)
    assert (a.mean((3, 4)).abs() > 30).float().mean() > 0.95  # no mixture
    assert ((a < 0).float().mean((3, 4)) - green.float()).abs().mean() < 0.01
    alike = torch.cat([green[:, 0] == green[:, 1], green[:, :, 0] == green[:, :, 1]])
    assert alike.float().mean().item() == pytest.approx(0.7**2 + 0.3**2, abs=0.12)


@pytest.mark.parametrize("size", [(32, 32), (45, 70), (3, 5)])
def test_samples_of_any_size_keep_lightness_and_stay_inside_the_gamut(net, size):
    L = lightness(2, *size)
    drawn = net.samples(L, 3)
    assert drawn.shape == (3, 2, 2, *size)
    for ab in drawn:
        assert not out_of_gamut(L, ab).any()
        rgb = lab_to_rgb(join_lab(L, ab))
        torch.testing.assert_close(rgb_to_lab(rgb)[:, :1], L, atol=0.1, rtol=0)


def test_a_seed_gives_the_same_samples_and_another_seed_others(net):
    L, mode = lightness(), net.training
    drawn = net.samples(L, 2, seed=3)
    assert torch.equal(drawn, net.samples(L, 2, seed=3))
    assert torch.equal(drawn[:1], net.samples(L, 1, seed=3))
    assert torch.equal(drawn[0], net.colorize(L, seed=3))
    assert torch.equal(drawn, net.samples(L.double(), 2, seed=3))
    assert not torch.equal(drawn, net.samples(L, 2, seed=4))
    assert not torch.equal(drawn[0], drawn[1])
    assert net.training == mode


def test_guidance_goes_on_beyond_what_is_known_without_lightness(net):
    L, x, t = lightness(), torch.randn(2, 2, 16, 16), torch.tensor([0.2, 0.6])
    found = {}
    with torch.no_grad():
        net.eval()
        for net.guidance in (0.0, 1.0, 3.0):
            found[net.guidance] = net.field(L)(x, t)
            other = net.field(100 - L)(x, t)
            assert torch.equal(found[net.guidance], other) == (net.guidance == 0)
    net.guidance = 1.0
    torch.testing.assert_close(found[3.0], found[0.0] + 3 * (found[1.0] - found[0.0]))


def test_a_part_of_the_training_pictures_is_hidden_and_none_afterwards():
    net, L = make(drop=0.3), lightness(200)
    hidden = [(net.train(mode).see(L) == 0).all((1, 2, 3)).float().mean() for mode in (True, False)]
    assert hidden[0].item() == pytest.approx(0.3, abs=0.1)
    assert hidden[1] == 0


def test_each_place_attends_to_all_others():
    attention = make().attention[0]
    attention.norm = nn.Identity()  # a group norm reaches all places, too
    x = torch.randn(1, 16, 8, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(attention(x)[0, 0, 0, 0], x)
    assert gradient.abs().amax((0, 1)).gt(0).all()


def test_velocities_depend_on_the_time(net):
    x, L = torch.randn(1, 2, 16, 16), lightness(1)
    first, later = (net.eval()(x, torch.tensor([t]), L) for t in (0.5, 0.6))
    assert not torch.allclose(first, later)


def test_what_cannot_be_drawn_or_built_is_refused():
    net = make()
    with pytest.raises(ValueError, match="0 samples in 2 steps"):
        net.samples(lightness(), 0)
    with pytest.raises(TypeError, match=r"a UNet has no encoder .* load_colorizer\(\)\.trunk"):
        FlowColorizer(UNet(2))
    with pytest.raises(ValueError, match="width 12: take a multiple of 8"):
        FlowColorizer(ResNetColorizer(encoder_width=4, width=2), width=12)


def test_the_encoder_is_frozen_and_every_other_weight_is_trained():
    net, world = make(), (lightness(), torch.randn(2, 2, 32, 32))
    before = {k: v.clone() for k, v in net.trunk.state_dict().items()}
    flow_matching(net, world).backward()
    idle = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.startswith("trunk.") for name in idle)
    assert all(torch.equal(v, before[k]) for k, v in net.trunk.state_dict().items())
    assert flow_matching(net.double(), [x.double() for x in world]).isfinite()


@pytest.fixture(scope="module")
def trained():
    return load_colorizer("flow")


def test_the_flow_that_comes_along_is_small_and_whole():
    assert flow.WEIGHTS.stat().st_size < 4e6
    file = torch.load(flow.WEIGHTS, weights_only=True)
    net = FlowColorizer.trained()
    own = {name: x for name, x in net.state_dict().items() if not name.startswith("trunk.")}
    assert own.keys() == file["model"].keys()
    assert all(torch.equal(x, file["model"][name].to(x.dtype)) for name, x in own.items())
    assert {"pictures", "steps", "minutes", "torch", "held_out"} <= set(file["made"])


def test_its_draws_differ_and_each_fits_a_photograph_better_than_it_fits_another(trained):
    photographs = [photograph(name, 64) for name in ("coffee", "astronaut")]
    L, ab = split_lab(rgb_to_lab(torch.cat(photographs)))
    drawn = trained.samples(L, 8)
    assert (drawn[0] - drawn[1]).norm(dim=1).mean() > 3
    mean = drawn.mean(0)
    assert (mean - ab).square().mean() < (mean - ab.flip(0)).square().mean()


def test_the_command_writes_as_many_colourings_as_asked_for(tmp_path):
    scan = Image.fromarray((np.mgrid[:90, :120].sum(0)).astype(np.uint8))
    scan.save(tmp_path / "scan.png")
    asked = ["colorize", str(tmp_path / "scan.png"), "--model", "flow", "--samples", "3"]
    said = CliRunner().invoke(colorkit, [*asked, "--out", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    found = [np.asarray(Image.open(tmp_path / "out" / f"scan-{k}.png")) for k in (1, 2, 3)]
    assert {x.shape for x in found} == {(90, 120, 3)}
    assert not (found[0] == found[1]).all()
    with pytest.raises(ValueError, match="one answer of a Classifier, not for a FlowColorizer"):
        package.colorize(scan, "flow", temperature=0.5)


def test_the_script_writes_what_it_trained_and_how_good_it_is(tmp_path, monkeypatch):
    (tmp_path / "fruit").mkdir()
    for i in range(20):
        colourful(i).save(tmp_path / "fruit" / f"{i}.png")
    for name, value in {"SIZE": 32, "CONFIG": {"width": 8}, "BATCH": 4, "DRAWS": 2}.items():
        monkeypatch.setattr(pretrain_flow, name, value)
    out = tmp_path / "flow.pt"
    asked = [str(out), str(tmp_path / "fruit"), f"--work={tmp_path / 'work'}", "--steps=20"]
    (tmp_path / "work").mkdir()
    said = CliRunner().invoke(pretrain_flow.main, asked)
    assert said.exit_code == 0, said.output
    made = json.loads(said.output[said.output.index("{") :])
    assert made["pictures"] == {"fruit": {"train": 12, "val": 4, "test": 4}}
    assert set(made["held_out"]["fruit"]["within_10"]) >= {"a draw", "best of 2", "mean of 2"}
    monkeypatch.setattr(flow, "WEIGHTS", out)
    assert FlowColorizer.trained().colorize(lightness()).shape == (2, 2, 32, 32)
