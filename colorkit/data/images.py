"""Image files of any kind, decoded into RGB."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps


def read_rgb(path: str | Path) -> torch.Tensor:
    """An image file as a uint8 RGB picture (1, 3, H, W), upright by its EXIF tag."""
    with Image.open(path) as image:
        rgb = ImageOps.exif_transpose(image).convert("RGB")
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].contiguous()
