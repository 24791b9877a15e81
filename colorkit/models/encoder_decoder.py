"""The plain encoder-decoder: convolutions with stride down, transposed convolutions up.

All that it knows of the place of an edge has to pass through the smallest layer, so its colours
are blurred and bleed; `unet` is the answer to that. With `hidden`, dense layers follow at the end,
as in a student's report on synthetic faces: they know where in the picture they are, which helps
only where pictures are aligned, and they tie the network to one size.
"""

from itertools import pairwise

from torch import Tensor, nn

from colorkit.models.colorizer import AB_SCALE, Network


def block(conv: nn.Module) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())


class EncoderDecoder(Network):
    """Encoder-decoder without shortcuts: raw L in, raw ab out, any size unless `hidden` is set.

    Height and width are halved `depth` times; the first layer has `width` channels, each further
    one twice as many. `hidden` are the units of a dense layer at the end, 0 for none; then `size`
    is the height and width of all pictures, a multiple of 2**depth.
    """

    def __init__(self, width: int = 32, depth: int = 3, hidden: int = 0, size: int = 64) -> None:
        super().__init__()
        self.stride, self.size = 2**depth, size if hidden else None
        pairs = list(pairwise([1] + [width * 2**level for level in range(depth)]))
        down = [nn.Conv2d(a, b, 3, 2, padding=1, bias=False) for a, b in pairs]
        pairs = [(b, max(a, width)) for a, b in reversed(pairs)]
        # Kernel 4 with stride 2 gives all pixels as many terms; kernel 3 would draw a checkerboard.
        up = [nn.ConvTranspose2d(a, b, 4, 2, padding=1, bias=False) for a, b in pairs]
        self.encoder, self.decoder = (nn.Sequential(*map(block, layers)) for layers in (down, up))
        self.head = nn.Conv2d(width, 2, 3, padding=1)
        if hidden:
            if size % self.stride:
                raise ValueError(f"size must be a multiple of 2**depth = {self.stride}, got {size}")
            layers = nn.Linear(2 * size**2, hidden), nn.ReLU(), nn.Linear(hidden, 2 * size**2)
            self.dense = nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, (2, size, size)))

    def forward(self, L: Tensor) -> Tensor:
        if self.size and tuple(L.shape[2:]) != (self.size, self.size):
            raise ValueError(
                f"this network has dense layers for {self.size} x {self.size} pixels, L has "
                f"{' x '.join(map(str, L.shape[2:]))}: resize L, or build it with size=... or "
                "hidden=0"
            )
        return super().forward(L)

    def compute(self, x: Tensor) -> Tensor:
        x = self.head(self.decoder(self.encoder(x)))
        return AB_SCALE * (self.dense(x) if self.size else x)
