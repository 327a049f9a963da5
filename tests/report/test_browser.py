"""The page as its reader meets it: in a browser, without a network."""

import fake_records
import pytest

from rdu_bench.report import render


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


def test_it_opens_offline_without_a_word_on_the_console(browser):
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.title == "RDU-Bench: A <i>test</i>"


def test_a_browser_that_cannot_unpack_what_is_drawn_says_so_and_shows_the_tables(driver, page):
    from selenium.webdriver.support.ui import WebDriverWait

    old = driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.DecompressionStream"}
    )
    driver.get(page.as_uri() + "?old")
    WebDriverWait(driver, 20).until(lambda b: b.find_elements("css selector", "main > .lost"))
    said = driver.find_element("css selector", "main > .lost").text
    assert "Plots could not be drawn (DecompressionStream is not defined)" in said
    assert "VAE" in driver.find_element("css selector", ".board tbody").text
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", old)


def test_every_model_is_drawn(browser, page, told):
    for name, plot in told(page)["plots"].items():
        of = f"document.querySelector('[data-plot=\"{name}\"]')"
        assert browser.execute_script(f"return {of}.data.length") >= 2 * len(plot["models"])
        markers = browser.execute_script(f"return {of}.querySelectorAll('.scatterlayer .points path').length")
        assert markers >= sum(len(model["points"]) for model in plot["models"])


def test_the_page_opens_with_what_was_compared_the_frontier_and_the_map(browser):
    order = browser.execute_script(
        "return [...document.querySelectorAll('main > section:first-of-type > *')].map(e => e.tagName)"
    )
    assert order == ["H2", "DL", "H3", "UL", "FIGURE", "FIGURE"]
    words = browser.find_element("css selector", "#answer").text
    for said in ("fake", "sprites and digits", "2 seeds (0 and 1)", "Against VAE, these save the most rate"):
        assert said in words
    names = browser.execute_script("return document.querySelector('[data-map=sprites]').data.map(t => t.name)")
    assert "VAE" in names and "M2 †" in names


def test_a_point_far_beyond_all_targets_is_named_and_does_not_squeeze_the_others(driver, opened, tmp_path):
    records = fake_records.suite(("vae", "beta_vae", "m2"), seeds=1, sigmas=(2.0, 6.0))
    records += [fake_records.costly("m2", R=R, seed=seed) for seed, R in enumerate((100.0, 90.0))]
    ends = sorted(round(r["values"]["R_star"]) for r in records[-2:])
    opened(render(records, tmp_path, formats=()))
    of = "document.querySelector('[data-plot=\"sprites-D\"]').layout"
    right = driver.execute_script(f"return {of}.xaxis.range[1]")
    [said] = driver.execute_script(f"return {of}.annotations.map(a => a.text)")
    assert 5 < right < 9 < ends[0] < ends[1] and said == f"→ M2 † at {ends[0]} to {ends[1]}"


def test_units_change_boards_frontiers_and_maps(browser):
    from selenium.webdriver.support.ui import Select

    def seen():
        cell = browser.find_element("css selector", "td[data-value][data-unit=x]:not([data-value='0.0'])")
        axis = browser.execute_script("return document.querySelector('[data-plot]').layout.yaxis.title.text")
        return float(cell.text.splitlines()[0].replace("−", "-").replace("+", "")), axis

    unit = Select(browser.find_element("id", "unit"))
    nats, axis = seen()
    assert axis == "D (nats) ≥ H(x|z)"
    unit.select_by_value("bits")
    bits, axis = seen()
    assert axis == "D (bits) ≥ H(x|z)" and abs(bits - nats / 0.6931) < 0.02
    unit.select_by_value("dim")
    per, axis = seen()
    assert axis == "D (bits/dim) ≥ H(x|z)" and abs(per - nats / 0.6931 / 256) < 1e-3
    unit.select_by_value("nats")
    assert seen()[0] == nats


def test_all_parts_open_without_a_word_on_the_console(rich):
    assert [entry for entry in rich.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert rich.execute_script("return document.getElementById('evil')") is None
    assert rich.execute_script("return [...document.querySelectorAll('.lost')].map(e => e.textContent)") == []


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


def test_selects_are_reached_and_changed_by_keyboard(rich):
    from selenium.webdriver.common.keys import Keys

    select = chosen(rich, "useful", "factor")._el
    rich.execute_script("arguments[0].focus()", select)
    before, first = traces(rich, "useful"), select.get_attribute("value")
    select.send_keys(Keys.ARROW_DOWN)
    assert select.get_attribute("value") != first and traces(rich, "useful") != before
    assert all(s.accessible_name for s in rich.find_elements("css selector", "select"))


def test_usefulness_of_a_factor_shows_its_bound_where_that_is_known(rich):
    for factor, words in (("hue", "H(y) = 2.079"), ("angle", "density")):
        chosen(rich, "useful", "factor").select_by_visible_text(factor)
        assert words in text(rich, "useful", "note")
    chosen(rich, "useful", "head").select_by_visible_text("factor cut in bins")
    assert "cut in bins" in text(rich, "useful", "note")
    assert traces(rich, "useful")[-1] == ["no code", 1, [3]]


def test_a_matrix_starts_at_the_plain_vae_and_follows_its_selects(rich):
    model, target, rep = (chosen(rich, "codes", role) for role in ("model", "target", "rep"))
    assert model.first_selected_option.text == "VAE" and target.first_selected_option.text == "σ = 8"
    cells = rich.find_elements("css selector", ".heat tbody td")
    assert len(cells) == 40 and len(rich.find_elements("css selector", ".picture")) == 16 + 8 + 14 + 3 + 15
    matrix = text(rich, "codes", "matrix")
    rep.select_by_visible_text("posterior mean")
    assert text(rich, "codes", "matrix") != matrix
    model.select_by_visible_text("M2 †")
    assert target.first_selected_option.text == "σ = 8" and text(rich, "codes", "seed") == "seed 0"
    target.select_by_visible_text("σ = 30")
    shares = "return [...document.querySelectorAll('.heat td')].map(e => Number(e.style.getPropertyValue('--share')))"
    assert 0.5 < max(rich.execute_script(shares)) <= 1


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


def test_narrow_screens_scroll_tables_and_not_the_page(rich):
    override = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    rich.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", override)
    rich.refresh()
    assert rich.execute_script("return document.documentElement.scrollWidth") <= 390
    board = rich.find_element("css selector", "table.board")
    box = board.find_element("xpath", "..")
    assert box.find_element("xpath", "preceding-sibling::p").is_displayed()  # that there is more to the right
    rich.execute_script("arguments[0].scrollLeft = 200", box)
    left = [rich.execute_script("return arguments[0].getBoundingClientRect().left", e) for e in (box, first(board))]
    assert abs(left[0] - left[1]) < 3  # names stay in sight
    rich.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    rich.refresh()


def test_captions_of_pictures_are_whole_on_narrow_screens(rich):
    override = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    rich.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", override)
    rich.refresh()
    words = rich.find_elements("css selector", ".pictures .facts")
    right = [rich.execute_script("return arguments[0].getBoundingClientRect().right", e) for e in words]
    assert len(words) > 3 and max(right) <= 390
    assert all(e.get_attribute("tabindex") == "0" for e in rich.find_elements("css selector", ".pictures .scroll"))
    rich.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    rich.refresh()


def test_legends_of_many_models_are_whole_on_narrow_screens(driver, opened, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    names = [f"model_with_a_name_{i}" for i in range(30)]
    records = [fake_records.record(n, sigma=s, scale=1 + i / 50) for i, n in enumerate(names) for s in (4.0, 12.0)]
    records += [fake_records.record("vae", sigma=s) for s in (4.0, 12.0)]
    override = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", override)
    opened(render(records, tmp_path, formats=()))
    bottoms = "return [...document.querySelectorAll('.map .legendtext')].map(e => e.getBoundingClientRect().bottom)"
    end = "return document.querySelector('.map').getBoundingClientRect().bottom"
    WebDriverWait(driver, 10).until(lambda b: len(b.execute_script(bottoms)) == 31)
    assert max(driver.execute_script(bottoms)) <= driver.execute_script(end)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_legend_shows_how_a_point_as_asked_is_drawn(driver, opened, tmp_path):
    records = [fake_records.record("vae", sigma=s, status=t) for s, t in ((2.0, "rate_missed"), (9.0, "ok"))]
    opened(render(records, tmp_path, formats=()))
    script = "return document.querySelector('[data-plot]').data.find(t => t.mode === 'markers' && t.name === 'VAE')"
    marker = driver.execute_script(script)["marker"]
    assert [s.endswith("-open") for s in marker["symbol"]] == [False, True] and marker["opacity"] == [1, 0.55]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_heading_that_is_jumped_to_is_not_behind_the_bar(rich, width):
    rich.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    for place in ("#sprites", "#sprites-learning", "#digits"):
        script = "const at = document.querySelector(arguments[0]); at.scrollIntoView(); return at.tagName"
        heading = place if rich.execute_script(script, place) in ("H2", "H3") else f"{place} :is(h2, h3)"
        top, bar = (
            rich.execute_script(
                "return document.querySelector(arguments[0]).getBoundingClientRect()[arguments[1]]", *part
            )
            for part in ((heading, "top"), (".bar", "bottom"))
        )
        assert bar > 30 and top >= bar - 1
    rich.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def first(table):
    return table.find_element("css selector", "tbody th")


def test_paper_cuts_no_table(rich):
    rich.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    rich.execute_script("dispatchEvent(new Event('beforeprint'))")
    clipped = rich.execute_script(
        "return [...document.querySelectorAll('.scroll')].filter(e => getComputedStyle(e).overflow != 'visible').length"
    )
    assert clipped == 0 and rich.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    sizes = "return [...document.querySelectorAll('table small')].map(e => [e, e.parentElement].map(size))"
    both = rich.execute_script("const size = (e) => getComputedStyle(e).fontSize;" + sizes)
    assert both and all(small == beside for small, beside in both)
    rich.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    rich.refresh()


def test_traversals_move_with_the_slider_and_play(rich):
    slider = rich.find_element("css selector", ".player input[type=range]")
    move = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    places = []
    for step in (0, 3):
        rich.execute_script(move, slider, step)
        tile = rich.find_element("css selector", ".tiles .picture")
        places.append(tile.value_of_css_property("background-position"))
    assert places[0] != places[1]
    assert rich.find_element("css selector", ".player output").text == "+1 standard deviations"
    assert rich.find_element("css selector", ".player button").text == "Play"


def test_learning_curves_follow_their_model(rich):
    before = traces(rich, "learning")
    assert [name for name, *_ in before] == ["D (nats)", "R (nats)", "β (right axis)"]
    ticks = rich.find_elements("css selector", f"{at('learning', 'plot')} .y2tick text")
    beta = before[2][2]
    shown = [float(tick.get_attribute("textContent")) for tick in ticks]
    assert shown and 0.9 * min(beta) < min(shown) and max(shown) < 1.1 * max(beta)  # an axis ends a little further out
    chosen(rich, "learning", "model").select_by_visible_text("M2 †")
    assert traces(rich, "learning") != before


def test_hovering_tells_what_a_point_is(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("document.querySelector('[data-plot]').scrollIntoView()")
    point = browser.find_elements("css selector", "[data-plot] .scatterlayer .points path")[3]
    ActionChains(browser).move_to_element(point).pause(0.6).perform()
    told = browser.find_element("css selector", ".hoverlayer").text
    for words in ("σ =", "seed", "R* =", "D =", "nats"):
        assert words in told


def test_tables_sort_by_number_with_dashes_last(browser):
    table = browser.find_element("css selector", "table.board")
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


def test_models_that_are_sought_are_found_in_tables_and_plots(browser):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    field = browser.find_element("id", "find")
    rows = browser.find_elements("css selector", "table.board:first-of-type tbody tr")
    field.send_keys("tcvae")
    assert {row.get_attribute("data-model") for row in rows if row.is_displayed()} == {"β-TCVAE"}
    names = "return document.querySelector('[data-plot]').data.filter(t => t.showlegend !== false).map(t => t.name)"
    WebDriverWait(browser, 10).until(lambda b: b.execute_script(names) == ["β-TCVAE", "no code"])
    field.send_keys(Keys.CONTROL + "a", Keys.DELETE)
    WebDriverWait(browser, 10).until(lambda b: len(b.execute_script(names)) > 5)


def test_text_of_records_is_text(browser):
    assert browser.execute_script("return window.evil === undefined && document.getElementById('evil') === null")
    assert "<b id=evil>" in browser.find_element("css selector", "main").text
