"""Photographs that come along, the encoder that has seen some, the colorizer for them."""

import json
import re
import signal
from urllib.error import URLError

import pytest
import torch
from click.testing import CliRunner

from colorkit.batches import Batches
from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.cards import FOLDER
from colorkit.data.pictures import OURS, PHOTOGRAPHS, photograph
from colorkit.data.prepare import prepare
from colorkit.evaluate import compare, score_models
from colorkit.fit import fit
from colorkit.models import (
    Classifier,
    EfficientNetLite0,
    Gray,
    Lite0Colorizer,
    ResNetColorizer,
    UNet,
    lite0,
    load_colorizer,
    loading,
    pretrained,
    resnet,
)
from scripts import pretrain_colorizer
from tests.conftest import colourful

# The largest logits that the package efficientnet-lite-pytorch 0.1.0 gives, by class of ImageNet.
REFERENCE = {
    "coffee": {967: 11.0651, 968: 6.9169, 925: 6.2547, 504: 5.6494},  # espresso, cup, consomme
    "chelsea": {285: 9.0879, 282: 8.8897, 281: 8.3123, 287: 6.8122},  # Egyptian cat, tiger cat
}


@pytest.fixture
def package():
    """Skips where the package with the weights is not installed."""
    return pytest.importorskip(lite0.PACKAGE)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_every_photograph_is_there_in_colour(name):
    rgb = photograph(name)
    assert rgb.shape[:2] == (1, 3)
    assert rgb.dtype == torch.uint8
    assert split_lab(rgb_to_lab(rgb))[1].norm(dim=1).mean() > 4
    assert photograph(name, 32).shape == (1, 3, 32, 32)
    assert name not in OURS or max(rgb.shape) == 1024


def test_each_of_our_photographs_has_author_licence_and_source():
    card = (FOLDER / "photographs" / "README.md").read_text(encoding="utf-8")
    row = r"^\| (\w+)\.webp \| [^|]+ \| [^|]+, \d{4} \| \[CC(?: BY 4|0 1)\.0\] \| \S+\.jpg, .* \|$"
    files = {path.stem for path in (FOLDER / "photographs").glob("*.webp")}
    assert set(re.findall(row, card, re.MULTILINE)) == files == {*OURS}


@pytest.mark.parametrize("name", REFERENCE)
def test_lite0_names_what_photographs_show_as_the_reference_does(name, package):
    net = EfficientNetLite0(3, 1000, pretrained=True).eval()
    x = (photograph(name, 224) / 255 - lite0.MEAN) / lite0.STD
    with torch.no_grad():
        logits = net.classify(x)[0]
    values, classes = logits.topk(4)
    assert dict(zip(classes.tolist(), values.tolist(), strict=True)) == pytest.approx(
        REFERENCE[name], abs=5e-3
    )


def test_one_gray_channel_gives_what_three_equal_ones_do(package):
    x = torch.randn(1, 1, 64, 96)
    with torch.no_grad():
        one = EfficientNetLite0(pretrained=True).eval()(x)
        three = EfficientNetLite0(3, pretrained=True).eval()(x.expand(1, 3, 64, 96))
    for level, (a, b) in enumerate(zip(one, three, strict=True)):
        assert a.shape == (1, lite0.EfficientNetLite0.channels[level], 32 >> level, 48 >> level)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_another_file_and_no_package_are_told(package, monkeypatch):
    monkeypatch.setattr(lite0, "SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"57934424\.pth is not the file .* install"):
        Lite0Colorizer()
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'colorkit\[lab\]'"):
        Lite0Colorizer()


def test_without_the_package_a_resnet_and_without_a_network_the_made_worlds(monkeypatch):
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    full = resnet.Encoder().state_dict()
    full["conv1.weight"] = full["conv1.weight"].expand(-1, 3, -1, -1)
    kind = type(resnet.IMAGENET[18])
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: full)
    net = pretrained(width=2, frozen=True)
    assert torch.equal(net.encoder.layer1[0].conv1.weight, full["layer1.0.conv1.weight"])

    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(kind, "get_state_dict", offline)
    with pytest.warns(UserWarning, match="no route .* has seen made worlds only"):
        net = pretrained(width=2, frozen=True)
    assert net.frozen
    own = ResNetColorizer(18, "worlds", width=2).encoder
    assert torch.equal(net.encoder.conv1.weight, own.conv1.weight)


def test_a_frozen_lite0_stays_while_its_decoder_learns(package):
    net = Classifier(pretrained(width=2, frozen=True), hidden=4).train()
    before = {k: v.clone() for k, v in net.trunk.encoder.state_dict().items()}
    net(100 * torch.rand(2, 1, 32, 32)).square().mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in net.trunk.encoder.state_dict().items())
    assert [k for k, p in net.named_parameters() if p.grad is None and "encoder" not in k] == []
    assert all(p.grad is None for p in net.trunk.encoder.parameters())


def test_the_colorizer_that_comes_along_needs_no_package_and_beats_gray(monkeypatch):
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    net = load_colorizer()
    assert not net.training
    assert all(v.dtype != torch.float16 for v in net.state_dict().values())
    pairs = [split_lab(rgb_to_lab(photograph(x, 128))) for x in ("grace_hopper", "coffee")]
    for pair in pairs:
        scores = score_models({"ours": net, "gray": Gray()}, [pair], ["auc"])
        assert scores["ours"]["auc"].value() > scores["gray"]["auc"].value() + 0.01
    assert loading.PHOTOGRAPHS.stat().st_size < 1e7


def test_it_scores_on_held_out_photographs_what_its_file_says(photos, tmp_path):
    made = torch.load(loading.PHOTOGRAPHS, weights_only=True)["made"]
    store = prepare(photos / "portraits", tmp_path / "store", 128, "60/20/20", workers=1)[0]
    batches = Batches(store, 32, split="test", in_order=True, device="cpu")
    scores = score_models({"ours": load_colorizer(), "gray": Gray()}, batches(), ["auc"])
    said = made["held_out"]["portraits"]
    assert scores["ours"]["auc"].value() == pytest.approx(said["ours"]["auc"], abs=1e-3)
    assert compare(scores, "ours", "gray").low["auc"] > 0.03


def test_a_name_or_a_file_that_is_no_colorizer_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no colorizer 'photos': give photographs, "):
        load_colorizer("photos")
    with pytest.raises(TypeError, match="frozen"):  # an option that this model does not have
        loading.build("unet", frozen=True)
    (tmp_path / "best.pt").write_text("no weights")
    with pytest.raises(ValueError, match=r"best\.pt is damaged or no checkpoint"):
        load_colorizer(tmp_path)
    arguments = {"model": "unet", "width": 4, "loss": "l2"}
    for wrong in ({}, arguments, {**arguments, "model": "transformer"}):
        torch.save({"model": UNet(2).state_dict(), "arguments": wrong}, tmp_path / "best.pt")
        with pytest.raises(ValueError, match=r"best\.pt does not say which network"):
            load_colorizer(tmp_path)


def test_the_script_makes_a_file_that_loads_and_none_of_half_a_run(tmp_path, package, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(20):
            colourful(i + 20 * (name == "two")).save(tmp_path / name / f"{i}.png")
    monkeypatch.setattr(pretrain_colorizer, "BATCH", 4)
    monkeypatch.setattr(pretrain_colorizer, "SIZE", 64)
    out, work = tmp_path / "out" / "own.pt", tmp_path / "work"
    arguments = [str(tmp_path / "one"), str(tmp_path / "two"), f"--work={work}", "--steps=20"]

    def interrupted(*arguments, **options):
        stop = lambda run: signal.raise_signal(signal.SIGINT) if run.step == 2 else None  # noqa: E731
        return fit(*arguments, **options, callbacks=[stop])

    with monkeypatch.context() as patch:
        patch.setattr(pretrain_colorizer, "fit", interrupted)
        said = CliRunner().invoke(pretrain_colorizer.main, [str(out), *arguments])
    assert said.exit_code == 1
    assert "stopped at step 3 of 20" in said.output
    assert not out.exists()
    said = CliRunner().invoke(pretrain_colorizer.main, [str(out), *arguments])
    assert said.exit_code == 0, said.output
    made = json.loads(said.output[said.output.index("{") :])
    assert made["pictures"] == {x: {"train": 12, "val": 4, "test": 4} for x in ("one", "two")}
    stored = torch.load(out, weights_only=True)
    assert stored["made"] == made
    assert stored["model"]["trunk.encoder.stem.1.weight"].dtype == torch.float16
    assert stored["model"]["trunk.encoder.stem.2.running_var"].dtype == torch.float32
    net, L = load_colorizer(out), torch.full((1, 1, 40, 24), 50.0)
    assert net.colorize(L).shape == (1, 2, 40, 24)
    own = EfficientNetLite0(pretrained=True).state_dict()["stem.1.weight"]
    torch.testing.assert_close(net.trunk.encoder.stem[1].weight, own, atol=1e-6, rtol=1e-3)
