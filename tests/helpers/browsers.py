"""A headless Chromium, driven by selenium, and what is asked of every page in it."""

import itertools
import shutil
import time

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT_SECS = 15.0  # seconds until something must have happened
MIN_CONTRAST = 4.5  # WCAG 2, level AA
# Contrast ratio and class of every text that is seen.
_CONTRAST = """
  const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92
    : Math.pow((v + 0.055) / 1.055, 2.4);
  const light = (c) => { const [r, g, b] = parse(c).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/rgba\\(0, 0, 0, 0\\)|transparent/.test(c)) return c; } };
  return [...document.querySelectorAll(arguments[0])]
    .filter((e) => e.textContent.trim() && e.checkVisibility()).map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
        e.className || e.tagName];
    });
"""


def open_chromium(*arguments: str):
    """Starts a headless Chromium; skips a test where there is none."""
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
        "--window-size=1280,1000",
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=service.Service(DRIVER))


def open_page(driver, page):
    """Opens a page as a desktop shows it."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get(page.as_uri())


def until(condition):
    """Waits for a condition; returns its value."""
    end = time.monotonic() + WAIT_SECS
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def find_all(driver, selector):
    """Elements that a selector of CSS names."""
    return driver.find_elements("css selector", selector)


def tab_to(driver, name, *, most):
    """Names that the tab key reaches one after the other, up to one."""
    from selenium.webdriver.common import keys

    reached = []
    while len(reached) < most and name not in reached:
        driver.switch_to.active_element.send_keys(keys.Keys.TAB)
        active = driver.switch_to.active_element
        reached.append(active.accessible_name or active.tag_name)
    return reached


def check_names(driver, selector):
    """Checks that a screen reader has a name for all that is seen, and headings."""
    unnamed = [
        element.get_attribute("outerHTML")[:120]
        for element in find_all(driver, selector)
        if element.is_displayed() and not element.accessible_name
    ]
    assert unnamed == []
    levels = [int(e.tag_name[1]) for e in find_all(driver, "h1, h2, h3")]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def check_contrast(driver, selector, *, scheme, at_least):
    """Checks that texts, `at_least` so many, stand out from their ground."""
    scheme = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    ratios = driver.execute_script(_CONTRAST, selector)
    assert len(ratios) > at_least
    assert min(ratios)[0] >= MIN_CONTRAST, min(ratios)


def hold_as_phone(driver):
    """Shows the page as a phone does; checks that nothing sticks out."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True},
    )
    until(lambda: driver.execute_script("return innerWidth") == 360)
    check_width(driver)


def check_width(driver):
    """Checks that a phone's page is as wide as the phone."""
    assert driver.execute_script("return document.documentElement.scrollWidth") == 360
