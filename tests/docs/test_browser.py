"""The built site as a reader meets it: opened from disk in Chromium, on a desk and on a phone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, PHONE, Browser, opened
from built_site import ROOT, Site

from attlas_ref.data import alice
from attlas_ref.records import FAMILIES, all_records

pytest.importorskip("playwright.sync_api", reason="needs playwright, which drives the browser")
pytestmark = [
    pytest.mark.xdist_group("docs"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

FACTS = """() => {
    const article = document.querySelector("article").cloneNode(true);
    for (const part of article.querySelectorAll(".katex, code, pre, script, style")) part.remove();
    return {
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        formulas: document.querySelectorAll(".arithmatex").length,
        unrendered: [...document.querySelectorAll(".arithmatex")].filter((e) => !e.querySelector(".katex-html")).length,
        refused: [...document.querySelectorAll(".katex-error")].map((e) => e.title),
        prose: article.textContent,
    };
}"""


@dataclass
class Visit:
    """What a page did, and what stood on it."""

    problems: list[str]
    outside: list[str]
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """The browser; whatever it would get from outside of the site is refused and noted down."""
    with opened(site.folder) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_goes_wrong(browser: Browser) -> Iterator[None]:
    """Using a page, too, causes neither errors nor requests."""
    yield
    assert not browser.problems
    assert not browser.outside


def addresses(site: Site) -> list[str]:
    """Every page but those that are written alike: one formulation per family, and one family, stand for them."""
    alike = {f"atlas/{record.family}/{record.name}.html" for record in all_records()}
    alike |= {f"atlas/{family}/index.html" for family in FAMILIES}
    samples = {f"atlas/{family}/{all_records(family)[0].name}.html" for family in FAMILIES}
    samples.add(f"atlas/{FAMILIES[-1]}/index.html")
    pages = {path.relative_to(site.folder).as_posix() for path in site.pages}
    return sorted(pages - alike | samples)


@pytest.fixture(scope="module")
def visits(site: Site, browser: Browser) -> dict[str, Visit]:
    """Every kind of page, opened at the width of a phone."""
    found = {}
    for address in addresses(site):
        browser.problems.clear()
        browser.outside.clear()
        page = browser.open(address, PHONE)
        page.wait_for_function("document.querySelector('.md-search__input')")
        found[address] = Visit([*browser.problems], [*browser.outside], page.evaluate(FACTS))
    browser.problems.clear()
    browser.outside.clear()
    return found


def test_no_page_has_an_error(visits: dict[str, Visit]) -> None:
    assert not {address: visit.problems for address, visit in visits.items() if visit.problems}


def test_no_request_leaves_the_site(visits: dict[str, Visit]) -> None:
    assert not {address: visit.outside for address, visit in visits.items() if visit.outside}


def test_every_formula_is_rendered(visits: dict[str, Visit]) -> None:
    assert sum(visit.facts["formulas"] for visit in visits.values())
    for address, visit in visits.items():
        assert not visit.facts["unrendered"], address
        assert not visit.facts["refused"], address
        assert not re.search(r"\$\$|\\[(\[]|\\[a-zA-Z]{2,}", visit.facts["prose"]), address


def test_no_page_is_wider_than_a_phone(visits: dict[str, Visit]) -> None:
    assert not {address: visit.facts["overflow"] for address, visit in visits.items() if visit.facts["overflow"] > 0}


def test_search_of_the_site_works_from_disk(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "searches", True)
    page = browser.open("index.html")
    page.fill(".md-search__input", "sparsemax_attention")
    page.wait_for_selector(".md-search-result__link[href*='sparsemax_attention.html']")


# --- the atlas


def shown(page: Any, column: str) -> list[str]:
    """A column of the rows that the search leaves."""
    return [cell for cell in page.locator(f"tbody tr:not([hidden]) .atlas-{column}").all_inner_texts() if cell]


def test_atlas_lists_every_formulation(browser: Browser) -> None:
    page = browser.open("atlas/index.html")
    assert shown(page, "formulation") == [record.name for record in all_records()]


def test_atlas_is_searched_by_name_author_and_family(browser: Browser) -> None:
    page = browser.open("atlas/index.html")
    page.fill("input[name=words]", "vaswani 2017")
    assert "softmax_attention" in shown(page, "formulation")
    assert 0 < len(shown(page, "formulation")) < 20
    page.fill("input[name=words]", "HOPFIELD")
    page.select_option("select[name=family]", "memory")
    names = shown(page, "formulation")
    assert {"hopfield_attention", "classical_hopfield"} <= set(names)
    assert set(shown(page, "family")) == {"memory"}
    assert page.inner_text(".atlas-count") == f"{len(names)} of {len(all_records())}"
    assert page.locator(".atlas-point:not(.atlas-left-out)").count() == len(names)
    page.fill("input[name=words]", "no such words")
    assert not shown(page, "formulation")


def test_atlas_is_sorted_both_ways(browser: Browser) -> None:
    page = browser.open("atlas/index.html")
    for column, read in (("year", int), ("laws", int), ("formulation", str)):
        for order in ("ascending", "descending"):
            page.click(f"th.atlas-{column} button")
            assert page.get_attribute(f"th.atlas-{column}", "aria-sort") == order
            values = [read(text) for text in shown(page, column)]
            up = values if order == "ascending" else values[::-1]
            assert len(up) == len(all_records())
            if read is int:
                assert all(low <= high for low, high in pairwise(up))
            else:
                assert up[0] == min(up)


def test_map_tells_what_laws_tie(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from figures.web import pairs

    page = browser.open("atlas/index.html")
    name = "sparsemax_attention"
    neighbors = {other for pair in pairs() if name in pair for other in pair} - {name}
    page.focus(f".atlas-point[data-name={name}]")
    near = page.eval_on_selector_all(".atlas-point.atlas-near", "points => points.map((p) => p.dataset.name)")
    assert set(near) == neighbors | {name}
    assert set(page.locator(".atlas-told a").all_inner_texts()) == neighbors | {name}


def test_map_is_walked_with_keys_and_leads_to_entries(browser: Browser) -> None:
    page = browser.open("atlas/index.html")
    page.focus(".atlas-point[tabindex='0']")
    page.keyboard.press("ArrowRight")
    name = page.evaluate("document.activeElement.dataset.name")
    assert name != "softmax_attention"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{name}.html")
    assert page.inner_text("h1").startswith(name)


def test_map_answers_a_finger_before_it_leads_on(browser: Browser) -> None:
    page = browser.open("atlas/index.html", PHONE)
    page.tap(".atlas-point[data-name=softmax_attention]")
    assert page.url.endswith("index.html")
    assert page.inner_text(".atlas-told").startswith("softmax_attention")


# --- the explorer


@pytest.fixture
def dials(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generator.dials import DIALS

    return DIALS


def numbers(page: Any) -> list[str]:
    """The weights as the explorer writes them."""
    return page.locator(".explorer-number").all_inner_texts()


def move_to(page: Any, stop: int) -> None:
    """Move the slider, as a reader does."""
    page.locator("input[name=stop]").fill(str(stop))


def test_explorer_shows_the_numbers_of_the_references(browser: Browser, dials: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(7)
    rounding = 0.005 + 1e-9  # two digits are shown
    page = browser.open("explorer.html")
    for index, dial in enumerate(dials):
        layer, head, word = (int(rng.integers(size)) for size in (6, 12, 15))
        stop = int(rng.integers(len(dial.stops)))
        query, key = (np.asarray(x[layer, head, 1:16], dtype=np.float64) for x in alice()[:2])
        page.select_option("select[name=dial]", index=index)
        page.select_option("select[name=layer]", str(layer))
        page.select_option("select[name=head]", str(head))
        page.check(f"input[name=word][value='{word}']", force=True)
        move_to(page, stop)
        page.wait_for_selector(f"#explorer[data-shown='{dial.slug} {stop}']")
        expected = dial.weigh(query, key, dial.stops[stop])[word]
        texts = numbers(page)
        found = [float(text.replace("−", "-")) for text in texts]
        step = (2.0 if dial.signed else 1.0) / 254
        np.testing.assert_allclose(found, expected, rtol=0, atol=rounding + step / 2, err_msg=dial.slug)
        assert [text == "0" for text in texts] == (expected == 0).tolist(), dial.slug
        total = float(page.inner_text(".explorer-sum").removesuffix(".").rsplit(" ")[-1].replace("−", "-"))
        assert abs(total - expected.sum()) < rounding + 2.0**-12, dial.slug


def test_explorer_answers_the_keyboard(browser: Browser) -> None:
    page = browser.open("explorer.html")
    widths = "bars => bars.map((bar) => bar.style.width)"
    page.wait_for_selector("#explorer[data-shown]")
    before = page.eval_on_selector_all(".explorer-bar", widths), numbers(page)
    value = float(page.inner_text("#explorer-value"))
    page.focus("input[name=stop]")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("value => Number(document.querySelector('#explorer-value').textContent) < value", arg=value)
    after = page.eval_on_selector_all(".explorer-bar", widths), numbers(page)
    assert before[0] != after[0]
    assert before[1] != after[1]
    page.focus("input[name=word]:checked")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('caption').textContent.includes('sister')")
    assert numbers(page) != after[1]


def test_explorer_opens_where_an_entry_leads(browser: Browser) -> None:
    page = browser.open("explorer.html#entmax_attention-alpha")
    page.wait_for_selector("#explorer[data-shown^='entmax_attention-alpha']")
    assert "0" in numbers(page), "entmax has exact zeros"


def test_explorer_asks_a_word_by_its_row_of_the_map(browser: Browser) -> None:
    page = browser.open("explorer.html")
    page.wait_for_selector("#explorer[data-shown]")
    page.locator(".explorer-cell[data-row='5']").first.click()
    page.wait_for_function("document.querySelector('caption').textContent.includes('very')")


def test_explorer_stays_small(site: Site) -> None:
    files = sorted((site.folder / "atlas" / "explorer").glob("*.js"))
    assert files
    assert max(path.stat().st_size for path in files) < 200_000
    assert sum(path.stat().st_size for path in files) < 2_000_000
