"""A page in Chromium, and what is expected of it."""

import sys

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# In seconds; nothing waits longer than this for an event.
PATIENCE = 60

# Calls back as soon as a condition holds, which a change of the document, a part that has loaded or one that was opened can bring about.
UNTIL = """
const done = arguments[0];
const check = () => {
    if (%s) {
        observer.disconnect();
        events.forEach(event => document.removeEventListener(event, check, true));
        done();
    }
};
const observer = new MutationObserver(check), events = ['load', 'toggle'];
observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
events.forEach(event => document.addEventListener(event, check, true));
check();
"""

# WCAG's contrast of each text with the colour behind it, the lowest first.
CONTRASTS = """
const channels = color => color.match(/[\\d.]+/g).map(Number);
const luminance = color => {
    const [r, g, b] = channels(color).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
};
const behind = element => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? behind(element.parentElement) : color;
};
return [...document.querySelectorAll(arguments[0])]
    .filter(element => element.checkVisibility())
    .map(element => {
        const [low, high] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => a - b);
        return [(high + .05) / (low + .05), element.textContent || element.id];
    })
    .sort((a, b) => a[0] - b[0]);
"""

passed = failed = 0


def expect(what, wanted, got):
    global passed, failed
    if wanted == got:
        passed += 1
        print(f"ok: {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED: {what}\n  wanted: {wanted}\n  got:    {got}", flush=True)


def report(name):
    """Says how many held, and ends."""
    print(f"{name}: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def open_browser(*arguments):
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # In a container, whose own walls these are: no sandbox within the sandbox, and /dev/shm is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.set_script_timeout(PATIENCE)
    return browser


class Page:
    def __init__(self, browser):
        self.browser = browser

    def type(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def until(self, condition):
        try:
            self.browser.execute_async_script(UNTIL % condition)
        except TimeoutException:
            shown = self.run("return document.body.innerText")
            sys.exit(f"FAILED: {PATIENCE} seconds, and this does not hold: {condition}\n  the page shows:\n{shown}")

    def focus(self):
        return self.run("return document.activeElement.id")

    def text(self, selector):
        """Of the last one."""
        return self.run(f"return [...document.querySelectorAll('{selector}')].at(-1)?.textContent")

    def controls(self, *roles):
        """What there is to be operated, as a screen reader gets to know it."""
        nodes = self.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        found = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]]
        return [node for node in found if node[0] in roles]

    def prefer(self, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def resize(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def contrasts(self, selector):
        return self.run(CONTRASTS, selector)
