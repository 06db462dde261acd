"""A headless Chromium that opens the built site from disk and writes down what goes wrong."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser's program, if there is one."""
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 180_000
"""Milliseconds that a busy machine may take for a step."""
INDEX = "**/search/search_index.js"
EMPTY_INDEX = 'var __index = {"config": {"lang": ["en"], "separator": "[\\\\s]+", "pipeline": []}, "docs": []}'
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"
"""No name leads to an address: what a page would get from elsewhere fails."""


@dataclass
class Browser:
    """One page of one browser, and what went wrong in it."""

    page: Any
    folder: Path
    problems: list[str]
    outside: list[str]
    searches: bool = False
    """Whether pages get the index of the search, over which each thinks for a second."""

    def open(self, address: str, width: dict[str, int] = DESK) -> Any:
        """Open a page of the site; return the browser's page."""
        self.page.goto("about:blank")  # a new anchor alone would load nothing
        self.page.set_viewport_size(width)
        path, _, anchor = address.partition("#")
        self.page.goto((self.folder / path).as_uri() + (f"#{anchor}" if anchor else ""))
        return self.page


@contextmanager
def opened(folder: Path) -> Iterator[Browser]:
    """Open the browser; whatever a page would get from outside of the site is refused."""
    from playwright.sync_api import sync_playwright  # not needed by those who have no browser

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", NOWHERE])
        page = chromium.new_context(has_touch=True).new_page()
        page.set_default_timeout(PATIENCE)
        found = Browser(page, folder, [], [])

        def judge(address: str) -> None:
            if not address.startswith((folder.as_uri(), "data:", "blob:", "about:")):
                found.outside.append(address)

        page.route(INDEX, lambda route: route.continue_() if found.searches else route.fulfill(body=EMPTY_INDEX))
        page.on("request", lambda request: judge(request.url))
        # What leads on while a picture still loads aborts it; a file that is missing is an error of the console.
        page.on("console", lambda said: found.problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: found.problems.append(str(error)))
        yield found
        chromium.close()
