"""The wheel holds all that is needed, and works where there is no checkout."""

import zipfile

import pytest

from colorcourse.checkout import lesson_ids
from colorkit.data.cards import cards
from tests.conftest import ROOT, python

NOTEBOOKS = [f"{name}.ipynb" for name in lesson_ids(ROOT)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's content, as an installation lays it out."""
    out, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    command = ("-m", "build", "--wheel", "--no-isolation", "--outdir", out)
    done = python(*command, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def test_the_wheel_holds_what_the_packages_hold_and_what_lies_beside_them(installed):
    beside = {"datasets": "colorkit/data/datasets", "lessons": "colorcourse/lessons"}
    folders = {"colorkit": "colorkit", "colorcourse": "colorcourse"} | beside
    lost = []
    for folder, home in folders.items():
        paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        for path in paths:
            inside = installed / home / path.relative_to(ROOT / folder)
            if "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts:
                lost += [] if inside.is_file() else [path.relative_to(ROOT).as_posix()]
    assert lost == []
    assert len(list(installed.rglob("*.pt"))) == 4
    assert not list(installed.glob("tests"))


def test_outside_a_checkout_the_lessons_come_from_the_wheel_and_stay(installed, tmp_path):
    def colorkit(*arguments, folder=tmp_path):
        done = python("-m", "colorkit", *arguments, folder=folder, PYTHONPATH=str(installed))
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert colorkit("lessons") == [f"copied my-lessons/{name}" for name in NOTEBOOKS]
    own = tmp_path / "my-lessons"
    assert sorted(path.name for path in own.iterdir()) == NOTEBOOKS
    (own / NOTEBOOKS[0]).write_text("{}")
    (own / NOTEBOOKS[1]).unlink()
    told = colorkit("lab", "--version", folder=own)  # JupyterLab's own option: it ends at once
    assert told[0].startswith(f"kept   my-lessons/{NOTEBOOKS[0]} (yours")
    assert f"copied my-lessons/{NOTEBOOKS[1]}" in told
    assert (own / NOTEBOOKS[0]).read_text() == "{}"
    assert not (own / "my-lessons").exists()


def test_the_library_of_the_wheel_finds_its_cards_and_pictures(installed, tmp_path):
    code = (
        "import colorkit.data.cards as c; from colorkit.data.pictures import photograph\n"
        "print(c.__file__, len(c.cards()), *photograph('wine', 32).shape)"
    )
    done = python("-c", code, folder=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].startswith(str(installed))
    assert done.stdout.split()[1:] == [str(len(cards())), "1", "3", "32", "32"]
