"""The report in a real browser: Debian's chromium, driven by selenium."""

import numpy as np
import pytest

from evaluation.report import page as report_page
from tests.helpers import browsers
from tests.helpers import evaluation_helpers as helpers

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
    driver = browsers.open_chromium()
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    browsers.open_page(browser, page)
    return browser


def test_page_loads_without_errors(opened):
    assert "stage" in opened.title
    browsers.until(
        lambda: opened.execute_script("return document.readyState") == "complete"
    )
    for image in browsers.find_all(opened, "img"):
        opened.execute_script("arguments[0].loading = 'eager'", image)
        browsers.until(
            lambda image=image: opened.execute_script(
                "return arguments[0].complete && arguments[0].naturalWidth > 0", image
            )
        )
    assert opened.get_log("browser") == []
    ids = [e.get_attribute("id") for e in browsers.find_all(opened, "[id]")]
    assert len(ids) == len(set(ids))
    for link in browsers.find_all(opened, "nav a"):
        assert link.get_attribute("href").split("#")[1] in ids


def test_audio_plays_and_tracks_change_at_the_same_moment(opened):
    position = "return arguments[0].currentTime"
    audios = browsers.find_all(opened, ".track audio")
    buttons = browsers.find_all(opened, ".track .play")
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
    browsers.until(lambda: opened.execute_script(position, audios[0]) > 0.3)
    assert buttons[0].get_attribute("aria-pressed") == "true"
    assert buttons[0].accessible_name == "Pause Recording"
    opened.switch_to.active_element.send_keys("2")
    browsers.until(lambda: opened.execute_script(position, audios[1]) > 0.3)
    assert opened.execute_script("return arguments[0].paused", audios[0])
    cursor = browsers.find_all(opened, ".track .cursor")[0]
    assert float(cursor.get_attribute("style").split("left: ")[1].split("%")[0]) > 5
    assert opened.get_log("browser") == []


def test_a_player_that_is_played_again_draws_once_a_frame(opened):
    body = """
      const done = arguments[0], output = document.querySelector(".track output");
      document.querySelector(".track audio").playbackRate = 0.25;
      for (let i = 0; i < 3; i++) {
        document.body.dispatchEvent(
          new KeyboardEvent("keydown", { key: "1", bubbles: true }));
      }
      let frame = 0, drawn = 0, most = 0;
      const observer = new MutationObserver((list) => { drawn += list.length; });
      const next = () => {
        most = Math.max(most, drawn);
        drawn = 0;
        if (frame++ < 20) requestAnimationFrame(next);
        else done(most);
      };
      setTimeout(() => {
        observer.observe(output, { childList: true });
        requestAnimationFrame(next);
      }, 500);
    """
    assert opened.execute_async_script(body) == 1


def test_a_key_that_is_held_acts_once(opened):
    body = """
      const { HTMLMediaElement: { prototype } } = window, own = prototype.play;
      let nPlays = 0;
      prototype.play = function () { nPlays++; return own.call(this); };
      const press = (key, repeat) => document.body.dispatchEvent(new KeyboardEvent(
        "keydown", { key, repeat, bubbles: true, cancelable: true }));
      const scrolls = [press("1", false), press("1", true), press(" ", true)];
      return [scrolls, nPlays, document.querySelector(".track audio").paused];
    """
    assert opened.execute_script(body) == [[False] * 3, 1, False]


def test_tables_sort_both_ways_and_keep_missing_last(opened):
    table = browsers.find_all(opened, "#clip-table")[0]
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

    reached = browsers.tab_to(opened, "Play Recording", most=40)
    assert reached[0] == "Skip to the verdict"
    assert reached[-1] == "Play Recording"
    opened.switch_to.active_element.send_keys(keys.Keys.ENTER)
    audio = browsers.find_all(opened, ".track audio")[0]
    browsers.until(
        lambda: not opened.execute_script("return arguments[0].paused", audio)
    )


def unfold(driver):
    """Opens what is folded: it has no name, and cannot be seen."""
    for details in browsers.find_all(driver, "details"):
        driver.execute_script("arguments[0].open = true", details)


def test_times_that_run_are_not_read_out(opened):
    outputs = browsers.find_all(opened, "output")
    assert outputs
    assert {output.get_attribute("aria-live") for output in outputs} == {"off"}


def test_a_screen_reader_finds_names_for_everything(opened):
    unfold(opened)
    browsers.check_names(opened, "button, input, svg[role=img], img, [role=region]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    unfold(opened)
    texts = "h1, h2, p, .mark, .state, .soft, .detail, th, td, .keys"
    browsers.check_contrast(opened, texts, scheme=scheme, at_least=100)


def test_nothing_sticks_out_on_a_phone(opened):
    browsers.hold_as_phone(opened)
    unfold(opened)
    browsers.check_width(opened)
