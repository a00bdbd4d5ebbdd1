"""Reading a page as a browser would: what it links to, and what it complains about."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Elements, addresses, anchors and text of a page; refuses elements that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.addresses, self.ids, self.words = [], [], set(), []
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        """Note an element and where it points."""
        self.elements.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "srcset", "poster"}:
                self.addresses.append(value)
            if name == "id":
                self.ids.add(value)

    def handle_endtag(self, tag):
        """Close the innermost element, which has to be this one."""
        assert self._open.pop() == tag

    def handle_data(self, data):
        """Note the words."""
        self.words.append(data)

    @property
    def text(self):
        """All words of the page."""
        return " ".join(" ".join(self.words).split())


def assert_self_contained(text):
    """Fail if a page reaches for anything outside itself."""
    page = Page(text)
    outside = [a for a in page.addresses if not a.startswith(("#", "data:"))]
    assert outside == []
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= page.ids
    bare = re.sub(r"data:[^\"')]*", "", text)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\(|\bfetch\(|XMLHttp", bare)
    return page


def console_messages(path, folder):
    """Open a page in a headless browser and return what its console says."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", "--virtual-time-budget=1500",
        f"--screenshot={folder / 'page.png'}", "--window-size=800,900", path.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert (folder / "page.png").stat().st_size > 5_000
    return [line for line in run.stderr.splitlines() if "CONSOLE" in line]
