"""The ab plane as classes: each line of the paper's definition, and the mistakes that people make.

"The paper" is R. Zhang, P. Isola, A. A. Efros, "Colorful image colorization", ECCV 2016.
"""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.special import softmax
from torch.nn import functional as F

from colorkit import bins as cb
from colorkit.bins import SoftEncoder, Targets, ab_bins, soft_cross_entropy, soft_encode
from colorkit.color import rgb_to_lab
from colorkit.data.pictures import photograph

# The published list, pts_in_hull.npy: for each a the first and the last b, ten apart.
PUBLISHED = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100),
    -40: (-40, 100), -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100),
    10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90), 50: (-100, 80),
    60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def bins():
    return ab_bins()


@pytest.fixture(scope="module")
def encoder():
    return SoftEncoder()


@pytest.fixture(scope="module")
def photo_ab():
    return torch.cat([rgb_to_lab(photograph(n, 96))[:, 1:] for n in ("coffee", "chelsea")])


def dense(targets, count=313):
    """Sparse targets as a distribution over all bins, (N, Q, H, W)."""
    n, _, h, w = targets.indices.shape
    zeros = torch.zeros(n, count, h, w, dtype=targets.weights.dtype)
    return zeros.scatter_add_(1, targets.indices, targets.weights)


def random_targets(n=2, q=7, k=3, h=3, w=2, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    indices = torch.rand(n, q, h, w, generator=g).argsort(1)[:, :k]
    return Targets(indices, torch.rand(n, k, h, w, generator=g, dtype=dtype).softmax(1))


# The bins


def test_bins_are_the_published_list_in_its_order(bins):
    rows = [(a, b) for a, (low, high) in PUBLISHED.items() for b in range(low, high + 1, 10)]
    assert torch.equal(bins, torch.tensor(rows, dtype=torch.float32))


@pytest.mark.parametrize("step", [5, 8, 20])
def test_every_colour_has_a_bin_near_it_at_other_steps(step):
    colours = torch.randint(0, 256, (1, 3, 200, 200), dtype=torch.uint8)
    ab = rgb_to_lab(colours)[0, 1:].flatten(1).T
    distances, _ = cKDTree(ab_bins(step)).query(ab)
    assert distances.max() <= step / math.sqrt(2) + 1e-3


def test_52_bins_are_the_nearest_of_no_8_bit_colour(bins):
    reached = set(cb.nearest_bin(cb._surface(), bins).flatten().tolist())
    assert len(bins) - len(reached) == 52
    colours = torch.randint(0, 256, (1, 3, 500, 500), dtype=torch.uint8)
    _, nearest = cKDTree(bins).query(rgb_to_lab(colours)[0, 1:].flatten(1).T)
    assert reached >= set(np.unique(nearest).tolist())


# Soft encoding


@pytest.mark.parametrize(("k", "sigma"), [(1, 5.0), (5, 8.0), (10, 5.0)])
def test_soft_encoding_is_its_definition(bins, photo_ab, k, sigma):
    beyond = torch.tensor([[150.0, -150.0], [-300.0, 5.0], [99.0, -112.0]]).T.reshape(1, 2, 1, 3)
    for ab in (photo_ab, beyond, torch.rand(1, 2, 64, 64) * 218 - 109):
        pixels = ab.movedim(1, -1).reshape(-1, 2)
        distances, _ = cKDTree(bins).query(pixels.double(), list(range(1, k + 1)))
        expected = softmax(-(distances**2) / (2 * sigma**2), axis=1)
        targets = soft_encode(ab, bins, k, sigma)
        indices = targets.indices.movedim(1, -1).reshape(-1, k)
        weights, order = targets.weights.movedim(1, -1).reshape(-1, k).sort(descending=True)
        np.testing.assert_allclose(weights, expected, atol=1e-5)
        # Ties can be broken either way, so the bins are judged by their distances.
        places = bins[indices.gather(1, order)]
        np.testing.assert_allclose((places - pixels[:, None]).norm(dim=2), distances, atol=2e-3)
        assert all(len(set(row)) == k for row in indices.tolist()[:500])


def test_the_table_is_near_the_definition_on_photographs(encoder, bins, photo_ab):
    exact, table = dense(soft_encode(photo_ab, bins)), dense(encoder(photo_ab))
    assert (table.argmax(1) == exact.argmax(1)).float().mean() >= 0.999
    assert (table - exact).abs().sum(1).mean() / 2 <= 0.015
    torch.testing.assert_close(table.sum(1), torch.ones_like(table[:, 0]))


def test_bf16_colours_are_encoded_in_float32(encoder, photo_ab):
    rounded = photo_ab.bfloat16()
    for encode in (encoder, lambda ab: soft_encode(ab, encoder.bins)):
        assert encode(rounded).weights.dtype == torch.float32
        assert torch.equal(encode(rounded).weights, encode(rounded.float()).weights)


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 3, 8, 8), (1, 8, 8, 2)])
def test_other_shapes_are_refused_by_name(encoder, shape):
    with pytest.raises(ValueError, match=r"ab must be \(N, 2, H, W\) float"):
        encoder(torch.zeros(shape))


# Prior and rebalancing


def test_prior_counts_each_pixel_once_in_its_nearest_bin(bins, photo_ab):
    batches = [(None, photo_ab[:1]), (None, photo_ab[1:])]
    prior = cb.estimate_prior(batches)
    _, nearest = cKDTree(bins).query(photo_ab.movedim(1, -1).reshape(-1, 2))
    expected = np.bincount(nearest, minlength=313)
    # A colour on the very border of two bins, to the last digit, may fall on either side.
    assert np.abs(prior.counts.numpy() - expected).sum() <= 4
    assert prior.histogram.sum() == expected.sum()
    assert prior.support == (expected > 0).sum()
    assert prior.p.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(cb.estimate_prior(lambda epoch=0, start=0: batches).p, prior.p)
    with pytest.raises(ValueError, match="no pixel"):
        cb.estimate_prior([])


def test_prior_is_smoothed_in_the_plane_and_loses_no_mass_at_its_edge(bins):
    place = int(((bins - torch.tensor([20.0, 30.0])).abs().sum(1) == 0).nonzero())
    p = cb.smooth_prior(F.one_hot(torch.tensor(place), 313), bins)
    at = {tuple(b): x for b, x in zip(bins.tolist(), p.tolist(), strict=True)}
    one_step = math.exp(-(10**2) / (2 * 5**2))
    for neighbour in ((10, 30), (30, 30), (20, 20), (20, 40)):  # in a and in b alike
        assert at[neighbour] / at[20, 30] == pytest.approx(one_step, rel=1e-4)
    assert at[30, 40] / at[20, 30] == pytest.approx(one_step**2, rel=1e-4)
    edge = cb.smooth_prior(F.one_hot(torch.tensor(312), 313), bins)
    assert edge.sum().item() == pytest.approx(1, abs=1e-6)
    assert edge[312] > p[place]


@pytest.mark.parametrize("lam", [0.01, 0.5, 1.0])
def test_weights_are_the_formula_and_their_mean_is_1(lam):
    p = torch.randn(313).mul(3).softmax(0)
    w = cb.rebalancing_weights(p, lam)
    raw = 1 / ((1 - lam) * p.double() + lam / 313)
    expected = raw / (p.double() * raw).sum()
    torch.testing.assert_close(w.double(), expected, rtol=1e-5, atol=0)
    assert (p * w).sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(w).all()
    assert lam < 1 or torch.allclose(w, torch.ones(313))


@pytest.mark.parametrize("lam", [0, -0.1, 1.1])
def test_a_weight_that_could_be_infinite_is_refused(lam):
    with pytest.raises(ValueError, match="lam is above 0 and at most 1"):
        cb.rebalancing_weights(torch.full((313,), 1 / 313), lam)


def test_a_pixel_takes_the_weight_of_its_most_likely_bin(encoder, bins):
    ab = bins[torch.arange(24) * 13].view(2, 3, 4, 2).movedim(-1, 1)
    w = torch.arange(313.0)
    found = cb.pixel_weights(encoder(ab), w)
    assert torch.equal(found, (torch.arange(24.0) * 13).view(2, 1, 3, 4))


# Decoding


def logits_of(seed=0, n=2, h=3, w=4, scale=3.0):
    return scale * torch.randn(n, 313, h, w, generator=torch.Generator().manual_seed(seed))


def test_temperature_leads_from_the_mean_to_the_mode(bins):
    logits = logits_of()
    for T in (0.38, 1.0):
        mean = torch.einsum("nqhw,qc->nchw", (logits / T).softmax(1), bins)
        torch.testing.assert_close(cb.annealed_mean(logits, bins, T), mean, rtol=1e-4, atol=1e-3)
    cold = cb.annealed_mean(logits, bins, 1e-3)
    mode = bins[logits.argmax(1)].movedim(-1, 1)
    torch.testing.assert_close(cold, mode, rtol=1e-3, atol=0.5)
    with pytest.raises(ValueError, match="temperature is above 0"):
        cb.annealed_mean(logits, bins, 0.0)


def test_samples_have_the_predicted_distribution(bins):
    logits = torch.full((1, 313, 1, 1), -torch.inf)
    chosen = {5: 0.5, 100: 0.3, 250: 0.2}
    for number, p in chosen.items():
        logits[0, number] = math.log(p)
    uniform = (torch.arange(1000) + 0.5).div(1000).view(1, 1, 1, 1000)
    drawn = cb.sample(logits.expand(1, 313, 1, 1000), bins, uniform)
    for number, p in chosen.items():
        share = (drawn == bins[number].view(1, 2, 1, 1)).all(1).float().mean().item()
        assert share == pytest.approx(p, abs=0.002)


def test_one_number_for_a_picture_gives_one_colour_where_distributions_are_one(bins):
    logits = logits_of(h=1, w=1).expand(2, 313, 6, 6)
    drawn = cb.sample(logits, bins, torch.tensor([0.1, 0.9]).view(2, 1, 1, 1))
    assert (drawn == drawn[:, :, :1, :1]).all()
    assert (drawn[0, :, 0, 0] != drawn[1, :, 0, 0]).any()


# The loss


def definition(logits, targets, weights=None):
    """-sum z log p, weighted by pixel, divided by the number of pixels."""
    losses = -(dense(targets, logits.shape[1]) * F.log_softmax(logits, 1)).sum(1, keepdim=True)
    return (losses if weights is None else weights * losses).mean()


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_loss_and_gradient_are_those_of_the_dense_definition(scale, weighted, layout):
    targets = random_targets(4, 313, 10, 5, 6)
    weights = torch.rand(4, 1, 5, 6).double() * 5 if weighted else None
    found = []
    for loss in (soft_cross_entropy, definition):
        logits = logits_of(1, 4, 5, 6, scale).double().contiguous(memory_format=layout)
        logits.requires_grad_()
        value = loss(logits, targets, weights)
        (3 * value).backward()
        found.append((value, logits.grad))
    torch.testing.assert_close(*(value for value, _ in found))
    torch.testing.assert_close(*(gradient for _, gradient in found))


def test_bf16_logits_are_summed_in_float32(encoder, photo_ab):
    logits = logits_of(n=2, h=96, w=96).bfloat16().requires_grad_()
    targets = encoder(photo_ab)
    loss = soft_cross_entropy(logits, targets)
    loss.backward()
    exact = logits.detach().float().requires_grad_()
    expected = soft_cross_entropy(exact, targets)
    expected.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad.dtype == torch.bfloat16
    torch.testing.assert_close(logits.grad.float(), exact.grad, rtol=0.01, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_in_place_the_logits_become_the_gradient(scale):
    targets, weights = random_targets(2, 313, 10, 3, 4), torch.rand(2, 1, 3, 4)
    found = []
    for in_place in (False, True):
        leaf = logits_of(scale=scale).double().requires_grad_()
        logits = leaf * 1
        loss = soft_cross_entropy(logits, targets, weights, in_place=in_place)
        (2 * loss).backward()
        found.append((loss, leaf.grad))
        assert torch.equal(logits, leaf.grad) == in_place
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_gradients_that_would_be_wrong_raise():
    leaf = logits_of().requires_grad_()
    loss = soft_cross_entropy(leaf.exp(), random_targets(2, 313, 10, 3, 4), in_place=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = soft_cross_entropy(logits_of().requires_grad_(), random_targets(2, 313, 10, 3, 4))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="another forward"):
        loss.backward()


def test_without_a_gradient_nothing_is_overwritten():
    logits = logits_of()
    before = logits.clone()
    soft_cross_entropy(logits, random_targets(2, 313, 10, 3, 4), in_place=True)
    assert torch.equal(logits, before)


def test_targets_of_another_size_are_refused(encoder, photo_ab):
    with pytest.raises(ValueError, match="at the size of the logits"):
        soft_cross_entropy(torch.zeros(2, 313, 24, 24), encoder(photo_ab))
    with pytest.raises(ValueError, match="one a pixel"):
        soft_cross_entropy(torch.zeros(2, 313, 96, 96), encoder(photo_ab), torch.ones(313))
