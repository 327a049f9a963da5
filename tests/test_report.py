"""The report as its reader meets it: in a browser, without a network."""

import json
import shutil

import fake_records
import pytest

from rdu_bench.report import render

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
def browser(page):
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
    driver.get(page.as_uri())
    yield driver
    driver.quit()


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


@needs_browser
def test_it_opens_offline_without_a_word_on_the_console(browser):
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.title == "RDU-Bench: A <i>test</i>"


@needs_browser
def test_every_model_is_drawn(browser):
    payload = json.loads(browser.execute_script("return document.getElementById('payload').textContent"))
    for name, plot in payload.items():
        drawn = browser.execute_script(f"return document.getElementById('plot-{name}').data.map(t => t.x.length)")
        assert len(drawn) >= 2 * len(plot["models"])
        markers = browser.execute_script(
            f"return document.querySelectorAll('#plot-{name} .scatterlayer .points path').length"
        )
        assert markers >= sum(len(model["points"]) for model in plot["models"])


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
