"""Made worlds: what they promise about their colours, tested against independent sources."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy import stats
from skimage.color import rgb2lab

from colorkit.color import max_chroma, out_of_gamut, rgb_to_lab
from colorkit.data.commands import data
from colorkit.worlds import WORLDS, Link, bears, orchard, portraits
from colorkit.worlds.draws import Draws
from colorkit.worlds.orchard_scenes import FIRST, MOST, PARTS
from colorkit.worlds.scene import Scene

ALL_BEARS = {
    "kind": ("brown", "polar", "patch", "none"),
    "ground": ("woods", "snow"),
    "brightness": ("dark", "bright"),
    "extent": (0.4, 0.9),
    "position": "anywhere",
}
names = pytest.mark.parametrize("name", WORLDS)


def make(name: str, n: int, size: int = 64, seed: int = 0):
    """A world with as much variety as its options allow."""
    return WORLDS[name](n, size=size, seed=seed, **(ALL_BEARS if name == "bears" else {}))


def drawn(world):
    """Scenes and modes of a world, chunk by chunk."""
    for start in range(0, len(world), 100):
        stop = min(start + 100, len(world))
        scene = world.scene(start, stop)
        yield scene, scene.draw_modes(world.seed, np.arange(start, stop))


def test_draws_are_uniform_and_streams_and_seeds_independent():
    index = np.arange(20_000)
    columns = [Draws(0, "a", index).uniform(0, 1, 2), Draws(0, "b", index).uniform(0, 1, 1)]
    columns = np.concatenate([*columns, Draws(1, "a", index).uniform(0, 1, 1)], 1)
    for column in columns.T:  # 1e-5: four columns of a fixed seed, by chance 1 in 25,000
        assert stats.kstest(column, "uniform").pvalue > 1e-5
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 0.025
    off_diagonal = np.corrcoef(columns.T) - np.eye(4)
    assert np.abs(off_diagonal).max() < 0.025


@names
@pytest.mark.parametrize("size", [32, 75])
def test_a_picture_depends_on_seed_and_number_alone(name, size):
    whole = make(name, 45, size).batch(0, 45)
    other = make(name, 12, size)
    for start, stop in ((0, 1), (3, 12), (11, 12)):
        part = other.batch(start, stop)
        for field in ("L", "ab", "rgb", "kinds", "scored", "labels"):
            assert torch.equal(getattr(part, field), getattr(whole, field)[start:stop]), field
    assert not torch.equal(make(name, 1, size, seed=1).L, whole.L[:1])


@names
def test_shapes_types_and_ranges(name):
    world = make(name, 5, 48)
    assert len(world) == 5
    for plane, channels, dtype in (
        (world.rgb, 3, torch.uint8), (world.kind_map, 1, torch.uint8),
        (world.L, 1, torch.float32), (world.ab, 2, torch.float32),
    ):  # fmt: skip
        assert (plane.shape, plane.dtype) == ((5, channels, 48, 48), dtype)
    assert 0 <= world.L.min() < world.L.max() <= 100
    assert (rgb_to_lab(world.rgb)[:, :1] - world.L).abs().max() < 0.6  # as far as 8 bits allow
    assert world.labels.shape == (5,)
    assert 0 <= int(world.labels.min()) <= int(world.labels.max()) < len(world.label_names)


@names
def test_lightness_is_the_same_bits_whatever_colour_is_drawn(name, monkeypatch):
    world = make(name, 40, 32)
    first = world.batch(0, 40)

    def last_possible(scene, seed, index):
        return (scene.probs > 0).cumsum(-1).argmax(-1)

    monkeypatch.setattr(Scene, "draw_modes", last_possible)
    second = world.batch(0, 40)
    assert first.L.numpy().tobytes() == second.L.numpy().tobytes()
    assert (first.ab != second.ab).any()


@names
def test_a_mode_is_its_share_of_the_largest_chroma_and_inside_srgb_between_table_entries(name):
    palette = make(name, 1).palette
    fine, L = (
        np.linspace(*ends, dtype=np.float32) for ends in ((0.003, 99.997, 4001), (1, 99, 379))
    )
    for number, mode in enumerate(palette.modes):
        ab = palette.ab(fine, np.full(fine.shape, number, np.int32))
        two = torch.from_numpy(np.stack([ab.real, ab.imag])).view(1, 2, 1, -1)
        assert not out_of_gamut(torch.from_numpy(fine).view(1, 1, 1, -1), two).any(), mode
        ab = palette.ab(L, np.full(L.shape, number, np.int32))
        largest = max_chroma(torch.from_numpy(L), torch.tensor(np.deg2rad(mode.hue)))
        off = np.abs(np.abs(ab) - mode.share * largest.numpy())
        assert np.median(off) < 1e-3
        assert off.max() < 0.15  # the table's steps of 0.1 cut the cusp a little
        turn = np.rad2deg(np.angle(ab * np.exp(-1j * np.deg2rad(mode.hue))))
        np.testing.assert_allclose(turn, 0, atol=0.01)


@names
def test_the_same_scene_at_any_size(name):
    small, large = make(name, 8, 48).L, make(name, 8, 96).L
    halved = torch.nn.functional.avg_pool2d(large, 2)
    for one, two in zip(small, halved, strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1] > 0.93


@pytest.mark.parametrize(("name", "n"), [("orchard", 4000), ("bears", 2500)])
def test_shares_of_modes(name, n):
    world = make(name, n, 32)
    counts = np.zeros((len(world.kinds), world.palette.most), int)
    for scene, modes in drawn(world):
        own = (scene.kind >= 0) & (scene.twin == np.arange(len(scene.twin)))
        np.add.at(counts, (scene.kind[own], modes[own]), 1)
    for kind, row in zip(world.palette.kinds, counts, strict=True):
        assert row.sum() > 60, kind.name
        assert row[len(kind.probs) :].sum() == 0
        for mode, prob, count in zip(kind.modes, kind.probs, row, strict=False):
            low, high = stats.binom.interval(0.999, row.sum(), prob)
            assert low <= count <= high, (kind.name, mode.name, count / row.sum(), prob)


SHARES = ({"tone 1": 0.7, "tone 3": 0.2, "tone 6": 0.1}, {"blond": 0.6, "gray": 0.4})


@pytest.mark.parametrize(("tones", "hair"), [(None, None), SHARES])
def test_tones_have_the_shares_asked_for_and_follow_their_table_given_brightness(tones, hair):
    world = portraits(2000, 32, tones=tones, hair=hair)
    scenes = list(drawn(world))
    for kind, link in (("skin", world.skin), ("hair", world.hair)):
        slot = int(np.flatnonzero(scenes[0][0].kind[0] == world.kinds.index(kind))[0])
        table = np.zeros_like(link.conditional)
        for scene, modes in scenes:
            np.add.at(table, (scene.facts[f"{kind}_level"], modes[:, slot]), 1)
        for share, count in zip(link.shares, table.sum(0), strict=True):
            low, high = stats.binom.interval(0.999, 2000, share)
            assert low <= count <= high
        for row, probs in zip(table, link.conditional, strict=True):
            low, high = stats.binom.interval(0.9999, int(row.sum()), probs)
            assert not row.sum() or ((low <= row) & (row <= high)).all()


@names
def test_sample_means_are_the_stated_ones(name):
    """Colours as scikit-image reads them from the 8-bit pictures, a mean for each thing."""
    world = make(name, 350, 64, seed=3)
    palette, off = world.palette, {}
    lab = rgb2lab(world.rgb.permute(0, 2, 3, 1).numpy())
    pictures = iter(lab[..., 1] + 1j * lab[..., 2])
    for scene, modes in drawn(world):
        pixels, scored = scene.pixels(), scene.scored()
        for i in range(len(modes)):
            read = next(pictures)
            for slot in np.flatnonzero(pixels[i] >= 60):
                own = (scene.owner[i] == slot) & scored[i]
                if own.sum() >= 20 and scene.twin[slot] == slot:
                    mode = palette.first[scene.kind[i, slot]] + modes[i, slot]
                    ab = palette.ab(scene.lightness[i][own], np.full(own.sum(), mode, np.int32))
                    off.setdefault(mode, []).append((read[own] - ab).mean())
    assert len(off) > 15
    for mode, values in off.items():
        for part in (np.real(values), np.imag(values)) if len(values) >= 10 else ():
            half = stats.t.ppf(0.9995, len(part) - 1) * part.std(ddof=1) / len(part) ** 0.5
            assert abs(part.mean()) <= half + 0.01, (palette.modes[mode], part.mean(), half)


@names
def test_posterior_objects_and_oracle_agree_with_the_picture(name):
    world = make(name, 6, 64, seed=2)
    for i in range(6):
        things, posterior = world.objects(i), world.posterior(i)
        assert [t.kind for t in things] == [p.kind for p in posterior]
        assert torch.stack([t.visible for t in things]).sum(0).eq(1).all()
        mean = world.oracle_mean(i)
        for thing, known in zip(things, posterior, strict=True):
            assert known.probs.sum() == pytest.approx(1)
            assert known.ab.shape == (len(known.probs), 2, 64, 64)
            assert int(thing.visible.sum()) == thing.pixels
            seen = thing.visible[0, 0]
            assert torch.equal(world.ab[i][:, seen], known.ab[thing.mode][:, seen])
            expected = (known.probs[:, None, None, None] * known.ab).sum(0)[:, seen]
            torch.testing.assert_close(mean[0][:, seen].double(), expected, atol=1e-3, rtol=1e-4)


def test_scores_leave_out_soft_edges_and_small_things():
    world, soft = orchard(30, 64, seed=6), []
    for i in range(30):
        scene = world.scene(i, i + 1)
        scored = scene.scored()[0]
        soft.append(scene.soft.mean())
        assert not (scored & scene.soft[0]).any()
        for slot, pixels in enumerate(scene.pixels()[0]):
            if pixels < 60:
                assert not scored[scene.owner[0] == slot].any()
    assert 0.02 < np.mean(soft) < 0.4


def test_orchard_has_its_kinds_grounds_and_counts():
    world = orchard(400, 32)
    assert len(world.things) >= 8
    counts, grounds = set(), set()
    for scene, _ in drawn(world):
        bodies = scene.kind[:, FIRST : FIRST + PARTS * MOST : PARTS]
        counts |= set((bodies >= 0).sum(1).tolist())
        grounds |= set(scene.kind[:, :2].ravel().tolist())
    assert counts == {1, 2, 3, 4, 5}
    assert len(grounds) >= 4


def test_link_agrees_with_entropies_and_wider_bells_tell_less():
    link = Link(("a", "b", "c"), (0.5, 0.3, 0.2), (40, 55, 70), 8.0)
    assert link.joint.sum(0) == pytest.approx(link.shares)
    assert link.conditional.sum(1) == pytest.approx(1)
    left = stats.entropy(link.conditional, axis=1, base=2) @ link.joint.sum(1)
    assert link.information == pytest.approx(stats.entropy(link.shares, base=2) - left)
    told = [portraits(1, spread=spread).skin.information for spread in (2.0, 5.0, 10.0, 40.0)]
    assert all(more > less for more, less in pairwise(told))
    assert told[-1] < 0.15


def test_factors_of_bears_vary_independently():
    world = make("bears", 3000, 32)
    facts = [scene.facts for scene, _ in drawn(world)]
    kind, ground, bright = (
        np.concatenate([f[name] for f in facts]) for name in ("kind", "ground", "brightness")
    )
    cells = np.bincount(kind * 4 + ground * 2 + bright, minlength=16)
    assert stats.chisquare(cells).pvalue > 1e-3
    size, x = (np.concatenate([f[name] for f in facts]) for name in ("size", "x"))
    for factor in (kind, ground, bright):
        assert abs(np.corrcoef(factor, size)[0, 1]) < 0.07
        assert abs(np.corrcoef(factor, x)[0, 1]) < 0.07


def test_bears_follow_nature_unless_told():
    for scene, _ in drawn(bears(200, 32)):
        assert (scene.facts["kind"] == scene.facts["ground"]).all()
        assert (scene.facts["kind"] == scene.facts["brightness"]).all()


def test_a_bear_keeps_its_kind_whatever_its_brightness_and_ground():
    world = bears(12, 64, kind="polar", ground="woods", brightness="dark")
    assert world.label_names[int(world.labels[0])] == "polar"
    for i in range(12):
        thing = next(t for t in world.objects(i) if t.kind == "polar bear")
        assert world.L[i][thing.visible[0]].mean() < 50


def test_a_patch_is_as_large_as_a_bear_and_amid_the_picture():
    areas = {}
    for kind in ("brown", "polar", "patch"):
        world = bears(40, 64, kind=kind, extent=0.7)
        spots = [world.scene(i, i + 1).owner[0] == 2 for i in range(40)]
        assert all(spot[20:50, 28:36].mean() > 0.3 for spot in spots)
        areas[kind] = np.mean([spot.sum() for spot in spots])
    assert max(areas.values()) < 1.6 * min(areas.values())
    empty = bears(10, 64, kind="none")
    assert not any((empty.scene(i, i + 1).owner == 2).any() for i in range(10))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: orchard(0), "n=0"),
        (lambda: orchard(1, size=16), "32 and 256.*16"),
        (lambda: orchard(1, seed=-1), "-1"),
        (lambda: portraits(1, tones={"tone 9": 1.0}), "tone 9"),
        (lambda: portraits(1, tones={"tone 1": 0.5}), "sum 1"),
        (lambda: portraits(1, spread=0), "above 0"),
        (lambda: bears(1, kind="panda"), "panda"),
        (lambda: bears(1, extent=2.0), "2.0"),
        (lambda: bears(1, position="top"), "top"),
        (lambda: orchard(3).batch(3, 4), "no pictures 3"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises((ValueError, IndexError), match=says):
        call()


HASHES = {
    "orchard": "a5fd25fab140126d68eb1ab96b6a47cd2597439da2283cd3370df0d91cd48ac5",
    "portraits": "cfe9058b6bd64afe146f34f090a469d2db9bbdece31150b922eec4c59eda30af",
    "bears": "2831f046c6b14480c8edb85f1d053dd7e16a3292dfa9aa2d116c75d4b5b9ff93",
}


@names
def test_pictures_are_the_same_bits_on_every_platform(name):
    """Bytes of L and ab; those of rgb may differ by one, as processors round its powers apart."""
    digest = hashlib.sha256()
    for size, seed in ((32, 0), (32, 1), (75, 0), (75, 1)):
        world = make(name, 12, size, seed)
        for plane in (world.L, world.ab):
            digest.update(plane.numpy().tobytes())
    assert digest.hexdigest() == HASHES[name]


def test_pictures_are_drawn_once_however_often_they_are_asked_for(monkeypatch):
    world, drawn = orchard(3, size=32, seed=0), []
    scene = world.scene
    monkeypatch.setattr(world, "scene", lambda *at: drawn.append(at) or scene(*at))
    for _ in range(2):
        assert all(len(part) == 3 for part in (world.rgb, world.L, world.ab, world.kind_map))
    assert drawn == [(0, 3)]
    for _ in range(2):
        assert len(world.objects(1)) == len(world.posterior(-2))
        assert world.oracle_mean(1).shape == (1, 2, 32, 32)
    assert drawn == [(0, 3), (1, 2)]


def test_data_show_draws_the_first_pictures_of_a_world_on_a_sheet(tmp_path):
    path = tmp_path / "sheet.png"
    arguments = ["show", "bears", "--sheet", str(path), "--number", "7", "--size", "32"]
    assert CliRunner().invoke(data, arguments).exit_code == 0
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (96, 96, 3)
    assert (sheet[:32, :32] == bears(1, size=32).rgb[0].permute(1, 2, 0).numpy()).all()
    assert (sheet[-32:, -64:] == 255).all()
