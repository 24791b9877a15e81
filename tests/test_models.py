"""The networks: sizes, ranges, modes and weights, against torchvision and arithmetic."""

import copy
import io
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from colorkit.color import out_of_gamut
from colorkit.models import EncoderDecoder, FeatureMemory, ResNetColorizer, UNet, ZhangNet, resnet
from colorkit.models.colorizer import conv_of_both
from colorkit.models.resnet import Encoder

NETWORKS = {
    "naive": lambda: EncoderDecoder(width=4, depth=3),
    "eight groups": lambda: ZhangNet(kernels=2),
    "unet": lambda: UNet(width=4, depth=3),
    "unet without batch norm": lambda: UNet(width=4, depth=3, batch_norm=False),
    "unet without skips": lambda: UNet(width=4, depth=3, skips=False),
    "resnet": lambda: ResNetColorizer(encoder_width=4, width=2),
    "resnet 50 without skips": lambda: ResNetColorizer(50, encoder_width=2, width=2, skips=False),
}


@pytest.fixture(params=NETWORKS)
def net(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]()


def lightness(n=2, height=40, width=56, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 100 * torch.rand(n, 1, height, width, generator=generator)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3)])
def test_any_size_gives_colors_of_that_size(net, size):
    L = lightness(1, *size)
    ab = net.colorize(L)
    assert ab.shape == (1, 2, *size)
    assert ab.dtype == torch.float32
    assert not out_of_gamut(L, ab).any()


def test_colors_do_not_hang_on_other_pictures_of_the_batch_and_the_mode_comes_back(net):
    """Batch norm in training mode would mix pictures, and learn from them."""
    L = lightness()
    net.train()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    ab = net.colorize(L)
    torch.testing.assert_close(ab, torch.cat([net.colorize(x[None]) for x in L]), atol=1e-3, rtol=0)
    assert net.training
    assert all(m.training for m in net.modules())
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert not ab.requires_grad


def test_padding_is_cropped_at_the_same_corner(net):
    """What lies far from the padded edges is coloured as in the larger picture."""
    net.eval()
    L = lightness(1, 7 * net.stride, 7 * net.stride)
    L[..., -3:, :] = L[..., -4:-3, :]
    L[..., :, -3:] = L[..., :, -4:-3]
    with torch.no_grad():
        torch.testing.assert_close(net(L)[..., :-3, :-3], net(L[..., :-3, :-3]))


def test_every_weight_gets_a_gradient(net):
    net(lightness(2, 64, 64)).square().mean().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_fresh_colors_are_of_the_order_of_ab(net):
    """Normalisation is inside: neither L nor ab is scaled twice, or not at all."""
    assert 0.1 < net(lightness(4, 64, 64)).abs().mean() < 60


def test_a_network_learns_colors_of_both_signs(net):
    """A ReLU at the end would leave half of the plane unreachable."""
    L = lightness(2, 32, 32)
    target = torch.cat([20 * torch.ones_like(L), -30 * torch.ones_like(L)], 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        loss = F.mse_loss(net(L), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    a, b = net(L).mean((0, 2, 3))
    assert b < 0 < a


def test_rgb_instead_of_l_is_refused(net):
    with pytest.raises(ValueError, match=r"L has shape \(1, 3, 32, 32\)"):
        net(torch.zeros(1, 3, 32, 32))


def test_unet_of_full_width_goes_from_128_to_8_with_512_channels():
    with torch.device("meta"):
        features = UNet().encode(torch.zeros(1, 1, 128, 128))
    assert [tuple(f.shape[1:]) for f in features] == [
        (32, 128, 128), (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8)
    ]  # fmt: skip


@pytest.mark.parametrize(("head", "low", "high"), [("tanh", -128, 128), ("sigmoid", -128, 127)])
def test_bounded_heads_reach_all_of_srgb_and_no_further(head, low, high):
    net = UNet(width=2, depth=1, head=head)
    for sign, bound in ((-1, low), (1, high)):
        nn.init.constant_(net.head.bias, 50.0 * sign)
        assert net(lightness(1, 8, 8)).mean().item() == pytest.approx(bound, abs=1e-3)
    with pytest.raises(ValueError, match="no head 'relu': take one of linear, tanh, sigmoid"):
        UNet(head="relu")


def test_without_skips_the_last_layers_do_not_see_the_first():
    for skips, sees in ((True, True), (False, False)):
        torch.manual_seed(0)
        net = UNet(width=2, depth=2, batch_norm=False, skips=skips).eval()
        features = net.encode(torch.zeros(1, 1, 16, 16))
        changed = [f.clone() for f in features]
        changed[0] += 1  # the largest features alone, which only a skip carries on
        outputs = []
        for chosen in (features, changed):
            net.encode = lambda x, chosen=chosen: list(chosen)
            outputs.append(net.compute(torch.zeros(1, 1, 16, 16)))
        assert (not torch.equal(*outputs)) == sees


def test_eight_groups_of_64_is_the_published_trunk():
    """Weights counted from the paper's table: (in, out, kernel) of each convolution."""
    with torch.device("meta"):
        net = ZhangNet(64)
    convs = [(1, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3)]
    convs += [(256, 256, 3)] * 2 + [(256, 512, 3)] + [(512, 512, 3)] * 11
    convs += [(512, 256, 4)] + [(256, 256, 3)] * 2 + [(256, 2, 1)]
    norms = [64, 128, 256, 512, 512, 512, 512]  # after each group but the last
    expected = sum(o * (i * k * k + 1) for i, o, k in convs) + 2 * sum(norms)
    assert parameters(net) == expected
    assert net.trunk(torch.zeros(1, 1, 64, 64, device="meta")).shape == (1, 256, 16, 16)


def test_eight_groups_predict_colors_at_a_quarter_and_enlarge_them_smoothly():
    net = ZhangNet(2).eval()
    L = lightness(1, 32, 48)
    with torch.no_grad():
        quarter = net.quarter(L)
        assert quarter.shape == (1, 2, 8, 12)
        enlarged = F.interpolate(quarter, (32, 48), mode="bilinear", align_corners=False)
        torch.testing.assert_close(net(L), enlarged)


def test_dense_layers_fix_the_size_and_know_the_place():
    torch.manual_seed(0)
    net = EncoderDecoder(width=2, depth=2, hidden=8, size=16)
    assert net.colorize(lightness(2, 16, 16)).shape == (2, 2, 16, 16)
    ab = net.eval()(torch.full((1, 1, 16, 16), 50.0))[0, 0, 6:10, 6:10]
    assert ab.std() > 1e-3  # flat L, yet colours differ from place to place
    with pytest.raises(ValueError, match=r"for 16 x 16 pixels, L has 16 x 24"):
        net(lightness(1, 16, 24))
    with pytest.raises(ValueError, match=r"multiple of 2\*\*depth = 8, got 20"):
        EncoderDecoder(hidden=8, size=20)


@pytest.fixture(scope="module", params=[18, 50])
def pretrained(request):
    """torchvision's network with random weights and statistics that are not 0 and 1."""
    torch.manual_seed(request.param)
    net = torchvision.models.get_model(f"resnet{request.param}", weights=None).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return request.param, net


def test_the_encoder_gives_torchvisions_features_of_a_gray_picture(pretrained):
    layers, reference = pretrained
    gray = torch.rand(1, 1, 64, 64)
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith("fc.")}
    encoder = Encoder(layers).eval()
    encoder.load_state_dict(resnet.for_one_channel(state))
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (resnet.RGB_MEAN, resnet.RGB_STD))
    with torch.no_grad():
        first = reference.relu(reference.bn1(reference.conv1((gray - mean) / std)))
        ours = encoder((gray - resnet.GRAY_MEAN) / resnet.GRAY_STD)
        inside = (..., slice(2, -2), slice(2, -2))  # padding stands for another gray outside
        torch.testing.assert_close(ours[0][inside], first[inside], atol=1e-4, rtol=1e-4)
        x = F.max_pool2d(ours[0], 3, 2, 1)
        stages = (reference.layer1, reference.layer2, reference.layer3, reference.layer4)
        for stage, feature in zip(stages, ours[1:], strict=True):
            x = stage(x)
            torch.testing.assert_close(feature, x, atol=1e-4, rtol=1e-4)


def test_resnet_50_ends_in_2048_features_of_4_x_4():
    with torch.device("meta"):
        features = Encoder(50)(torch.zeros(1, 1, 128, 128))
    assert features[-1].shape == (1, 2048, 4, 4)


def test_imagenet_weights_are_torchvisions(pretrained, monkeypatch):
    layers, reference = pretrained
    kind = type(resnet.IMAGENET[layers])
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: reference.state_dict())
    net = ResNetColorizer(layers, "imagenet", width=2)
    kept = net.encoder.layer4[1].conv2.weight
    torch.testing.assert_close(kept, reference.layer4[1].conv2.weight)
    assert net.encoder.conv1.weight.shape == (64, 1, 7, 7)


def test_without_network_a_sentence_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(type(resnet.IMAGENET[18]), "get_state_dict", offline)
    with pytest.raises(
        RuntimeError, match=r"ResNet-18 could not .*no route.*\"worlds\".*weights=None"
    ):
        ResNetColorizer(18, "imagenet")


def test_own_weights_bring_their_width(tmp_path):
    encoder = Encoder(18, width=8)
    torch.save(encoder.state_dict(), tmp_path / "own.pt")
    net = ResNetColorizer(18, tmp_path / "own.pt", width=2)
    loaded = net.encoder.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in encoder.state_dict().items())


def test_own_weights_that_do_not_fit_are_refused(tmp_path):
    torch.save(Encoder(18, width=8).state_dict(), tmp_path / "own.pt")
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"own.pt' do not fit this encoder"):
        ResNetColorizer(50, tmp_path / "own.pt")
    for name in ("text.pt", "other.pt"):
        with pytest.raises(ValueError, match=f"{name} holds no weights of a ResNet"):
            ResNetColorizer(18, tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"there is no file of weights .*none.pt"):
        ResNetColorizer(18, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="layers must be 18 or 50, got 34"):
        ResNetColorizer(34)


def test_a_frozen_encoder_does_not_change_in_training():
    net = ResNetColorizer(encoder_width=4, width=2, frozen=True).train()
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    net(lightness(2, 64, 64)).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in net.encoder.state_dict().items())
    assert net.head.weight.grad.any()


def frozen(memory=None, seed=0):
    torch.manual_seed(seed)
    return ResNetColorizer(encoder_width=4, width=2, frozen=True, memory=memory)


def test_a_memory_gives_what_the_encoder_would_and_asks_it_once():
    memory, L = FeatureMemory(), lightness(5, 64, 64)
    net, plain = frozen(memory), frozen()
    seen = []
    net.encoder.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    for rows in ([0, 1], [1, 2, 0], [4, 3], [3, 4]):
        assert torch.allclose(net(L[rows]), plain(L[rows]), atol=1e-3)
    assert seen == [2, 1, 2]
    net(L).square().mean().backward()
    plain(L).square().mean().backward()
    pairs = zip(net.decoder.parameters(), plain.decoder.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-2, atol=1e-3) for a, b in pairs)
    assert len(memory) == 5
    net.eval()(lightness(6, 64, 64, seed=9))
    assert len(memory) == 5, "it is for training pictures"
    memory.clear()
    assert len(memory) == 0


def test_a_memory_tells_encoders_apart_and_sees_new_weights():
    memory, L = FeatureMemory(), lightness(2, 64, 64)
    one, other = frozen(memory), frozen(memory, seed=1)
    again = copy.deepcopy(one)
    assert again.memory is memory
    same(memory, one, L), same(memory, other, L), same(memory, again, L)
    assert len(memory) == 4
    one.encoder.load_state_dict(other.encoder.state_dict())
    same(memory, one, L)
    assert len(memory) == 4
    stored = io.BytesIO()
    torch.save(one, stored)
    stored.seek(0)
    same(torch.load(stored, weights_only=False).memory, one, L)


def same(memory, net, L):
    x = net.prepare(L)
    for known, fresh in zip(memory(net.encoder, x), net.encoder(x), strict=True):
        torch.testing.assert_close(known, fresh, atol=1e-4, rtol=1e-4)


def test_a_picture_takes_as_much_memory_as_is_said():
    net = ResNetColorizer(18, "worlds", width=2, frozen=True, memory=FeatureMemory())
    x = net.prepare(lightness(1, 64, 64))
    kilobytes = sum(f.numel() * f.element_size() for f in net.memory(net.encoder, x)) / 1000
    assert f"{kilobytes:.0f} kB" == "96 kB"
    assert "96 kB" in FeatureMemory.__doc__


def test_a_memory_tells_sizes_and_precisions_apart_and_hides_no_gradient():
    memory = FeatureMemory()
    net = frozen(memory)
    for size in ((32, 64), (64, 32)):
        same(memory, net, torch.full((1, 1, *size), 50.0))
    with torch.autocast("cpu", torch.bfloat16):
        same(memory, net, torch.full((1, 1, 32, 64), 50.0))
    assert len(memory) == 3
    L = lightness(2, 32, 32).requires_grad_()
    net(L).square().mean().backward()
    assert L.grad.any()


def test_a_memory_keeps_as_many_pictures_as_it_may():
    memory, L = FeatureMemory(most=3), lightness(5, 64, 64)
    net, plain = frozen(memory), frozen()
    for _ in range(2):
        assert torch.allclose(net(L), plain(L), atol=1e-3)
        assert len(memory) == 3


def test_only_a_frozen_encoder_can_have_a_memory():
    with pytest.raises(ValueError, match="set frozen=True"):
        ResNetColorizer(encoder_width=4, width=2, memory=FeatureMemory())


@pytest.mark.parametrize("bias", [False, True])
def test_both_inputs_are_seen_as_if_they_were_concatenated(bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 4, 3, padding=1, bias=bias)
    x, side = torch.rand(2, 3, 8, 6), torch.rand(2, 2, 8, 6)
    torch.testing.assert_close(
        conv_of_both(conv, x, side), conv(torch.cat([x, side], 1)), atol=1e-6, rtol=1e-5
    )


def test_dropout_works_in_training_alone():
    torch.manual_seed(0)
    net = ResNetColorizer(encoder_width=4, width=2, dropout=0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    L = lightness(1, 64, 64)
    assert not torch.equal(net(L), net(L))
    assert torch.equal(net.eval()(L), net(L))


def test_the_gray_value_is_srgbs_and_not_l():
    L = torch.tensor([0.0, 53.585, 100.0]).view(1, 1, 1, 3)
    gray = resnet.gray_value(L).flatten().tolist()
    assert gray == pytest.approx([0, 128 / 255, 1], abs=1e-4)
