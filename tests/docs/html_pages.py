"""A page as a test sees it: its links, what it loads, its text outside of code and mathematics."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Page:
    """What stands on one page."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    mathematics: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    prose: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open: list[tuple[str, str]] = []  # (tag, what its text is)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.page.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.page.loads.append(given["href"])
        if "src" in given:
            self.page.loads.append(given["src"])
        if tag == "img":
            self.page.images.append(given["src"])
        if tag in VOID:
            return
        kind = self.open[-1][1] if self.open else "prose"
        if "arithmatex" in given.get("class", "").split():
            kind = "mathematics"
            self.page.mathematics.append("")
        elif tag in ("script", "style"):
            kind = "nothing"
        elif tag in ("code", "pre") and kind == "prose":
            kind = "code"
            self.page.code.append("")
        self.open.append((tag, kind))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        kind = self.open[-1][1] if self.open else "prose"
        if kind == "mathematics":
            self.page.mathematics[-1] += data
        elif kind == "code":
            self.page.code[-1] += data
        elif kind == "prose":
            self.page.prose += data


def read(path: Path) -> Page:
    """Read a page from a file."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page
