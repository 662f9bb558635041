"""What the tests in a browser share: Chromium itself, and the count of what held."""

import sys

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# In seconds; nothing waits longer than this for an event.
PATIENCE = 60

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


def open_browser():
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # In a container, whose own walls these are: no sandbox within the sandbox, and /dev/shm is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.set_script_timeout(PATIENCE)
    return browser
