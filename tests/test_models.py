"""The networks: sizes, ranges, modes and weights, against torchvision and arithmetic."""

import re
from pathlib import Path
from urllib.error import URLError

import onnxruntime
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from colorkit import models
from colorkit.color import out_of_gamut
from colorkit.models import (
    DilatedCNN,
    EncoderDecoder,
    FeatureMemory,
    HintUNet,
    Lite0Colorizer,
    ResNetColorizer,
    UNet,
    ZhangNet,
    features,
    resnet,
)
from colorkit.models.colorizer import conv_of_both
from colorkit.models.resnet import Encoder

NETWORKS = {
    "lite0": lambda: Lite0Colorizer(pretrained=False, width=2),
    "encoder-decoder": lambda: EncoderDecoder(width=4, depth=3),
    "zhang": lambda: ZhangNet(kernels=2),
    "unet": lambda: UNet(width=4, depth=3),
    "unet without batch norm": lambda: UNet(width=4, depth=3, batch_norm=False),
    "hint unet": lambda: HintUNet(width=4, depth=3),
    "resnet": lambda: ResNetColorizer(encoder_width=4, width=2),
    "resnet 50 without skips": lambda: ResNetColorizer(50, encoder_width=2, width=2, skips=False),
}
DOCS = Path(__file__).parents[1] / "docs" / "models.md"


@pytest.fixture(params=NETWORKS)
def net(request):
    return NETWORKS[request.param]()


def lightness(n=2, height=40, width=56, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 100 * torch.rand(n, 1, height, width, generator=generator)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3)])
def test_any_size_and_precision_gives_colors_of_that_size(net, size):
    L = lightness(1, *size)
    ab = net.colorize(L)
    assert ab.shape == (1, 2, *size)
    assert ab.dtype == torch.float32
    assert not out_of_gamut(L, ab).any()
    torch.testing.assert_close(net.colorize(L.double()), ab)
    torch.testing.assert_close(net.double().colorize(L), ab, atol=1e-2, rtol=0)


def test_colors_do_not_hang_on_other_pictures_of_the_batch_and_the_mode_comes_back(net):
    """Batch norm in training mode would mix pictures, and learn from them."""
    L = lightness()
    net.train()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    ab = net.colorize(L)
    torch.testing.assert_close(ab, torch.cat([net.colorize(x[None]) for x in L]), atol=1e-3, rtol=0)
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


def test_fresh_colors_are_of_the_order_of_ab_and_every_weight_gets_a_gradient(net):
    """Normalisation is inside: neither L nor ab is scaled twice, and no ReLU stands at the end."""
    ab = net(lightness(4, 64, 64))
    assert 0.1 < ab.abs().mean() < 60
    assert ab.min() < 0 < ab.max()
    ab.square().mean().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_rgb_instead_of_l_is_refused(net):
    with pytest.raises(ValueError, match=r"L has shape \(1, 3, 32, 32\)"):
        net(torch.zeros(1, 3, 32, 32))


def test_the_dilated_network_keeps_the_size_and_sees_33_pixels():
    net = DilatedCNN(8).eval()
    for norm in net.modules():
        if isinstance(norm, nn.InstanceNorm2d):
            norm.forward = lambda x: x  # which would see the whole picture
    L = lightness(1, 50, 61).requires_grad_()
    ab = net(L)
    assert ab.shape == (1, 2, 50, 61)
    ab[0, :, 25, 30].abs().sum().backward()
    seen = L.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert 30 < seen[-1] - seen[0] + 1 <= 33  # ReLUs may close the outermost paths


@pytest.mark.parametrize(("head", "low", "high"), [("tanh", -128, 128), ("sigmoid", -128, 127)])
def test_bounded_heads_reach_all_of_srgb_and_no_further(head, low, high):
    net = UNet(width=2, depth=1, head=head)
    for sign, bound in ((-1, low), (1, high)):
        nn.init.constant_(net.head.bias, 50.0 * sign)
        assert net(lightness(1, 8, 8)).mean().item() == pytest.approx(bound, abs=1e-3)
    with pytest.raises(ValueError, match="no head 'relu': take one of linear, tanh, sigmoid"):
        UNet(head="relu")


@pytest.mark.parametrize("bias", [False, True])
def test_features_and_skip_are_convolved_as_if_they_were_concatenated(bias):
    conv = nn.Conv2d(5, 4, 3, padding=1, bias=bias)
    x, side = torch.rand(2, 3, 8, 6), torch.rand(2, 2, 8, 6)
    torch.testing.assert_close(
        conv_of_both(conv, x, side), conv(torch.cat([x, side], 1)), atol=1e-6, rtol=1e-5
    )


def test_zhangs_network_with_64_kernels_is_the_published_trunk():
    """Weights counted from the paper's table: (in, out, kernel) of each convolution."""
    with torch.device("meta"):
        net = ZhangNet(64)
    convs = [(1, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3)]
    convs += [(256, 256, 3)] * 2 + [(256, 512, 3)] + [(512, 512, 3)] * 11
    convs += [(512, 256, 4)] + [(256, 256, 3)] * 2 + [(256, 2, 1)]
    norms = [64, 128, 256, 512, 512, 512, 512]  # after each group but the last
    expected = sum(o * (i * k * k + 1) for i, o, k in convs) + 2 * sum(norms)
    assert sum(p.numel() for p in net.parameters()) == expected
    assert net.features(torch.zeros(1, 1, 64, 64, device="meta")).shape == (1, 256, 16, 16)


def test_dense_layers_fix_the_size_and_know_the_place():
    net = EncoderDecoder(width=2, depth=2, hidden=8, size=16)
    assert net.colorize(lightness(2, 16, 16)).shape == (2, 2, 16, 16)
    ab = net.eval()(torch.full((1, 1, 16, 16), 50.0))[0, 0, 6:10, 6:10]
    assert ab.std() > 1e-3  # flat L, yet colours differ from place to place
    with pytest.raises(ValueError, match=r"for 16 x 16 pixels, L has 16 x 24"):
        net(lightness(1, 16, 24))
    with pytest.raises(ValueError, match=r"multiple of 2\*\*depth = 8, got 20"):
        EncoderDecoder(hidden=8, size=20)


@pytest.mark.parametrize("layers", [18, 50])
def test_imagenet_weights_give_torchvisions_features_of_a_gray_picture(layers, monkeypatch):
    reference = torchvision.models.get_model(f"resnet{layers}", weights=None).eval()
    for module in reference.modules():  # statistics that are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    kind = type(resnet.IMAGENET[layers])
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: reference.state_dict())
    encoder = ResNetColorizer(layers, "imagenet", width=2).encoder.eval()
    gray = torch.rand(1, 1, 64, 64)
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


def test_the_encoder_is_given_the_gray_srgb_value_and_not_l():
    L = torch.tensor([0.0, 53.585, 100.0]).view(1, 1, 1, 3)
    gray = ResNetColorizer.encoder_input(L) * resnet.GRAY_STD + resnet.GRAY_MEAN
    assert gray.flatten().tolist() == pytest.approx([0, 128 / 255, 1], abs=1e-4)


def test_without_network_a_sentence_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(type(resnet.IMAGENET[18]), "get_state_dict", offline)
    with pytest.raises(RuntimeError, match=r"ResNet-18 could not .*no route.*\"worlds\".*None"):
        ResNetColorizer(18, "imagenet")


def test_own_weights_bring_their_width_and_those_that_do_not_fit_are_refused(tmp_path):
    encoder = Encoder(18, width=8)
    torch.save(encoder.state_dict(), tmp_path / "own.pt")
    loaded = ResNetColorizer(18, tmp_path / "own.pt", width=2).encoder.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in encoder.state_dict().items())
    with pytest.raises(ValueError, match=r"own.pt' does not fit a ResNet-50 of width 8"):
        ResNetColorizer(50, tmp_path / "own.pt")
    for layers, width in ((18, 64), (50, 16)):
        with pytest.raises(ValueError, match=f"of width {width}: .* its own is 16"):
            ResNetColorizer(layers, "worlds", encoder_width=width)
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    for name in ("text.pt", "other.pt"):
        with pytest.raises(ValueError, match=f"{name} holds no weights of a ResNet"):
            ResNetColorizer(18, tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no file .*none.pt: give a path"):
        ResNetColorizer(18, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="layers must be 18 or 50, got 34"):
        ResNetColorizer(34)


def test_a_frozen_encoder_keeps_weights_and_statistics_in_training():
    frozen, tuned = (
        ResNetColorizer(18, "worlds", width=2, frozen=frozen).train() for frozen in (True, False)
    )
    before = {k: v.clone() for k, v in frozen.encoder.state_dict().items()}
    for net in (frozen, tuned):
        optimizer = torch.optim.AdamW(net.parameters(), 0.1)
        net(lightness(2, 64, 64)).square().mean().backward()
        optimizer.step()
        assert net.head.weight.grad.any()
    assert all(torch.equal(v, before[k]) for k, v in frozen.encoder.state_dict().items())
    assert not torch.equal(tuned.encoder.conv1.weight, before["conv1.weight"])
    assert not torch.equal(tuned.encoder.bn1.running_mean, before["bn1.running_mean"])


def test_dropout_works_in_training_alone():
    net = ResNetColorizer(encoder_width=4, width=2, dropout=0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    L = lightness(1, 64, 64)
    assert not torch.equal(net(L), net(L))
    assert torch.equal(net.eval()(L), net(L))


def frozen(memory=None, seed=0):
    torch.manual_seed(seed)
    return ResNetColorizer(encoder_width=4, width=2, frozen=True, memory=memory)


def test_a_memory_gives_what_the_encoder_would_and_asks_it_once(monkeypatch):
    memory, L = FeatureMemory(), lightness(5, 64, 64)
    net, plain, again = frozen(memory), frozen(), frozen(memory)
    seen = []
    for each in (net, again):
        each.encoder.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    for rows in ([0, 1], [1, 2, 0], [4, 3], [3, 4]):
        assert torch.allclose(net(L[rows]), plain(L[rows]), atol=1e-3)
    assert torch.allclose(again(L), plain(L), atol=1e-3)
    assert seen == [2, 1, 2]
    net(L).square().mean().backward()
    plain(L).square().mean().backward()
    pairs = zip(net.decoder.parameters(), plain.decoder.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-2, atol=1e-3) for a, b in pairs)
    net.eval()(lightness(6, 64, 64, seed=9))
    assert len(memory.kept) == 5, "it is for training pictures"
    monkeypatch.setattr(features, "MOST", 6)
    wide = torch.cat([L[:1], lightness(3, 64, 64, seed=8)])
    assert torch.allclose(net.train()(wide), plain(wide), atol=1e-3)
    assert len(memory.kept) == 6
    memory.clear()
    assert not memory.kept


def test_a_memory_tells_sizes_and_encoders_apart_and_hides_no_gradient():
    memory = FeatureMemory()
    net = frozen(memory)
    for size in ((32, 64), (64, 32)):
        L = torch.full((1, 1, *size), 50.0)
        assert torch.allclose(net(L), frozen()(L), atol=1e-3)
    assert len(memory.kept) == 2
    with pytest.raises(ValueError, match="of one encoder, and this has other weights"):
        frozen(memory, seed=1)(lightness())
    with pytest.raises(ValueError, match="set frozen=True"):
        ResNetColorizer(encoder_width=4, width=2, memory=memory)
    L = lightness(2, 32, 32).requires_grad_()
    net(L).square().mean().backward()
    assert L.grad.any()


def test_the_page_on_models_runs_as_it_is_written_and_its_onnx_file_gives_the_same_colours(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    page = DOCS.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 3
    exec(compile("\n".join(blocks), str(DOCS), "exec"), names := {})
    assert [name for name in models.__all__ if name not in page] == []
    session = onnxruntime.InferenceSession("colours.onnx", providers=["CPUExecutionProvider"])
    for size in [(64, 64), (71, 101)]:  # it was exported at the first
        L = lightness(1, *size)
        (ab,) = session.run(None, {"L": L.numpy()})
        expected = names["whole"](L).detach()
        assert expected.std() > 0.01  # an untrained network, yet no constant
        torch.testing.assert_close(torch.from_numpy(ab), expected, atol=1e-3, rtol=0)
