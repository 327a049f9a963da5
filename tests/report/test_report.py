"""The report as its reader meets it: in a browser, without a network."""

import base64
import csv
import io
import json
import shutil

import fake_records
import numpy as np
import pandas as pd
import pytest

from rdu_bench.records.flatten import load_results
from rdu_bench.records.store import Store
from rdu_bench.report import pictures, render
from rdu_bench.report.figures import CROWD, FEW, facets
from rdu_bench.report.style import Palette

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    records = fake_records.suite(datasets=("sprites", "digits"))
    records.append(
        fake_records.record("evil", seed=9, sigma=4.0, title="<b id=evil>x</b><script>window.evil=1</script>")
    )
    return render(records, tmp_path_factory.mktemp("report"), title="A <i>test</i>")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Sprites with all parts that a record may have, digits with none of them."""
    records = fake_records.suite(("vae", "m2", "beta_tcvae", "beta_vae"), seeds=2, parts=True)
    records += fake_records.suite(("vae", "m2"), ("digits",), seeds=1)
    records.append(fake_records.rich(fake_records.record("evil", sigma=4.0, title="<b id=evil>x</b>")))
    records[-1]["structure"]["leakage"]["s"] = "<i id=evil>s</i>"
    return render(records, tmp_path_factory.mktemp("whole"), vectors=fake_records.vectors)


@pytest.fixture(scope="module")
def driver():
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1800"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_network_conditions(offline=True, latency=0, throughput=0)
    yield driver
    driver.quit()


def opened(driver, page):
    if driver.current_url != page.as_uri():
        driver.get(page.as_uri())
    return driver


@pytest.fixture
def browser(driver, page):
    return opened(driver, page)


@pytest.fixture
def rich(driver, whole):
    return opened(driver, whole)


def payload(page):
    """What the script is told; JSON has no NaN, so that is an error here."""
    text = page.read_text()
    start = text.index('id="payload">') + len('id="payload">')
    return json.loads(text[start : text.index("</script>", start)], parse_constant=lambda name: 1 / 0)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
@pytest.mark.parametrize("plane", ["D", "Dy"])
def test_every_figure_is_there_in_every_format(page, plane, kind):
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    for dataset in ("sprites", "digits"):
        content = (page.parent / "figures" / f"{dataset}-R-{plane}.{kind}").read_bytes()
        assert content.startswith(start) and len(content) > 5000


def test_figures_name_axes_units_and_directions(page):
    svg = (page.parent / "figures" / "sprites-R-D.svg").read_text()
    for words in ("R* (nats)", "≥ I(x; z)", "D (nats)", "≥ H(x|z)", "infeasible", "no code", "trained on labels"):
        assert words in svg


def rows(names, labels=(), autoregressive=()):
    """What a plane is drawn from, as far as the division into panels looks."""
    given = {"labels": ["required" if n in labels else "none" for n in names], "name": list(names)}
    return pd.DataFrame({**given, "autoregressive": [n in autoregressive for n in names]})


def test_a_few_models_share_a_panel():
    names = [f"m{i:02}" for i in range(CROWD)]
    [one, apart] = facets(rows([*names, "ar"], autoregressive=["ar"]), Palette(names, "m00"), "digits")
    assert one.names == tuple(names) and apart.names == ("ar",) and "autoregressive" in apart.title


def test_a_crowd_is_divided_with_the_reference_everywhere_and_nobody_lost():
    names = [f"m{i:02}" for i in range(30)]
    seen = names[-3:]
    panels = facets(rows(names, labels=seen), Palette(names, "m00"), "digits")
    assert all("m00" in panel.names and len(panel.names) <= FEW + 1 for panel in panels)
    assert sorted(n for panel in panels for n in panel.names if n != "m00") == names[1:]
    assert [panel.names[1:] for panel in panels if "labels" in panel.title] == [tuple(seen)]
    assert all(len(panel.rows) == 30 for panel in panels)  # those of other panels are there, in grey


def test_tables_are_written_beside_the_page(page):
    for name in ("leaderboard.csv", "leaderboard.md", "frontier-D.csv", "frontier-Dy.csv"):
        assert (page.parent / name).stat().st_size > 200


def test_the_page_asks_the_network_for_nothing(page):
    text = page.read_text()
    body = text[: text.index("<script>")] + text[text.index('id="payload"') :]
    assert "src=" not in body and "http://" not in body and "https://" not in body


def test_drawing_again_replaces_and_leaves_no_parts(tmp_path):
    records = [fake_records.record("vae", sigma=s) for s in (1.0, 4.0)]
    first = render(records, tmp_path).read_bytes()
    before = {p.name for p in tmp_path.rglob("*")}
    second = render(records[:1], tmp_path).read_bytes()
    assert {p.name for p in tmp_path.rglob("*")} == before and first != second


def test_a_failed_drawing_leaves_the_old_page(page, monkeypatch):
    from rdu_bench.report import page as module

    before = page.read_bytes()
    monkeypatch.setattr(module, "build", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render(fake_records.suite(), page.parent)
    assert page.read_bytes() == before and not list(page.parent.rglob("*.part"))


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(ValueError, match="no records"):
        render([], tmp_path)


def test_a_run_in_which_all_failed_still_has_a_page(tmp_path):
    lost = [fake_records.record("vae", sigma=s, status="error", reason="no good") for s in (1.0, 2.0)]
    text = render([{**r, "values": {}, "factors": {}} for r in lost], tmp_path).read_text()
    assert "no good" in text


PARTS = ("useful", "scores", "codes", "structure")


def test_parts_that_no_record_has_are_absent(whole, page):
    assert all(f'id="sprites-{part}"' in whole.read_text() for part in PARTS)
    for text, dataset in ((whole.read_text(), "digits"), (page.read_text(), "sprites")):
        assert f'id="{dataset}-useful"' in text
        assert not any(f'id="{dataset}-{part}"' in text for part in PARTS[1:])
    assert not (page.parent / "scores.csv").exists()
    assert set(payload(page)["sets"]["sprites"]) == {"looks", "useful"}


def test_a_failed_run_has_no_part_and_breaks_nothing(tmp_path):
    lost = [fake_records.record("vae", sigma=s, status="diverged") | {"scores": {}, "mi": {}} for s in (1.0, 2.0)]
    assert set(payload(render(lost, tmp_path))["sets"]["sprites"]) == {"looks"}


def test_the_payload_is_json_without_nan(whole, page):
    assert payload(page)["plots"] and payload(whole)["sets"]["sprites"]["scores"]["curves"]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_scores_have_a_figure_in_every_format(whole, kind):
    content = (whole.parent / "figures" / f"sprites-scores.{kind}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert not (whole.parent / "figures" / f"digits-scores.{kind}").exists()


def test_the_figure_of_scores_says_what_they_are(whole):
    svg = (whole.parent / "figures" / "sprites-scores.svg").read_text()
    for words in (
        "MIG",
        "DCI disentanglement",
        "SAP",
        "IRS",
        "robust",
        "sampled z",
        "estimates, no bounds",
        "≥ I(x; z)",
    ):
        assert words in svg


def test_scores_are_a_table_that_names_protocol_and_representation(whole):
    rows = list(csv.DictReader((whole.parent / "scores.csv").open()))
    columns = [c for c in rows[0] if c.endswith(("_mean", "_sample"))]
    assert len(columns) == 13 * 4 and "mig_robust_mean" in columns and "irs_dlib_sample" in columns
    assert all("_dlib_" in c or "_robust_" in c for c in columns)
    assert {r["dataset"] for r in rows} == {"sprites"} and len(rows) == 4 * 2 * 8 + 1
    assert any(r["dci_disentanglement_robust_sample"] == "" for r in rows)


def test_every_score_is_drawn_or_its_lack_explained(whole):
    scores = payload(whole)["sets"]["sprites"]["scores"]
    for column, models in scores["averages"].items():
        drawn = sum(n for curve in scores["curves"].get(column, {}).values() for *_, n, of in curve)
        lacking = scores["lacking"].get(column, [])
        assert drawn + sum(n for _, n, _ in lacking) == scores["points"][column]
        assert all(reason for reason, _, _ in lacking) and len(models) == 5
    assert scores["lacking"]["mig_dlib_mean"][0][:2] == ["the point has no numbers (diverged)", 1]


def test_a_score_is_averaged_over_all_targets_and_says_over_how_many(whole):
    scores, looks = (payload(whole)["sets"]["sprites"][part] for part in ("scores", "looks"))
    number = str([look["name"] for look in looks].index("VAE"))
    whole_grid, partial = (scores["averages"][f"{s}_robust_sample"][number] for s in ("mig", "dci_disentanglement"))
    assert whole_grid[2:] == [14, 14] and partial[2] < partial[3] == 14
    targets = [point[1] for point in scores["curves"]["mig_robust_sample"][number] if point[3] != "ELBO"]
    assert whole_grid[0] == pytest.approx(np.mean(targets), abs=1e-4)
    assert "best" not in json.dumps(scores)


def test_seeds_that_agree_are_a_score_where_there_are_enough(tmp_path):
    records = [fake_records.rich(fake_records.record("vae", seed=s, sigma=t)) for s in range(5) for t in (2.0, 6.0)]
    few = [fake_records.rich(fake_records.record("beta_vae", seed=s, sigma=6.0)) for s in range(2)]
    scores = payload(render(records + few, tmp_path, vectors=fake_records.vectors))["sets"]["sprites"]["scores"]
    [[_, low, _, target, *_], [_, high, _, _, n, of]] = scores["curves"]["udr_robust_mean"]["0"]
    assert target == "σ = 2" and 0.8 < low <= 1 and 0.8 < high <= 1 and n == of == 5
    [[reason, count, models]] = scores["lacking"]["udr_robust_mean"]
    assert "at least 5" in reason and count == 1 and models == "β-VAE"
    assert scores["averages"]["udr_robust_mean"]["0"][2:] == [2, 2]
    assert "udr_robust_mean" in (tmp_path / "udr.csv").read_text()


def test_pictures_are_png_of_the_right_pixels(whole):
    from PIL import Image

    told = payload(whole)["sets"]["sprites"]["codes"]
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


def test_pictures_lie_beside_the_records(tmp_path):
    store = Store(tmp_path / "run")
    for sigma in (2.0, 6.0):
        record = fake_records.rich(fake_records.record("vae", sigma=sigma))
        store.write(record, fake_records.vectors(record))
    by_path = render(load_results(store.folder), tmp_path / "elsewhere")
    in_place = render(store.records(), store.folder)
    images = [payload(page)["sets"]["sprites"]["codes"]["images"] for page in (by_path, in_place)]
    assert len(images[0]) == 5 and images[0] == images[1]
    lost = [{name: value for name, value in record.items() if name != "path"} for record in store.records()]
    away = payload(render(lost, tmp_path / "away"))["sets"]["sprites"]["codes"]
    assert not away["images"] and "2 of 2 points are damaged or not beside" in away["note"]


def test_structure_names_each_number_and_its_direction(whole):
    text = whole.read_text()
    for words in (
        "I_V ≤ I(s; z)",
        "D_s ≥ H(s|z)",
        "R* ≥ I(x; z)",
        "ARI ↑",
        "MDL (nats) ↓",
        "&gt; ",
        "k-means",
        "z1 + z2 + z3",
    ):
        assert words in text
    assert "Not there: the code has 1 block; levels are 2 to 6 (VAE)." in text
    for head in ("linear ≥ H(y|z)", "knn ≥ H(y|z)", "boosted trees ≥ H(y|z)", "factor cut in bins ≥ H(y|z)"):
        assert head in text


@needs_browser
def test_it_opens_offline_without_a_word_on_the_console(browser):
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.title == "RDU-Bench: A <i>test</i>"


@needs_browser
def test_every_model_is_drawn(browser):
    told = json.loads(browser.execute_script("return document.getElementById('payload').textContent"))
    for name, plot in told["plots"].items():
        drawn = browser.execute_script(f"return document.getElementById('plot-{name}').data.map(t => t.x.length)")
        assert len(drawn) >= 2 * len(plot["models"])
        markers = browser.execute_script(
            f"return document.querySelectorAll('#plot-{name} .scatterlayer .points path').length"
        )
        assert markers >= sum(len(model["points"]) for model in plot["models"])


def at(part, role):
    return f'[data-set="sprites"][data-explore="{part}"] [data-role="{role}"]'


def chosen(browser, part, role):
    from selenium.webdriver.support.ui import Select

    return Select(browser.find_element("css selector", at(part, role)))


def traces(browser, part, role="plot"):
    """What a plot of a part draws: for each trace its name and number of points."""
    script = "return document.querySelector(arguments[0]).data.map(t => [t.name, t.x.length, t.y])"
    return browser.execute_script(script, at(part, role))


def text(browser, part, role):
    return browser.find_element("css selector", at(part, role)).get_attribute("textContent")


@needs_browser
def test_all_parts_open_without_a_word_on_the_console(rich):
    assert [entry for entry in rich.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert rich.execute_script("return document.getElementById('evil')") is None


@needs_browser
def test_scores_follow_their_selects_and_count_who_is_missing(rich):
    before = traces(rich, "scores")
    assert len(before) == 5 and "All" not in text(rich, "scores", "lacking")
    assert [o.text for o in chosen(rich, "scores", "protocol").options] == ["robust", "dlib"]
    chosen(rich, "scores", "score").select_by_visible_text("DCI disentanglement")
    assert traces(rich, "scores") != before
    told = text(rich, "scores", "lacking")
    assert "nothing is known of any factor, <so> there is nothing to divide" in told and "diverged" in told
    chosen(rich, "scores", "protocol").select_by_visible_text("dlib")
    assert traces(rich, "scores") == [] and "boosted trees take minutes" in text(rich, "scores", "lacking")
    assert "0 of 14" in text(rich, "scores", "averages")
    chosen(rich, "scores", "score").select_by_visible_text("MIG")
    sampled = traces(rich, "scores")
    chosen(rich, "scores", "rep").select_by_visible_text("posterior mean")
    assert len(sampled) == 5 and traces(rich, "scores") != sampled


@needs_browser
def test_selects_are_reached_and_changed_by_keyboard(rich):
    from selenium.webdriver.common.keys import Keys

    select = chosen(rich, "useful", "factor")._el
    rich.execute_script("arguments[0].focus()", select)
    before, first = traces(rich, "useful"), select.get_attribute("value")
    select.send_keys(Keys.ARROW_DOWN)
    assert select.get_attribute("value") != first and traces(rich, "useful") != before
    assert all(s.accessible_name for s in rich.find_elements("css selector", "select"))


@needs_browser
def test_usefulness_of_a_factor_shows_its_bound_where_that_is_known(rich):
    for factor, words in (("hue", "H(y) = 2.079"), ("angle", "density")):
        chosen(rich, "useful", "factor").select_by_visible_text(factor)
        assert words in text(rich, "useful", "note")
    chosen(rich, "useful", "head").select_by_visible_text("factor cut in bins")
    assert "cut in bins" in text(rich, "useful", "note")
    assert traces(rich, "useful")[-1] == ["no code", 1, [3]]


@needs_browser
def test_a_matrix_starts_at_the_plain_vae_and_follows_its_selects(rich):
    model, target, rep = (chosen(rich, "codes", role) for role in ("model", "target", "rep"))
    assert model.first_selected_option.text == "VAE" and target.first_selected_option.text == "σ = 8"
    cells = rich.find_elements("css selector", ".heat tbody td")
    assert len(cells) == 40 and len(rich.find_elements("css selector", ".picture")) == 16 + 15
    matrix = text(rich, "codes", "matrix")
    rep.select_by_visible_text("posterior mean")
    assert text(rich, "codes", "matrix") != matrix
    model.select_by_visible_text("M2 †")
    assert target.first_selected_option.text == "σ = 8" and text(rich, "codes", "seed") == "seed 0"
    target.select_by_visible_text("σ = 30")
    shares = "return [...document.querySelectorAll('.heat td')].map(e => Number(e.style.getPropertyValue('--share')))"
    assert 0.5 < max(rich.execute_script(shares)) <= 1


@needs_browser
def test_structure_shows_one_target_and_factor(rich):
    target, factor = chosen(rich, "structure", "target"), chosen(rich, "structure", "factor")
    assert target.first_selected_option.text == "σ = 4"  # the only one that all five models have
    assert len(traces(rich, "structure", "efficiency")) == len(traces(rich, "structure", "noise")) == 5
    target.select_by_visible_text("σ = 30")
    factor.select_by_visible_text("hue")
    rows = [r for r in rich.find_elements("css selector", "table.targeted tbody tr") if r.is_displayed()]
    assert rows and {r.get_attribute("data-target") for r in rows} == {"σ = 30"}
    assert {r.get_attribute("data-factor") for r in rows} == {None, "hue"}
    target.select_by_visible_text("all")
    shown = [r.is_displayed() for r in rich.find_elements("css selector", "table.targeted tbody tr")]
    assert sum(shown) > 5 * len(rows)


@needs_browser
def test_narrow_screens_scroll_tables_and_not_the_page(rich):
    override = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    rich.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", override)
    rich.refresh()
    assert rich.execute_script("return document.documentElement.scrollWidth") <= 380
    rich.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    rich.refresh()


@needs_browser
def test_hovering_tells_what_a_point_is(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("document.querySelector('[data-plot]').scrollIntoView()")
    point = browser.find_elements("css selector", "[data-plot] .scatterlayer .points path")[3]
    ActionChains(browser).move_to_element(point).pause(0.6).perform()
    told = browser.find_element("css selector", ".hoverlayer").text
    for words in ("σ =", "seed", "R* =", "D =", "nats"):
        assert words in told


@needs_browser
def test_tables_sort_by_number_with_dashes_last(browser):
    table = browser.find_element("css selector", "table.sortable")
    button = table.find_elements("css selector", "thead button")[3]
    for state, sign in (("ascending", 1), ("descending", -1)):
        browser.execute_script("arguments[0].click()", button)
        assert table.find_elements("css selector", "thead th")[3].get_attribute("aria-sort") == state
        cells = [
            row.find_elements("css selector", "th, td")[3] for row in table.find_elements("css selector", "tbody tr")
        ]
        values = [c.get_attribute("data-sort") for c in cells]
        numbers = [float(v) for v in values if v]
        assert len(numbers) > 3 and [sign * v for v in numbers] == sorted(sign * v for v in numbers)
        assert all(v == "" for v in values[len(numbers) :])


@needs_browser
def test_the_leaderboard_filters(browser):
    field = browser.find_element("css selector", "input[data-filter]")
    rows = browser.find_elements("css selector", f"#{field.get_attribute('data-filter')} tbody tr")
    field.send_keys("tcvae")
    assert [row.is_displayed() for row in rows].count(True) == 1
    field.clear()
    field.send_keys(" ")


@needs_browser
def test_text_of_records_is_text(browser):
    assert browser.execute_script("return window.evil === undefined && document.getElementById('evil') === null")
    assert "<b id=evil>" in browser.find_element("css selector", "main").text
