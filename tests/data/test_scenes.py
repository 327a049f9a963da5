"""Scenes: a ball and a box on a board, seen from all around it."""

import sys

import numpy as np
import pytest

from rdu_bench import registry
from rdu_bench.api import DataError, population_entropy

COUNTS = {"n_train": 60, "n_val": 20, "n_test": 20}
GRID = np.indices((3, 9, 2) * 2).reshape(6, -1).T  # colour, cell and size of the ball, then of the box


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RDU_BENCH_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def drawing():
    return sys.modules[registry.load("datasets", "scenes").__module__]


def seen(drawing, *scene, azimuth=0.0, size=16):
    """(3, size, size) one scene from one azimuth."""
    return drawing.rendered(np.array([scene]), azimuth, size)[0].astype(int)


def test_they_are_sound_and_their_entropy_is_counted():
    scenes = registry.dataset("scenes", views=2, size=8, **COUNTS)
    assert scenes.verify() == [] and scenes.shape == (2, 3, 8, 8)
    assert scenes.provides == {"labels", "factors", "sequence", "binary"}
    assert len(scenes.population) == 2916 and scenes.task == ("ball_colour",)
    assert scenes.entropy == population_entropy(scenes.population) and scenes.entropy.kind == "exact"
    x = scenes.sample_observations_from_factors(GRID[[5, 500]], np.random.default_rng(0))
    every = scenes.population.take()
    assert np.array_equal(x, every[[5, 500]])


@pytest.mark.slow
def test_the_entropy_of_the_whole_set():
    """log 2,916 is 7.9780; a body that is hidden from all sides takes the rest away."""
    scenes = registry.dataset("scenes")
    assert scenes.shape == (6, 3, 16, 16) and scenes.entropy.nats == pytest.approx(7.9030, abs=5e-5)


@pytest.mark.parametrize("views", [4, 8])
def test_turning_the_board_by_a_quarter_permutes_views(drawing, views):
    grid = GRID[np.random.default_rng(0).permutation(len(GRID))[:400]]
    turned = grid.copy()
    for cell in (1, 4):
        x, y = grid[:, cell] // 3 - 1, grid[:, cell] % 3 - 1
        turned[:, cell] = 3 * (1 - y) + (1 + x)
    azimuths = 2 * np.pi * np.arange(views) / views
    plain, other = (np.stack([drawing.rendered(g, a, 8) for a in azimuths], 1) for g in (grid, turned))
    assert np.array_equal(other, np.roll(plain, views // 4, 1))
    assert not np.array_equal(other, plain)


def test_a_nearer_body_hides_the_farther(drawing):
    """The azimuth is 0, so cell 1 is in front of cell 4; beside it, in cell 3, a body is seen whole."""
    red, blue, green = 0, 2, 1
    alone = seen(drawing, red, 1, 1, blue, 8, 1)  # far from each other
    whole = {"ball": alone[red].sum(), "box": seen(drawing, red, 6, 1, blue, 4, 1)[blue].sum()}
    ball_first = seen(drawing, red, 1, 1, blue, 4, 1)
    assert ball_first[red].sum() == whole["ball"] and 0 < ball_first[blue].sum() < whole["box"] - 10
    box_first = seen(drawing, red, 4, 1, blue, 1, 1)
    assert box_first[blue].sum() == whole["box"] and 0 < box_first[red].sum() < whole["ball"] - 5
    behind = seen(drawing, red, 1, 1, blue, 4, 1, azimuth=np.pi)
    assert behind[blue].sum() == whole["box"] and behind[red].sum() < whole["ball"] - 5
    within = seen(drawing, green, 4, 0, green, 4, 1)
    assert np.array_equal(within[green], seen(drawing, red, 4, 0, green, 4, 1)[[red, green]].sum(0))


def test_a_pixel_has_one_colour_at_most(drawing):
    x = drawing.rendered(GRID, 0.4, 8)
    assert x.sum(1).max() == 1 and x.any(1).mean() > 0.05


@pytest.mark.parametrize("azimuth", [0.0, 1.1, 2 * np.pi / 3, 4.0])
def test_a_body_is_where_its_cell_says(drawing, azimuth):
    """The middle of its ink is where its cell is projected: as far right, and up by sin 40° of how far behind."""
    across, ahead = (-np.sin(azimuth), np.cos(azimuth)), (np.cos(azimuth), np.sin(azimuth))
    at = (np.arange(32) + 0.5) / 32 * 4.6 - 2.3
    for cell in range(9):
        place = np.array([cell // 3 - 1, cell % 3 - 1])
        other = max(range(9), key=lambda c: ((np.array([c // 3 - 1, c % 3 - 1]) - place) ** 2).sum())
        for scene, colour in (((0, cell, 0, 1, other, 0), 0), ((1, other, 0, 2, cell, 0), 2)):
            ink = seen(drawing, *scene, azimuth=azimuth, size=32)[colour]
            if cell == 4 and ink.sum() < 20:
                continue  # hidden in part
            right, down = (ink.sum(0) * at).sum() / ink.sum(), (ink.sum(1) * at).sum() / ink.sum()
            assert right == pytest.approx(place @ across, abs=0.12)
            assert down == pytest.approx(-(place @ ahead) * np.sin(np.deg2rad(40)), abs=0.12)


def test_size_is_the_radius_of_a_ball_and_the_scale_of_a_box(drawing):
    area = (4.6 / 64) ** 2
    small, large = (seen(drawing, 0, 1, size, 1, 8, size, size=64).sum((1, 2)) * area for size in (0, 1))
    assert small[0] == pytest.approx(np.pi * 0.5**2, rel=0.03) and large[0] == pytest.approx(np.pi * 0.75**2, rel=0.03)
    side = 2 * 0.8 * np.array([0.5, 0.75])
    face = np.sin(np.deg2rad(40)) + np.cos(np.deg2rad(40))  # its top and its front
    assert np.array([small[1], large[1]]) == pytest.approx(side**2 * face, rel=0.05)


@pytest.mark.parametrize(
    ("params", "words"), [({"views": 0}, "views is 0"), ({"size": 2.5}, "size is 2.5"), ({"size": 600}, "pixels")]
)
def test_what_cannot_be_drawn_is_refused(params, words):
    with pytest.raises(DataError, match=words) as refused:
        registry.dataset("scenes", **params)
    assert "\n" not in str(refused.value)
