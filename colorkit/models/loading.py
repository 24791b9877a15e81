"""From a name to a network: built anew, or as a run of training left it, ready to colour."""

import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from colorkit.models.classifier import Classifier
from colorkit.models.cnn import DilatedCNN
from colorkit.models.colorizer import Colorizer, Network
from colorkit.models.decoder import EncoderColorizer
from colorkit.models.encoder_decoder import EncoderDecoder
from colorkit.models.hints import HintUNet
from colorkit.models.lite0 import PACKAGE, Lite0Colorizer
from colorkit.models.resnet import ResNetColorizer
from colorkit.models.unet import UNet
from colorkit.models.zhang import ZhangNet
from colorkit.run import read_checkpoint

PHOTOGRAPHS = Path(__file__).with_name("weights") / "photographs.pt"
OF_ONE_WIDTH = {"cnn": DilatedCNN, "encoder-decoder": EncoderDecoder, "unet": UNet}
OF_ONE_WIDTH |= {"zhang": ZhangNet}


def build(
    model: str, width: int | None = None, loss: str = "l2", hidden: int = 0, **options: Any
) -> Network:
    """The network of `colorkit train` with this model, width and loss; a ValueError: there is none.

    The options are the network's own; `hidden` is that of a `Classifier`.
    """
    size = {} if width is None else {"width": width}
    if model in ("resnet18", "resnet50"):
        net = ResNetColorizer(int(model[6:]), **size, **options)
    elif model == "lite0":
        net = Lite0Colorizer(**size, **options)
    elif model in OF_ONE_WIDTH:
        net = OF_ONE_WIDTH[model](*size.values(), **options)
    else:
        raise ValueError(f"there is no model {model!r} to build")
    return Classifier(net, hidden=hidden) if loss == "classes" else net


def pretrained(**options: Any) -> EncoderColorizer:
    """A colorizer whose encoder has seen photographs, or the next best that is to be had here.

    EfficientNet-Lite0 where its package is installed; else a ResNet-18 with torchvision's weights,
    which are downloaded; else, with a warning, one that has seen made worlds. The options are those
    of an `EncoderColorizer`.
    """
    try:
        return Lite0Colorizer(**options)
    except ModuleNotFoundError:
        pass
    try:
        return ResNetColorizer(18, "imagenet", **options)
    except RuntimeError as error:
        text = f"{error}; {PACKAGE} is not installed either, so the encoder has seen made worlds"
        warnings.warn(f"{text} only: python -m pip install 'colorkit[lab]'", stacklevel=2)
        return ResNetColorizer(18, "worlds", **options)


def load_colorizer(name_or_checkpoint: str | PathLike = "photographs") -> Colorizer:
    """A trained colorizer, in evaluation mode, on the CPU.

    "photographs" is the one that comes along (docs/colorizer.md says what it can), "hints" a
    `HintUNet`, "flow" a `colorkit.flow.FlowColorizer`; else give the folder of a run of ``colorkit
    train``, whose best weights are taken, or a checkpoint in it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, or does not say which network it is of.
    """
    name = fspath(name_or_checkpoint)
    if name == "hints":
        return HintUNet.trained()
    if name == "flow":
        from colorkit.flow import FlowColorizer  # it imports this module

        return FlowColorizer.trained()
    path = PHOTOGRAPHS if name == "photographs" else Path(name).expanduser()
    path = next(filter(Path.is_file, (path, path / "best.pt", path / "last.pt")), None)
    if path is None:
        raise FileNotFoundError(
            f"there is no colorizer {name!r}: give photographs, hints, flow, the folder of a run "
            "of colorkit train, or the path of a checkpoint"
        )
    file = read_checkpoint(path)
    state, arguments = file["model"], file["arguments"]
    known = {x: arguments[x] for x in ("model", "width", "loss", "hidden") if x in arguments}
    try:
        if known["model"] == "lite0":
            known["pretrained"] = False
        elif known["model"].startswith("resnet"):
            stem = next(x for name, x in state.items() if name.endswith("encoder.conv1.weight"))
            known["encoder_width"] = len(stem)
        net = build(**known)
        net.load_state_dict(state)
    except (KeyError, StopIteration, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say which network it is of ({error!r})") from error
    return net.eval()
