"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


def _photo_folder() -> Path:
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    return Path(os.environ.get("COLORKIT_TEST_PHOTOS", beside)).resolve()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs: COLORKIT_TEST_PHOTOS, else ../shared/data. Skips without."""
    folder = _photo_folder()
    if not folder.is_dir():
        pytest.skip(f"no photographs at {folder}: set COLORKIT_TEST_PHOTOS to a folder of them")
    return folder
