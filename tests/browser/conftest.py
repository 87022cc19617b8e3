"""Headless Chromium, the system's own, and pages opened in it that may not fail and may not ask for the network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# what the tests of this folder share, and the small runs that they share with the unit tests of the pages
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit" / "page")]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
PATIENCE = 30_000  # milliseconds: a browser on a busy machine is slow, and a test that waits loses nothing


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests: skipped: no playwright")
    if CHROMIUM is None:
        pytest.skip("browser tests: skipped: no chromium")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open addresses; at the end, nothing may have gone wrong but what was expected, and nothing have left the disk."""
    faults: list[str] = []
    contexts = []

    def opened(address: str, width: int = 1400, scheme: str = "light", expected: str = "", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("console", lambda m: None if expected and expected in m.text else faults.append(f"console: {m.text}"))
        tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else faults.append(r.url))
        tab.goto(address)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
