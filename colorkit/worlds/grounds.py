"""What things lie on and what is behind them: grass, wood, cloth, stone, sky, wall, woods, snow.

Each function takes the floor's or backdrop's coordinates for m pictures and gives lightness
(m, H, W). A floor is seen at a slant: its texture shrinks towards the horizon.
"""

from functools import cache

import numpy as np

from .drawing import (
    BACKDROP,
    GROUND,
    TILE,
    Canvas,
    bump,
    column,
    nearest,
    noise,
    sample,
    smooth,
    speckle,
    wave,
)
from .draws import Draws

INNER = 4  # slot of what stands within a backdrop, such as trunks
f = np.float32


class View:
    """Pixel coordinates of m pictures (rows first to last) with a horizon, and of their floor.

    x runs from -0.5 to 0.5 to the right, y from 0 to 1 downwards; `down` is 0 at the horizon and
    1 at the lower border; the floor's own coordinates are `across` and `along` (further = less).
    """

    def __init__(self, size: int, horizon: np.ndarray, first: int = 0, last: int | None = None):
        steps = ((np.arange(size) + 0.5) / size).astype(np.float32)
        self.size = size
        self.horizon = column(horizon)
        self.x = (steps - f(0.5))[None, None, :]
        self.y = steps[None, first:last, None]
        self.down = (self.y - self.horizon) / (1 - self.horizon)
        self.far = 1 / (np.clip(self.down, 0, 1) + f(0.55))
        self.across = self.x * self.far
        self.along = -self.far * f(1.3)


def compose(canvas: Canvas, rows: np.ndarray, horizon: np.ndarray, near, far, parts) -> None:
    """Draw floor and backdrop of the pictures `rows`, each only where it can be seen.

    `near` and `far` are random numbers by name, (n,) each, of the floor and of the backdrop.
    `parts` are three functions of a view and its draws: the floor; the backdrop, perhaps with how
    much of each pixel its inner things (slot INNER) cover; the skyline's depth below the horizon.
    """
    floor, behind, skyline = parts
    near, far = ({name: x[rows] for name, x in draws.items()} for draws in (near, far))
    size, horizon = canvas.size, horizon[rows]
    low = max(0, int((horizon.min() - 0.06) * size))
    high = min(size, int((horizon.max() + 0.06) * size) + 1)
    picture = np.zeros((len(rows), size, size), np.float32)
    picture[:, low:] = floor(View(size, horizon, low), near)
    if high > 0:
        view = View(size, horizon, 0, high)
        back, inner = behind(view, far), None
        if isinstance(back, tuple):
            back, inner = back
        cover = (view.horizon + skyline(view, near) - view.y) * size + f(0.5)
        cover = np.broadcast_to(np.clip(cover, 0, 1), back.shape)
        picture[:, :high] = picture[:, :high] * (1 - cover) + back * cover
        slot = BACKDROP if inner is None else np.where(inner >= 0.5, np.uint8(INNER), BACKDROP)
        canvas.owner[rows, :high] = np.where(cover >= 0.5, slot, GROUND)
        soft = np.abs(cover - 0.5) < 0.48
        if inner is not None:
            soft |= (np.abs(inner - 0.5) < 0.48) & (cover >= 0.5)
        canvas.soft[rows, :high] = soft
    canvas.lightness[rows] = picture


@cache
def _blades() -> np.ndarray:
    """A periodic tile of grass: tapered blades, lighter towards their tips, some leaning."""
    rng = Draws(0, "blades", np.arange(2600))
    x, y = rng.uniform(0, TILE), rng.uniform(0, TILE)
    long, lean = rng.uniform(26, 60), rng.uniform(-0.45, 0.45)
    wide, tone = rng.uniform(2.0, 4.2), rng.uniform(-0.55, 1.0)
    tile = np.full((TILE, TILE), -0.9, np.float32)
    for k in np.argsort(y, kind="stable"):
        t = np.arange(int(long[k])) / long[k]
        rows = (np.floor(y[k] - t * long[k]).astype(int)) % TILE
        middle = x[k] + lean[k] * t * t * long[k]
        reach = np.arange(-4, 5)
        cols = np.floor(middle[:, None]).astype(int) + reach
        off = cols + 0.5 - middle[:, None]
        half = wide[k] * (1 - t * t)[:, None] / 2 + 0.2
        cover = np.clip(half - np.abs(off) + 0.5, 0, 1)
        light = -1.0 + (1.0 + tone[k]) * (0.25 + 0.75 * t)[:, None] + 0.25 * np.sign(off)
        spot = (rows[:, None], cols % TILE)
        tile[spot] = tile[spot] * (1 - cover) + light * cover
    return tile


@cache
def _planks() -> np.ndarray:
    """A periodic tile of four planks that run along y: rings, fibres, knots and gaps."""
    step = np.arange(TILE, dtype=np.float32)
    x, y = step[None, :], step[:, None]
    plank = np.floor(x / 128)
    shift = plank * f(173)
    bend = sample(noise(), x * 0.4 + shift, y * 0.12 + shift)
    rings = wave((x % 128) / 44 + bend * f(0.55) + shift)
    fibre = sample(speckle(), x * 1.7 + shift, y * 0.06 + shift)
    tone = Draws(0, "planks", np.arange(1)).uniform(-0.45, 0.45, 4).astype(np.float32)[0]
    gap = bump(np.abs(x % 128 - 64) - 64, f(2.2))
    body = rings * f(0.42) + fibre * f(0.28) + tone[plank.astype(int)]
    return body * (1 - gap) - gap * f(3.2)


def grass(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """A meadow: blades in perspective, hazier and lighter far away, in light and shade."""
    shift = column(draws["shift"] * TILE)
    blades = sample(_blades(), view.across * 190 + shift, view.along * 170 + shift)
    broad = nearest(noise(), view.across * 30 + shift, view.along * 60 + shift)
    near = np.clip(view.down, 0, 1)
    tone = column(43 + 12 * draws["tone"]) + (1 - near) * 6
    return tone + blades * (6 + 9 * near) + broad * f(2.5)


def wood(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """A table of planks that run away from us, with a sheen in the distance."""
    shift = column(draws["shift"] * TILE)
    grain = sample(_planks(), view.across * 330 + shift, view.along * 240 + shift)
    near = np.clip(view.down, 0, 1)
    tone = column(44 + 18 * draws["tone"]) + (1 - near) * (1 - near) * 10
    return (tone + grain * (4 + 4 * near)) * (1 - bump(view.down, f(0.05)) * f(0.25))


def cloth(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """A tablecloth with soft folds: plain, striped, checked or dotted."""
    shift = column(draws["shift"])
    folds = sample(noise(), view.across * 34 + shift * TILE, view.along * 22 + shift * TILE)
    x = view.across * 7 + shift + folds * f(0.05)
    y = view.along * 7 + shift + folds * f(0.05)
    stripes, rows = smooth(-0.45, 0.45, wave(x)), smooth(-0.45, 0.45, wave(y))
    dots = smooth(0.9, 1.35, wave(x) + wave(y))
    kind = column(draws["pattern"])
    checks = (stripes + rows) * f(0.5)
    plain = np.zeros_like(checks)
    pattern = np.select([kind < 0.25, kind < 0.5, kind < 0.8], [plain, stripes, checks], dots)
    weave = nearest(speckle(), view.across * 380 + shift * TILE, view.along * 380)
    tone = column(46 + 26 * draws["tone"])
    return tone + pattern * f(15) + folds * f(3.6) + weave * f(1.1)


def stone(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """A ledge of stone blocks with a bright far edge."""
    shift = column(draws["shift"] * TILE)
    grains = sample(noise(), view.across * 240 + shift, view.along * 200 + shift)
    joint = bump(wave(view.across * f(1.1) + shift) + 1, f(0.012))
    edge = bump(view.down, f(0.035))
    tone = column(50 + 20 * draws["tone"])
    return tone + grains * f(4.5) - joint * f(16) + edge * f(9)


def sky(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Sky, brighter towards the horizon, with soft clouds lit from above."""
    shift = column(draws["shift"] * TILE)
    x, y = view.x * 95 + shift, view.y * 170 + shift
    puffs = sample(noise(), x, y)
    lower = sample(noise(), x, y - f(7))
    cloud = smooth(0.2, 1.5, puffs) * column(smooth(0.2, 0.6, draws["clouds"]))
    clear = column(57 + 12 * draws["tone"]) + view.y * f(14)
    white = f(91) + (puffs - lower) * f(3.5)
    return clear + (white - clear) * cloud


def wall(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """A plastered wall with a pool of light on the lamp's side."""
    shift = column(draws["shift"] * TILE)
    plaster = nearest(noise(), view.x * 120 + shift, view.y * 120 + shift)
    pool = bump(view.x + column(draws["side"]) * f(0.3), f(1.1))
    tone = column(40 + 26 * draws["tone"])
    foot = bump(view.down, f(0.10)) * f(0.22)
    return (tone + pool * f(14) + plaster * f(1.0)) * (1 - foot)


def ridge(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """How far the skyline lies below the horizon, an uneven line: (m, 1, W)."""
    return sample(noise(), view.x * 26 + column(draws["shift"] * TILE), view.horizon) * f(0.014)


def moss(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """The floor of woods: grass, moss and patches of light that fall through the trees."""
    shift = column(draws["shift"] * TILE)
    blades = sample(_blades(), view.across * 170 + shift, view.along * 260 + shift)
    spots = sample(noise(), view.across * 34 + shift, view.along * 70 + shift)
    tone = column(34 + 12 * draws["tone"])
    near = np.clip(view.down, 0, 1)
    return tone + blades * (3 + 5 * near) + spots * f(3) + smooth(0.6, 1.8, spots) * 9


def trees(view: View, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Woods in haze: leaves and undergrowth, and trunks, the nearer the darker and thicker.

    Gives lightness and how much of each pixel trunks cover.
    """
    shift = column(draws["shift"] * TILE)
    leaves = sample(noise(), view.x * 85 + shift, view.y * 85 + shift)
    tufts = sample(speckle(), view.x * 75 + shift, view.y * 75 + shift)
    light = f(64) - f(26) * view.y / view.horizon + leaves * f(4)
    lean = view.y * (column(draws["tone"]) - f(0.5)) * f(0.08)
    trunks = np.zeros_like(light)
    for depth, (often, wide, tone) in enumerate(
        ((8.3, 0.09, 48), (5.1, 0.11, 37), (2.7, 0.15, 25))
    ):
        x = (view.x + lean) * f(often) + shift * f(0.37 * (depth + 1))
        cell = np.floor(x)
        unit = nearest(speckle(), cell * 8 + 4, shift + 64 * depth)  # of each trunk, by chance
        other = nearest(speckle(), cell * 8 + 4, shift + 64 * depth + 200)
        across = x - cell - f(0.5) - np.clip(other, -2, 2) * f(0.13)  # 0 amid a trunk
        half = f(wide) * (1 + np.clip(unit, -1.6, 1.6) * f(0.3))
        cover = np.clip((half - np.abs(across)) / f(often / view.size) + f(0.5), 0, 1)
        bark = sample(speckle(), across * 70 + shift, view.y * 26 + shift)
        round_ = f(1) + across * column(draws["side"]) * f(1.1)
        light = light * (1 - cover) + (tone + unit * 2 + bark * 2) * round_ * cover
        trunks = trunks * (1 - cover) + cover
        under = smooth(0.10, -0.04, view.horizon - view.y - (leaves + 1) * f(0.03))
        light = light * (1 - under) + (f(44 - 5 * depth) + tufts * 4) * under
        trunks = trunks * (1 - under)
    crown = smooth(0.14, -0.02, view.y - leaves * f(0.045))
    light = light * (1 - crown) + (f(33) + tufts * 5 + leaves * 4) * crown
    return light, trunks * (1 - crown)


def snow(view: View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Snow with soft drifts, lit from the lamp's side."""
    shift = column(draws["shift"] * TILE)
    side = column(draws["side"]) * f(3)
    drifts = sample(noise(), view.across * 20 + shift, view.along * 60 + shift)
    beyond = sample(noise(), view.across * 20 + shift + side, view.along * 60 + shift - 2)
    grains = nearest(speckle(), view.across * 400, view.along * 400 + shift)
    tone = column(82 + 6 * draws["tone"])
    return tone + drifts * f(2) + (drifts - beyond) * 9 + grains * f(0.7)


def ice(view: View, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A cold sky over hazy, snow-covered mountains: lightness, and cover of the mountains."""
    shift = column(draws["shift"] * TILE)
    air = sky(view, draws | {"tone": draws["tone"] * 0.8})
    hills = np.zeros_like(air)
    side = column(draws["side"]) * f(3)
    for depth, (high, tone, steep) in enumerate(((0.18, 83, 34.0), (0.07, 74, 52.0))):
        line = sample(noise(), view.x * steep + shift + 90 * depth, shift)
        line = view.horizon - f(high) - line * f(0.05)
        cover = np.clip((view.y - line) * view.size + f(0.5), 0, 1)
        below = (view.y - line) * 110
        folds = sample(noise(), view.x * 60 + shift, below + shift)
        relief = folds - sample(noise(), view.x * 60 + shift + side, below + shift - 2)
        rocks = smooth(0.5, 1.1, folds) * f(11)
        rock = tone + relief * f(7) - rocks + below * f(0.12)
        air = air * (1 - cover) + rock * cover
        hills = hills * (1 - cover) + cover
    return air, hills
