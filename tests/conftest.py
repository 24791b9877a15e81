"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs for tests; they are not part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("COLORKIT_TEST_PHOTOS", beside))
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}: set COLORKIT_TEST_PHOTOS to a folder of them")
    return folder
