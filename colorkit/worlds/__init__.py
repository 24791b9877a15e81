"""Made worlds: pictures drawn by code, whose distribution of colours given L is known exactly.

Lightness is drawn first, and kept in float. Then each thing gets a colour mode: a hue and a share
of the largest chroma that sRGB allows at each pixel's L. So p(ab | L, scene) is known at every
pixel: `World.posterior` gives it, and `World.oracle_mean` the best prediction for squared error.
"""

from .bear_scenes import bears
from .link import Link
from .orchard_scenes import orchard
from .portrait_scenes import portraits
from .world import World

WORLDS = {"orchard": orchard, "portraits": portraits, "bears": bears}

__all__ = ["WORLDS", "Link", "World", "bears", "orchard", "portraits"]
