"""The widget of `figures.hint_painter`; it needs ipywidgets and anywidget."""

import base64
import html
import io
import time
from pathlib import Path

import anywidget
import ipywidgets
import torch
import traitlets
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms.v2.functional import resize, to_pil_image

from colorcourse.lesson01.figures import REACH, gamut_plane
from colorkit.color import fit_gamut, max_chroma, rgb_to_lab
from colorkit.files import write_whole
from colorkit.notebook import Feedback, State
from colorkit.photo import at_full_size, hint_planes, small_view

SHOWN, PLANE = 480, 256
"""Pixels: the longer side of the picture that is shown, and the side of the ab plane."""


class Clickable(anywidget.AnyWidget):
    """A picture with alt text; a click sends its place, x and y as shares of the sides."""

    source = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    _esm = Path(__file__).with_name("painter.js")

    def draw(self, image: Image.Image, alt: str) -> None:
        file = io.BytesIO()
        image.save(file, "WEBP", quality=85, method=2)
        data = base64.b64encode(file.getvalue()).decode()
        with self.hold_sync():
            self.source, self.alt = f"data:image/webp;base64,{data}", alt

    def html(self) -> str:
        """What is shown now, as an HTML ``<img>``."""
        return f'<img alt="{html.escape(self.alt)}" src="{self.source}">'


class Painter(ipywidgets.VBox):
    """Paint RGB (1, 3, H, W) uint8 with a model that has ``colorize(L, hints=...)``.

    A click on the picture chooses a place, one on the ab plane the colour there. The fields do the
    same by keyboard: x and y in pixels, a and b in Lab units. `states` are the hints of each step.
    """

    def __init__(self, picture: Tensor, model) -> None:
        self.picture, self.model, self.states = picture, model, [()]
        height, width = picture.shape[2:]
        scale = min(1, SHOWN / max(height, width))
        self.shown = resize(picture, [max(1, round(side * scale)) for side in (height, width)])
        self.light = rgb_to_lab(self.shown)[:, :1]
        self.small = small_view(picture, side=model.side)[:, :1]
        limits = {"x": (0, width - 1), "y": (0, height - 1)}
        limits |= dict.fromkeys(("a: green to red", "b: blue to yellow"), (-REACH, REACH))
        self.x, self.y, self.a, self.b = self.fields = [
            ipywidgets.BoundedIntText(sum(ends) // 2, *ends, description=name)
            for name, ends in limits.items()
        ]
        for field, wide in zip(self.fields, ("8em", "8em", "14em", "14em"), strict=True):
            field.style.description_width, field.layout.width = "initial", wide
        acts = {"Colour this place": self.put, "Undo": self.undo, "Save": self.save}
        self.buttons = [ipywidgets.Button(description=name) for name in acts]
        for button, act in zip(self.buttons, acts.values(), strict=True):
            button.on_click(lambda _, act=act: act())
        self.canvas, self.plane, self.message = Clickable(), Clickable(), ipywidgets.HTML()
        self.path = ipywidgets.Text("coloured.png", description="as")
        put, undo, save = self.buttons
        rows = [self.canvas, self.plane], [*self.fields, put], [undo, save, self.path]
        layout = {"flex_flow": "row wrap", "grid_gap": "0.5em"}
        super().__init__([*(ipywidgets.HBox(row, layout=layout) for row in rows), self.message])
        self.paint()
        self.x.observe(lambda _: self.look(), "value")
        self.y.observe(lambda _: self.look(), "value")
        self.canvas.on_msg(lambda _, at, buffers: self.go(at["x"] * width, at["y"] * height))
        self.plane.on_msg(lambda _, at, buffers: self.pick(2 * at["x"] - 1, 1 - 2 * at["y"]))

    def go(self, x: float, y: float) -> None:
        """To a place, in pixels."""
        self.x.value, self.y.value = int(x), int(y)

    def pick(self, a: float, b: float) -> None:
        """A colour for this place, in shares of what the plane shows."""
        self.a.value, self.b.value = round(a * self.reach), round(b * self.reach)
        self.put()

    def put(self) -> None:
        """Give this place the colour of the fields, as far as sRGB can show it at this L."""
        wanted = torch.tensor([self.a.value, self.b.value]).float().view(1, 2, 1, 1)
        ab = fit_gamut(self.here(self.light), wanted).flatten().tolist()
        x, y = self.x.value, self.y.value
        others = (hint for hint in self.states[-1] if (hint["x"], hint["y"]) != (x, y))
        self.states.append((*others, {"x": x, "y": y, "ab": ab}))
        self.paint()

    def undo(self) -> None:
        self.states = self.states[:-1] or [()]
        self.paint()

    def paint(self) -> None:
        """Colour the picture with the hints of the last state."""
        start, hints = time.perf_counter(), self.states[-1]
        given = hint_planes(hints, self.picture.shape[2:], self.small.shape[2:])
        self.ab = self.model.colorize(self.small, hints=given)
        self.image = self.colored(self.shown)
        self.look()
        self.say(f"hints: {len(hints)}, seconds: {time.perf_counter() - start:.2f}")

    def colored(self, rgb: Tensor) -> Image.Image:
        """A picture (1, 3, h, w) in the network's colours."""
        return to_pil_image(at_full_size(rgb, self.ab)[0])

    def place(self, x: int, y: int) -> tuple[float, float]:
        """The middle of a pixel, as shares of the sides."""
        return (x + 0.5) / self.picture.shape[3], (y + 0.5) / self.picture.shape[2]

    def here(self, plane: Tensor) -> Tensor:
        """The pixel of (1, C, h, w) at the place of the fields: (1, C, 1, 1)."""
        x, y = self.place(self.x.value, self.y.value)
        row, column = int(y * plane.shape[2]), int(x * plane.shape[3])
        return plane[:, :, row : row + 1, column : column + 1]

    def look(self) -> None:
        """Show the place of the fields, its colour, and those that it could have."""
        image, hints, x, y = self.image.copy(), self.states[-1], self.x.value, self.y.value
        for hint in hints:
            ring(image, *self.place(hint["x"], hint["y"]), "white", "black")
        ring(image, *self.place(x, y), "black", "white")
        told = f"The picture, coloured with hints: {len(hints)}; marked is x = {x}, y = {y}."
        self.canvas.draw(image, told)
        L, (a, b) = self.here(self.light), self.here(self.ab).flatten().round().int().tolist()
        self.a.value, self.b.value = a, b
        self.reach = max(5, max_chroma(L, torch.linspace(0, 6.28, 90)).max().item())
        rgb = gamut_plane(L.item(), PLANE, self.reach)[0][0]
        plane = to_pil_image((255 * rgb).round().byte())
        ring(plane, (1 + a / self.reach) / 2, (1 - b / self.reach) / 2, "black", "white")
        told = f"What sRGB can show at L = {L.item():.0f}: green left, red right, blue below, "
        self.plane.draw(plane, f"{told}yellow above; marked is a = {a}, b = {b}.")

    def save(self) -> None:
        """Write the picture at its full size to a new file."""
        path, file = Path(self.path.value).expanduser(), io.BytesIO()
        try:
            if path.exists():
                raise FileExistsError(f"{path} exists: choose another name")
            image = self.colored(self.picture)
            image.save(file, Image.registered_extensions().get(path.suffix.lower()), quality=95)
            write_whole(path, file.getvalue())
            self.say(f"saved as {path.resolve()}")
        except (OSError, ValueError) as error:
            self.say(f"not saved: {error}", "wrong")

    def say(self, message: str, state: State = "info") -> None:
        self.message.value = Feedback(state, "hint_painter", message)._repr_html_()


def ring(image: Image.Image, x: float, y: float, inner: str, outer: str) -> None:
    """Mark a place, in shares of the sides, by two rings that are seen on any colour."""
    center, pen = (x * image.width, y * image.height), ImageDraw.Draw(image)
    pen.circle(center, 7, outline=outer, width=2)
    pen.circle(center, 5, outline=inner, width=2)
