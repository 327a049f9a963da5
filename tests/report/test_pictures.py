"""Pictures inside the page."""

import base64
import io

import fake_records
import numpy as np
import pytest

from rdu_bench.records.flatten import load_results
from rdu_bench.records.store import Store
from rdu_bench.report import pictures, render


def test_pictures_are_png_of_the_right_pixels(whole, told):
    from PIL import Image

    told = told(whole)["sets"]["sprites"]["codes"]
    start = told["points"][told["start"]]
    record = fake_records.rich(fake_records.record("vae", sigma=float(start["target"].removeprefix("σ = "))))
    for name, array in fake_records.vectors(record).items():
        if name.startswith("pictures/"):
            sheet = start["pictures"][name.removeprefix("pictures/")]
            image = Image.open(io.BytesIO(base64.b64decode(told["images"][sheet["image"]].partition(",")[2])))
            rows = array if array.ndim == 5 else array[None]
            expected = np.block([[picture[0] for picture in row] for row in rows])
            assert image.mode == "L" and np.array_equal(np.asarray(image), expected)
    assert len({p["pictures"]["originals"]["image"] for p in told["points"]}) == 1


def test_two_and_three_channels_are_colours_and_others_are_refused():
    from PIL import Image

    grid = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 4, 5), dtype=np.uint8)
    image = np.asarray(Image.open(io.BytesIO(pictures.sheet(grid))))
    assert image.shape == (8, 15, 3) and np.array_equal(image[4:, 10:], grid[1, 2].transpose(1, 2, 0))
    two = np.asarray(Image.open(io.BytesIO(pictures.sheet(grid[:, :, :2]))))
    assert np.array_equal(two[..., :2], image[..., :2]) and not two[..., 2].any()
    with pytest.raises(ValueError, match="1 to 3 channels"):
        pictures.sheet(np.repeat(grid, 2, axis=2))


@pytest.mark.parametrize(("share", "kept"), [(1.0, 8), (0.6, 3), (0.2, 1), (0.01, 0)])
def test_pictures_keep_to_their_budget_and_say_what_they_leave_out(share, kept):
    points = [
        pictures.Point(model, float(sigma or "inf"), fake_records.rich(fake_records.record(name, sigma=sigma)))
        for model, name in enumerate(("vae", "beta_vae"))
        for sigma in (*fake_records.SIGMAS, None)
    ]
    everything = sum(map(len, pictures.album(points, fake_records.vectors).images.values()))
    album = pictures.album(points, fake_records.vectors, int(share * everything))
    assert sum(map(len, album.images.values())) <= share * everything
    assert sum(page is not None for page in album.pages) == 2 * kept
    assert bool(album.note) == (share < 1)
    assert {s["image"] for p in album.pages if p for n, s in p.items() if n in pictures.NAMES} == set(album.images)


def test_pictures_lie_beside_the_records(tmp_path, told):
    store = Store(tmp_path / "run")
    for sigma in (2.0, 6.0):
        record = fake_records.rich(fake_records.record("vae", sigma=sigma))
        store.write(record, fake_records.vectors(record))
    by_path = render(load_results(store.folder), tmp_path / "elsewhere")
    in_place = render(store.records(), store.folder)
    images = [told(page)["sets"]["sprites"]["codes"]["images"] for page in (by_path, in_place)]
    assert len(images[0]) == 1 + 2 * 4 and images[0] == images[1]
    lost = [{name: value for name, value in record.items() if name != "path"} for record in store.records()]
    away = told(render(lost, tmp_path / "away"))["sets"]["sprites"]["codes"]
    assert not away["images"] and "2 of 2 points are damaged or not beside" in away["note"]
