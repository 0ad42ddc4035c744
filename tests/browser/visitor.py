"""Somebody in front of the browser: goes to pages, reads, clicks, types, and takes pictures."""

import json
import re
from pathlib import Path

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.chromium import WINDOW

#: Seconds that a page may take to show what is looked for.
PATIENCE = 15

#: What may be clicked, or say what it is by its text.
_CLICKABLE = "a, button, summary, label, input[type=submit], input[type=button], [role=button]"


#: The least contrast of a text, by WCAG 2 (AA, for text that is not large).
_LEAST = 4.5

_PALE = Path(__file__).with_name("pale.js").read_text(encoding="utf-8")


def _is(said, text):
    """Say whether what is labelled ``said`` is meant by ``text``: marks of a field are left out."""
    return said.removesuffix("(required)").strip(" :*\n") == text


class Visitor:
    """Each method is something a person does; what they look for, they wait for."""

    def __init__(self, driver, url, pictures):
        self.driver = driver
        self.url = url
        self.pictures = pictures
        self.complaints = []

    # Going ------------------------------------------------------------------------------------

    def visit(self, path):
        """Go to a page of the site."""
        self.driver.get(path if path.startswith("http") else f"{self.url}{path}")
        self.listen()

    def log_in(self, name):
        """Log in on the shop's own page; everybody's password is the name."""
        self.driver.delete_all_cookies()
        self.visit("/login/")
        self.type("Username", name)
        self.type("Password", name)
        self.click("Log in")
        self.sees("Orders")

    @property
    def path(self):
        return self.driver.current_url.removeprefix(self.url)

    # Reading ----------------------------------------------------------------------------------

    def text(self):
        """Return what is to be read on the page, in one line."""
        return " ".join(self.driver.find_element(By.TAG_NAME, "body").text.split())

    def sees(self, *texts):
        """Wait until the page says each of ``texts``."""
        self.until(
            lambda: all(text in self.text() for text in texts),
            lambda: f"{texts} on {self.path}, which reads:\n{self.text()}",
        )
        self.listen()

    def sees_no(self, text):
        """Assert that the page, as it is now, does not say ``text``."""
        assert text not in self.text(), f"{text!r} is on {self.path}"

    def find(self, selector):
        """Return the first element of a CSS selector, waiting for it."""
        return self.until(
            lambda: next(iter(self.all(selector)), None),
            lambda: f"{selector} on {self.path}, which reads:\n{self.text()}",
        )

    def all(self, selector):
        """Return every element of a CSS selector, as the page is now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, condition, wanted=lambda: "it"):
        """Return what ``condition`` says once that is true."""

        def ask(_driver):
            try:
                return condition()
            except StaleElementReferenceException:  # the page changed while it was read
                return None

        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.1)
        try:
            return wait.until(ask)
        except Exception as error:
            raise AssertionError(f"Waited {PATIENCE} seconds for {wanted()}") from error

    # Doing ------------------------------------------------------------------------------------

    def click(self, text, within="body"):
        """Click what has this text, the first one of them, and wait for the page that follows."""
        self.press(self.labelled(text, within))

    def press(self, element):
        """Click an element; where that leads to another page, wait for it."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        self.until(
            lambda: self.driver.execute_script("return document.readyState") == "complete",
            lambda: f"a page after a click on {self.path}",
        )
        self.listen()

    def labelled(self, text, within="body"):
        """Return the link, button or label with this text."""

        def look():
            for element in self.driver.find_elements(By.CSS_SELECTOR, within):
                for one in element.find_elements(By.CSS_SELECTOR, _CLICKABLE):
                    said = one.text or one.get_attribute("value") or one.get_attribute("aria-label")
                    if _is(said or "", text) and one.is_displayed():
                        return one
            return None

        return self.until(
            look, lambda: f"{text!r} to click on {self.path}, which reads:\n{self.text()}"
        )

    def field(self, label):
        """Return the field with this label."""
        named = self.labelled(label)
        inside = named.find_elements(By.CSS_SELECTOR, "input, textarea, select")
        if inside:
            return inside[0]
        return self.find(f"#{named.get_attribute('for')}")

    def type(self, label, text):
        """Write into the field with this label what it is to hold."""
        field = self.field(label)
        field.clear()
        field.send_keys(text)

    # With the keyboard alone ------------------------------------------------------------------

    @property
    def focused(self):
        return self.driver.switch_to.active_element

    def key(self, *keys):
        """Press keys where the focus is."""
        self.focused.send_keys(*keys)
        self.listen()

    def tab_to(self, text, most=200):
        """Press Tab until what has this text, or is so labelled, has the focus; and it shows."""
        for _ in range(most):
            self.focused.send_keys(Keys.TAB)
            if _is(self._said_by_focus(), text):
                assert self._shows_focus(), f"{text!r} has the focus, and nothing shows it"
                return
        raise AssertionError(f"Tab does not lead to {text!r} on {self.path}")

    def _said_by_focus(self):
        return self.driver.execute_script(
            """
            const it = document.activeElement;
            const label = it.labels && it.labels[0] ? it.labels[0].textContent : "";
            const own = it.matches("a, button, summary") ? it.textContent : "";
            const value = it.matches("input[type=submit]") ? it.value : "";
            const said = own || label || value || it.getAttribute("aria-label") || "";
            return said.replace(/\\s+/g, " ").trim();
            """
        )

    def _shows_focus(self):
        return self.driver.execute_script(
            """
            const it = document.activeElement;
            const looks = getComputedStyle(it);
            if (looks.outlineStyle !== "none" && parseFloat(looks.outlineWidth) > 0) return true;
            const before = [looks.boxShadow, looks.borderColor, looks.backgroundColor,
                looks.color, looks.textDecorationLine].join();
            it.blur();
            const after = getComputedStyle(it);
            const differs = before !== [after.boxShadow, after.borderColor, after.backgroundColor,
                after.color, after.textDecorationLine].join();
            it.focus();
            return differs;
            """
        )

    # Looking ----------------------------------------------------------------------------------

    def overflow(self):
        """Return by how many pixels the page is wider than the window."""
        return self.driver.execute_script(
            "const it = document.documentElement; return it.scrollWidth - it.clientWidth;"
        )

    def is_dark(self):
        """Say whether the page's ground is dark."""
        ground = self.driver.find_element(By.TAG_NAME, "body").value_of_css_property(
            "background-color"
        )
        red, green, blue = map(float, re.findall(r"[\d.]+", ground)[:3])
        return max(red, green, blue) < 80

    def pale(self):
        """Return the texts that hardly differ from what is behind them, each with its contrast."""
        return self.driver.execute_script(_PALE, _LEAST)

    def window(self, width=WINDOW[0], height=WINDOW[1]):
        """Make the page's room that large, whatever the least size of a window is."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, scheme):
        """Say that the system's colours are "dark" or "light"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, name, most=1800):
        """Save how the page looks, from its top to its end or to ``most`` pixels."""
        width, height = self.driver.execute_script(
            "const it = document.documentElement; return [it.clientWidth, it.scrollHeight];"
        )
        whole = self.driver.execute_script("return window.innerHeight")
        self.window(width, min(max(height, 400), most))
        try:
            Path(self.pictures, f"{name}.png").write_bytes(self.driver.get_screenshot_as_png())
        finally:
            self.window(width, whole)

    def listen(self):
        """Keep what the browser complains about: errors of scripts, what the policy refuses."""
        for line in self.driver.get_log("browser"):
            if line["level"] in {"SEVERE", "WARNING"}:
                self.complaints.append(f"{line['level']}: {line['message']}")

    def described(self):
        """Return the complaints, as a test that fails shows them."""
        return json.dumps(self.complaints, indent=2, ensure_ascii=False)
