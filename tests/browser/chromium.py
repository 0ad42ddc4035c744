"""A headless Chromium of this machine; nothing is downloaded."""

import os
import shutil

import pytest

from tests.services import REQUIRED

#: Where Debian and others put them; CHROMIUM and CHROMEDRIVER say it otherwise.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")

#: Width and height of the window, unless a test says otherwise.
WINDOW = (1280, 900)


def started():
    """Return a new browser, or skip the test that asks where this machine has none."""
    webdriver = _selenium()
    options = webdriver.ChromeOptions()
    options.binary_location = _found("CHROMIUM", BROWSERS)
    for argument in (
        "--headless=new",
        "--no-sandbox",  # as root, as in a container, there is none
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--lang=en",
        "--no-proxy-server",
        "--disable-background-networking",
        "--force-device-scale-factor=1",
        f"--window-size={WINDOW[0]},{WINDOW[1]}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = _found("CHROMEDRIVER", DRIVERS)
    service = webdriver.ChromeService(executable_path=driver)
    return webdriver.Chrome(options=options, service=service)


def _selenium():
    try:
        from selenium import webdriver
    except ImportError:
        _give_up("Selenium is not installed: the extra `browser` has it")
    return webdriver


def _found(variable, names):
    """Return the path of a program."""
    given = os.environ.get(variable)
    places = (shutil.which(name) for name in ([given] if given else names))
    path = next(filter(None, places), None)
    if path is None:
        looked_for = given or ", ".join(names)
        _give_up(
            f"No {variable.lower()} is found ({looked_for}): install chromium and chromium-driver"
        )
    return path


def _give_up(reason):
    """Skip, or fail where WORKFLOWS_REQUIRE_SERVICES=1, as for a server that is not running."""
    (pytest.fail if REQUIRED else pytest.skip)(reason)
