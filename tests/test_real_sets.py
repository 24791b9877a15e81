"""Real sets by one word: fetched from a local server in their true layout, prepared, trained on."""

import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from colorkit.data import cards as module
from colorkit.data.cards import data_root, find_card, source_of
from colorkit.data.commands import data
from colorkit.data.download import fetch
from colorkit.data.pictures import lesson_pictures, prepared
from tests.conftest import colourful

PINNED = "ab6e4ae76b7f65c5e84bd991c949d3d8010d5b5e"
PORTRAITS = [f"images/bio_guide/{i:06d}.jpg" for i in range(21500, 21520)]
# Classes lie one or two folders deep, and a class not equally deep in all splits.
GROCERIES = [
    f"dataset/{split}/{folder}/{folder.rpartition('/')[2]}_{i:03d}.jpg"
    for split, number in (("train", 3), ("val", 1), ("test", 2))
    for folder in (
        "Fruit/Banana",
        "Fruit/Apple/Granny-Smith",
        "Packages/Milk/Arla-Standard-Milk",
        "Vegetables/" + ("" if split == "val" else "Mushroom/") + "Brown-Cap-Mushroom",
    )
    for i in range(1, number + 1)
]
OTHERS = {
    "official-portraits": ["README.md", "members.csv", "resources/washington.jpg",
                           "images/wiki/021700.jpg", "images/manual/021758.jpg",
                           "images/raw/manual/021758.png"],
    "grocery-store": ["README.md", "dataset/classes.csv", "dataset/train.txt",
                      "dataset/iconic-images-and-descriptions/Fruit/Banana/Banana_Iconic.jpg",
                      "sample_images/natural/Banana.jpg"],
}  # fmt: skip
ARCHIVES = {
    "official-portraits": (f"voteview/member_photos/archive/{PINNED}.zip",
                           f"member_photos-{PINNED}", PORTRAITS),
    "grocery-store": ("marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip",
                      "GroceryStoreDataset-master", GROCERIES),
}  # fmt: skip


class Server(SimpleHTTPRequestHandler):
    """Says no length, as GitHub does not for an archive that it makes on demand."""

    def send_header(self, keyword, value):
        if keyword != "Content-Length":
            super().send_header(keyword, value)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of both archives at the paths of their true addresses."""
    root = tmp_path_factory.mktemp("server")
    for name, (path, top, pictures) in ARCHIVES.items():
        (root / path).parent.mkdir(parents=True)
        with zipfile.ZipFile(root / path, "w") as archive:
            for i, member in enumerate(pictures + OTHERS[name]):
                buffer = io.BytesIO()
                if member.endswith((".jpg", ".png")):
                    colourful(i, (60, 75)).save(buffer, "JPEG")
                archive.writestr(f"{top}/{member}", buffer.getvalue())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def local(address, tmp_path, monkeypatch):
    """The two cards with the local server for GitHub, and an empty data root."""
    for name in ARCHIVES:
        text = (module.FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.toml").write_text(text.replace("https://github.com", address), "utf-8")
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path / "data"))


@pytest.fixture
def person(monkeypatch):
    """Somebody at a terminal, who answers what `says` lists; `asked` has the questions."""

    class Person:
        says, asked = (), ()

    def answer(question):
        Person.asked += (question,)
        said, *Person.says = Person.says
        if isinstance(said, BaseException):
            raise said
        return said

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    return Person


def test_portraits_are_those_of_the_government_s_own_guide(local):
    card = find_card("official-portraits")
    source = source_of(card, fetch(card))
    assert source.names == [name.rpartition("/")[2] for name in PORTRAITS]
    assert source.groups == source.names
    assert set(source.labels) == {-1}
    assert set(source.splits) == {""}


def test_groceries_keep_their_splits_and_their_finest_classes(local):
    card = find_card("grocery-store")
    source = source_of(card, fetch(card))
    assert source.names == sorted(name.removeprefix("dataset/") for name in GROCERIES)
    assert source.splits == [name.split("/")[0] for name in source.names]
    found = [source.classes[label] for label in source.labels]
    assert found == [name.split("/")[-2] for name in source.names]
    assert len(source.classes) == 4


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_lesson_fetches_and_prepares_by_one_word_and_asks_once(local, person, name):
    person.says = ["y"]
    pictures = lesson_pictures(name.upper(), train=5, held_out=2, size=32)
    assert tuple(pictures.train[0].shape) == (5, 1, 32, 32)
    assert tuple(pictures.test[1].shape) == (2, 2, 32, 32)
    assert pictures.worlds == {}
    (question,) = person.asked
    card = find_card(name)
    assert f"{card.size_mb} MB" in question
    assert card.licence in question
    again = lesson_pictures(name, train=5, held_out=2, size=32)
    assert (again.train[0] == pictures.train[0]).all()
    assert len(person.asked) == 1
    assert prepared(name, 32) == data_root() / "stores" / f"{name}-32"


def test_own_splits_are_kept(local, person):
    person.says = ["yes"]
    pictures = lesson_pictures("grocery-store", train=100, held_out=100, size=32)
    counts = [len(L) for L, _ in (pictures.train, pictures.val, pictures.test)]
    assert counts == [12, 4, 8]


@pytest.mark.parametrize("says", ["", "no", EOFError(), NotImplementedError()])
def test_who_does_not_agree_is_told_the_command_and_nothing_is_written(local, person, says):
    person.says = [says]
    with pytest.raises(FileNotFoundError, match="about 150 MB") as error:
        lesson_pictures("grocery-store", train=5, held_out=2, size=48)
    out = data_root() / "stores" / "grocery-store-48"
    assert f"prepare grocery-store --out {out} --size 48 --split keep" in str(error.value)
    assert not data_root().exists()


def test_where_nobody_can_answer_the_command_that_is_named_prepares_it(local, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("builtins.input", pytest.fail)
    with pytest.raises(FileNotFoundError) as error:
        lesson_pictures("official-portraits", train=5, held_out=2, size=32)
    command = str(error.value).rpartition(": colorkit data ")[2].split()
    result = CliRunner().invoke(data, [*command, "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert len(lesson_pictures("official-portraits", 5, 2, 32).test[0]) == 2
