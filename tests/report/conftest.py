"""Pages that the tests of the report look at, drawn once, and a browser without a network."""

import shutil

import fake_records
import pages
import pytest

from rdu_bench.report import render

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")


@pytest.fixture(scope="session")
def told():
    """What the script of a page is told, by the page's path."""
    return pages.told


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """Two data sets, eight models, and one that would like to be markup."""
    records = fake_records.suite(datasets=("sprites", "digits"), seeds=2)
    records.append(
        fake_records.record("evil", seed=1, sigma=4.0, title="<b id=evil>x</b><script>window.evil=1</script>")
    )
    return render(records, tmp_path_factory.mktemp("report"), title="A <i>test</i>")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Sprites with all parts that a record may have, digits with none of them."""
    records = fake_records.suite(("vae", "m2", "beta_tcvae", "beta_vae"), seeds=2, parts=True)
    records += fake_records.suite(("vae", "m2"), ("digits",), seeds=1)
    records.append(fake_records.rich(fake_records.record("evil", sigma=4.0, title="<b id=evil>x</b>")))
    records[-1]["structure"]["leakage"]["s"] = "<i id=evil>s</i>"
    return render(records, tmp_path_factory.mktemp("whole"), vectors=fake_records.vectors, formats=("png", "svg"))


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def opened(driver):
    """Opens a page that is not open yet, and waits until all of it is drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    def open_page(page):
        if driver.current_url.partition("#")[0] != page.as_uri():
            driver.get(page.as_uri())
        drawn = "return document.documentElement.dataset.drawn"
        WebDriverWait(driver, 60).until(lambda it: it.execute_script(drawn) == "all")
        return driver

    return open_page


@pytest.fixture
def browser(opened, page):
    return opened(page)


@pytest.fixture
def rich(opened, whole):
    return opened(whole)
