"""Discriminators, the other player of a GAN: L and ab to logits, above 0 where colours look true.

A discriminator of patches asks of each square of the picture whether it could be true, so it judges
local colour and texture, with few weights (P. Isola et al., "Image-to-image translation with
conditional adversarial networks", CVPR 2017). One of the whole picture gives a single answer.

Neither has batch norm: its statistics tie the patches and the pictures of a batch together, so
that no logit would have a receptive field, and a batch that is all true gives itself away.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from colorkit.models.colorizer import AB_SCALE, check_lightness, normalize

SEES = {"ab": 2, "Lab": 3}
FIELDS = {16: 1, 34: 2, 70: 3}
"""Receptive fields in pixels, to how many of the convolutions halve the size."""


class Discriminator(nn.Module):
    """Raw L and ab in, scaled inside; ``sees="ab"`` hides L. Subclasses set `layers`."""

    layers: nn.Sequential

    def __init__(self, sees: str = "Lab") -> None:
        super().__init__()
        if sees not in SEES:
            raise ValueError(f"a discriminator sees one of {', '.join(SEES)}, not {sees!r}")
        self.sees = sees

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        """L (N, 1, H, W) in [0, 100] and ab (N, 2, H, W) in Lab units to logits (N, 1, h, w)."""
        check_lightness(L)
        if ab.shape != (len(L), 2, *L.shape[2:]):
            raise ValueError(f"ab {tuple(ab.shape)} does not belong to L {tuple(L.shape)}")
        x = ab / AB_SCALE
        return self.layers(x if self.sees == "ab" else torch.cat([normalize(L), x], dim=1))


class ImageDiscriminator(Discriminator):
    """One logit a picture of any size: four convolutions that halve, a mean, a hidden layer."""

    def __init__(self, width: int = 32, *, sees: str = "Lab") -> None:
        super().__init__(sees)
        layers: list[nn.Module] = []
        for before, after in pairwise([SEES[sees], *(width * 2**level for level in range(4))]):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.2)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(after, after, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(after, 1, 1))


class PatchDiscriminator(Discriminator):
    """One logit a patch, in the layout of pix2pix: convolutions 4 x 4, padded by 1.

    All but the last two halve the size. The first has `width` channels, 64 in pix2pix, then there
    are twice as many, up to 8 times. `field` is the side of the patch in pixels, 70, 34 or 16: at
    64 x 64 a field of 70 sees everything.
    """

    def __init__(self, width: int = 64, field: int = 70, *, sees: str = "Lab") -> None:
        super().__init__(sees)
        if field not in FIELDS:
            raise ValueError(f"the field is one of {', '.join(map(str, FIELDS))}, not {field}")
        self.field, halvings = field, FIELDS[field]
        widths = [SEES[sees], *(width * 2**level for level in range(halvings + 1))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if level < halvings else 1
            layers += [nn.Conv2d(before, after, 4, stride, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        smallest = 3 * 2 ** FIELDS[self.field]
        if min(L.shape[2:]) < smallest:
            raise ValueError(
                f"a field of {self.field} needs pictures of at least {smallest} x {smallest} "
                f"pixels, got {L.shape[2]} x {L.shape[3]}"
            )
        return super().forward(L, ab)
