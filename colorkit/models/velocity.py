"""A small U-Net with attention that gives velocities: where a noisy colouring moves, given L.

It sees the lightness by the features of a trained encoder. Convolutions tell each place what is
near it; attention lets the places of one object agree on a colour (A. Vaswani et al., "Attention is
all you need", NeurIPS 2017; in a network of noisy pictures: J. Ho et al., "Denoising diffusion
probabilistic models", NeurIPS 2020).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.models.decoder import EncoderColorizer

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
HEADS = 4
PATCH = 2  # pixels of x a side that one place of the network holds
WAVES = 32  # sines and cosines that tell the time
PLACES = 3  # and sines and cosines of each coordinate that tell the place


class TimedBlock(nn.Module):
    """Two convolutions and a shortcut; between them the time scales and shifts each channel."""

    def __init__(self, before: int, after: int, times: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1)
        )
        self.norm, self.time = nn.GroupNorm(8, after), nn.Linear(times, 2 * after)
        self.second = nn.Sequential(nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.second[1].weight)  # so that a block begins as its shortcut

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(time)[:, :, None, None].chunk(2, 1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        return self.shortcut(x) + self.second(h)


def places(x: Tensor) -> Tensor:
    """Where each place of x (N, C, h, w) is: (1, 4 PLACES, h, w), sines and cosines.

    A sum over all places does not know which of them are neighbours; this tells it.
    """
    waves = math.pi * 2 ** torch.arange(PLACES, device=x.device)
    sides = (torch.linspace(0, 1, side, device=x.device) for side in x.shape[2:])
    rows_and_columns = torch.stack(torch.meshgrid(*sides, indexing="ij"))
    angles = (rows_and_columns[:, None] * waves[:, None, None]).flatten(0, 1)
    return torch.cat([angles.sin(), angles.cos()])[None]


class SelfAttention(nn.Module):
    """Each place asks all places of its picture, in several heads, and adds what they answer.

    ``attend(q, k, v)`` is of tensors (N, heads, places, channels), torch's own or a student's.
    """

    def __init__(self, channels: int, attend: Attend) -> None:
        super().__init__()
        self.norm, self.attend = nn.GroupNorm(8, channels), attend
        self.place = nn.Conv2d(4 * PLACES, channels, 1, bias=False)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x) + self.place(places(x).to(x.dtype))
        heads = self.qkv(h).flatten(2).unflatten(1, (3, HEADS, -1)).transpose(3, 4)
        answer = self.attend(*heads.unbind(1))
        return x + self.out(answer.transpose(2, 3).reshape(x.shape))


class VelocityNet(nn.Module):
    """Noisy small colours x, the time t and raw L in, velocities of the shape of x out.

    Parameters
    ----------
    trunk : EncoderColorizer
        It is taken over: its encoder, frozen, looks at L; its decoder is left out.
    width : int
        Channels at a quarter of L's side length, twice as many below; a multiple of 8.
    attend : callable
        As in `SelfAttention`.
    drop : float
        Share of the pictures of a training batch whose L is hidden, so that the network learns what
        colours are like without it (J. Ho and T. Salimans, "Classifier-free diffusion guidance").
    """

    def __init__(
        self,
        trunk: EncoderColorizer,
        width: int = 32,
        attend: Attend = F.scaled_dot_product_attention,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(trunk, EncoderColorizer):
            raise TypeError(
                f"a {type(trunk).__name__} has no encoder to look at L with: take an "
                "EncoderColorizer, such as load_colorizer().trunk"
            )
        if width < 8 or width % 8:
            raise ValueError(f"width {width}: take a multiple of 8, for the group norms")
        self.trunk, self.drop, times = trunk, drop, 4 * width
        trunk.decoder, trunk.head, trunk.frozen = nn.ModuleList(), nn.Identity(), True
        trunk.requires_grad_(False)
        channels = [16, *trunk.encoder.channels[1:]]  # of L itself, and at 1/4 to 1/32 of the size
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.looks = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.time = nn.Sequential(
            nn.Linear(2 * WAVES, times), nn.SiLU(), nn.Linear(times, times), nn.SiLU()
        )
        block = lambda before, after: TimedBlock(before * width, after * width, times)  # noqa: E731
        self.begin = nn.Conv2d(2 * PATCH**2 + width, width, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(k * width, 2 * width, 3, stride=2, padding=1) for k in (1, 2)
        )
        self.blocks = nn.ModuleList([block(1, 1), block(2, 2), block(2, 2), block(2, 2)])
        self.up = nn.ModuleList([block(4, 2), block(3, 1)])
        self.attention = nn.ModuleList(SelfAttention(2 * width, attend) for _ in range(3))
        self.head = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 2 * PATCH**2, 3, padding=1)
        )
        self.train()  # the encoder, frozen now, goes into evaluation mode

    def see(self, L: Tensor) -> Tensor:
        """What the network knows of L (N, 1, H, W): (N, width, h, w) at a quarter of the size.

        In training some pictures are hidden: all 0 stands for no L at all.
        """
        with torch.no_grad():
            x = self.trunk.prepare(L)
            features = [F.pixel_unshuffle(x, 4), *self.trunk.encoder(x)[1:]]
        levels = zip(self.looks, self.norms, features, strict=True)
        small = [look(norm(x)) for look, norm, x in levels]
        size = small[0].shape[2:]
        seen = sum(F.interpolate(x, size, mode="nearest") for x in small)
        if self.training:
            seen = seen * (torch.rand(len(L), 1, 1, 1, device=L.device) >= self.drop)
        return seen

    def velocity(self, x: Tensor, t: Tensor, seen: Tensor) -> Tensor:
        """x (N, 2, h, w), t (N,) in [0, 1] and what `see` gave to velocities (N, 2, h, w)."""
        angles = t[:, None] * torch.logspace(0, 3, WAVES, device=t.device)
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        patches = F.pixel_unshuffle(x, PATCH)  # their pixels become channels
        quarter = self.blocks[0](self.begin(torch.cat([patches, seen], 1)), time)
        eighth = self.attention[0](self.blocks[1](self.down[0](quarter), time))
        h = self.attention[1](self.blocks[2](self.down[1](eighth), time))
        h = F.interpolate(self.blocks[3](h, time), scale_factor=2)
        h = self.attention[2](self.up[0](torch.cat([h, eighth], 1), time))
        h = self.up[1](torch.cat([F.interpolate(h, scale_factor=2), quarter], 1), time)
        return F.pixel_shuffle(self.head(h), PATCH)

    def forward(self, x: Tensor, t: Tensor, L: Tensor) -> Tensor:
        """As `velocity`, of raw L (N, 1, H, W) with twice the sides of x."""
        return self.velocity(x, t, self.see(L))
