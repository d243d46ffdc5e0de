"""The report in a real browser: Debian's chromium, driven by selenium."""

import itertools
import shutil
import time

import numpy as np
import pytest

from evaluation.report import page as report_page
from tests.helpers import evaluation_helpers as helpers

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_SECS = 10.0  # seconds until something must have happened
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def until(condition):
    """Waits for a condition; returns its value."""
    end = time.monotonic() + WAIT_SECS
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser):
    rng = np.random.default_rng(11)
    refs, trackers = helpers.references([57, 66, 71], rng=rng, clips_each=2)
    systems = {
        name: helpers.system(
            refs, trackers, change=helpers.degraded(kind, amount), rng=rng
        )
        for name, kind, amount in (
            ("stage5", "frozen distribution", 0.1),
            ("stage2", "noise takeover", 0.8),
            ("stage1", "one harmonic", 0.3),
        )
    }
    del browser  # asked for so that nothing is built where there is none
    folder = tmp_path_factory.mktemp("page")
    helpers.write_report_inputs(folder, systems, refs, baseline="stage5", n_media=2)
    return report_page.write(folder)


@pytest.fixture(scope="module")
def browser():
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium is not installed: apt-get install chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome import options as chrome_options
    from selenium.webdriver.chrome import service

    options = chrome_options.Options()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",  # CI runs as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(page.as_uri())
    return browser


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def test_page_loads_without_errors(opened):
    assert "stage" in opened.title
    until(lambda: opened.execute_script("return document.readyState") == "complete")
    for image in find(opened, "img"):
        opened.execute_script("arguments[0].loading = 'eager'", image)
        until(
            lambda image=image: opened.execute_script(
                "return arguments[0].complete && arguments[0].naturalWidth > 0", image
            )
        )
    assert opened.get_log("browser") == []
    ids = [e.get_attribute("id") for e in find(opened, "[id]")]
    assert len(ids) == len(set(ids))
    for link in find(opened, "nav a"):
        assert link.get_attribute("href").split("#")[1] in ids


def test_audio_plays_and_tracks_change_at_the_same_moment(opened):
    position = "return arguments[0].currentTime"
    audios = find(opened, ".track audio")
    buttons = find(opened, ".track .play")
    assert len(audios) == 2 * 4
    opened.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})",
        buttons[0],
    )
    # Slowly, so that the clip is still playing when a busy machine comes to look.
    opened.execute_script(
        "document.querySelectorAll('audio').forEach(a => { a.playbackRate = 0.25; })"
    )
    buttons[0].click()
    until(lambda: opened.execute_script(position, audios[0]) > 0.3)
    assert buttons[0].get_attribute("aria-pressed") == "true"
    assert buttons[0].accessible_name == "Pause Recording"
    opened.switch_to.active_element.send_keys("2")
    until(lambda: opened.execute_script(position, audios[1]) > 0.3)
    assert opened.execute_script("return arguments[0].paused", audios[0])
    cursor = find(opened, ".track .cursor")[0]
    assert float(cursor.get_attribute("style").split("left: ")[1].split("%")[0]) > 5
    assert opened.get_log("browser") == []


def test_tables_sort_both_ways_and_keep_missing_last(opened):
    table = find(opened, "#clip-table")[0]
    heads = table.find_elements("css selector", "thead th")
    column = 2
    opened.execute_script("arguments[0].scrollIntoView()", table)

    def values():
        cells = table.find_elements("css selector", f"tbody td:nth-child({column + 1})")
        return [cell.get_attribute("data-sort") for cell in cells]

    # The first score is taken away, as if it could not be measured.
    opened.execute_script(
        "arguments[0].dataset.sort = ''",
        table.find_elements("css selector", f"tbody td:nth-child({column + 1})")[0],
    )
    button = heads[column].find_element("css selector", "button")
    for order in ("ascending", "descending"):
        opened.execute_script("arguments[0].click()", button)
        assert heads[column].get_attribute("aria-sort") == order
        found = values()
        numbers = [float(value) for value in found[:-1]]
        assert found[-1] == ""
        assert numbers == sorted(numbers, reverse=order == "descending")
        assert len(numbers) == 5


def test_keyboard_alone_reaches_the_players(opened):
    from selenium.webdriver.common import keys

    reached = []
    for _ in range(40):
        opened.switch_to.active_element.send_keys(keys.Keys.TAB)
        active = opened.switch_to.active_element
        reached.append(active.accessible_name or active.tag_name)
        if active.accessible_name == "Play Recording":
            break
    assert reached[0] == "Skip to the verdict"
    assert reached[-1] == "Play Recording"
    active.send_keys(keys.Keys.ENTER)
    audio = find(opened, ".track audio")[0]
    until(lambda: not opened.execute_script("return arguments[0].paused", audio))


def test_a_screen_reader_finds_names_for_everything(opened):
    for details in find(opened, "details"):  # what is folded has no name
        opened.execute_script("arguments[0].open = true", details)
    unnamed = [
        element.get_attribute("outerHTML")[:120]
        for element in find(opened, "button, input, svg[role=img], img, [role=region]")
        if not element.accessible_name
    ]
    assert unnamed == []
    assert len(find(opened, "h1")) == 1
    levels = [int(e.tag_name[1]) for e in find(opened, "h1, h2, h3")]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    ratios = opened.execute_script(
        """
        const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92
          : Math.pow((v + 0.055) / 1.055, 2.4);
        const light = (c) => { const [r, g, b] = parse(c).map(channel);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (e) => { for (; e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor;
          if (!/rgba\\(0, 0, 0, 0\\)|transparent/.test(c)) return c; } };
        const all = 'h1, h2, p, .mark, .state, .soft, .detail, th, td, .keys';
        return [...document.querySelectorAll(all)]
          .filter((e) => e.textContent.trim()).map((e) => {
            const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className];
          });
        """
    )
    assert len(ratios) > 100
    assert min(ratios)[0] >= 4.5, min(ratios)  # WCAG 2 AA


def test_nothing_sticks_out_on_a_phone(opened):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True},
    )
    until(lambda: opened.execute_script("return innerWidth") == 360)
    assert opened.execute_script("return document.documentElement.scrollWidth") == 360
    for details in find(opened, "details"):
        opened.execute_script("arguments[0].open = true", details)
    assert opened.execute_script("return document.documentElement.scrollWidth") == 360
