"""The site as it is built: complete, self-contained, its links and formulas sound."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built_site import ROOT, Site
from html_pages import read

from attlas_ref.records import FAMILIES, all_records, find
from attlas_ref.testing.laws import laws_of

pytestmark = pytest.mark.xdist_group("docs")

read = cache(read)
LARGEST_FIGURE = 150_000
NAMES = [record.name for record in all_records()]


def formulation_page(site: Site, name: str) -> Path:
    return next(site.folder.glob(f"atlas/*/{name}.html"))


def test_build_has_no_warning(site: Site) -> None:
    assert "WARNING" not in site.log
    assert "Warning" not in site.log


@pytest.mark.parametrize("family", FAMILIES)
def test_family_page_has_an_entry_per_formulation(site: Site, family: str) -> None:
    page = read(site.folder / "atlas" / family / "index.html")
    for record in all_records(family):
        assert record.name in page.anchors
        assert f"{record.name}.html" in page.links
        assert f"figures/{record.name}-light.svg#only-light" in page.images


@pytest.mark.parametrize("name", NAMES)
def test_formulation_has_formula_figure_code_and_laws(site: Site, name: str) -> None:
    path = formulation_page(site, name)
    page = read(path)
    assert page.mathematics or find(name).kind == "U", "a mask is told in words"
    assert len(page.images) == 2, "one image per theme"
    for image in page.images:
        figure = path.parent / urlsplit(image).path
        assert 1000 < figure.stat().st_size < LARGEST_FIGURE
    assert any(f"def {name}(" in code and "Parameters\n" not in code for code in page.code)
    assert {law.name for law in laws_of(name)} <= set(page.code)


def test_figure_is_asked_for_where_the_general_one_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from dataclasses import replace

    from figures import figure_of

    unknown = replace(find("attention_energy"), name="energy_without_a_figure")
    with pytest.raises(LookupError, match=r"docs/figures/dotproduct"):
        figure_of(unknown)


def test_pages_load_nothing_from_elsewhere(site: Site) -> None:
    for path in site.pages:
        for address in read(path).loads:
            assert not urlsplit(address).netloc, f"{path.name} loads {address}"
    for sheet in site.folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import\s*)[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_links_and_files_exist(site: Site) -> None:
    for path in site.pages:
        page = read(path)
        for address in {*page.links, *page.loads}:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("https", "data"), f"{path.name}: {address}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name} leads to {address}, which does not exist"
            if parts.fragment and target.suffix == ".html":
                assert parts.fragment in read(target).anchors, f"{path.name}: no anchor for {address}"


def test_no_raw_mathematics_in_prose(site: Site) -> None:
    for path in site.pages:
        prose = read(path).prose
        assert "$" not in prose, f"{path.name}: {prose[max(0, prose.index('$') - 40) :][:80]}"
        assert not re.search(r"\\[a-zA-Z(\[]", prose), path.name


def test_examples_in_docstrings_are_code(site: Site) -> None:
    # Outside of a section "Examples" Markdown takes >>> for a quotation in a quotation in a quotation.
    for path in site.pages:
        assert "<blockquote>" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, to run KaTeX")
def test_every_formula_is_understood(site: Site) -> None:
    formulas = sorted({formula.strip() for path in site.pages for formula in read(path).mathematics})
    assert formulas
    program = f"""
        const katex = require({json.dumps(str(site.folder / "assets/katex/katex.min.js"))});
        for (const formula of {json.dumps(formulas)})
            katex.renderToString(formula.slice(2, -2), {{displayMode: formula.startsWith("\\\\[")}});
    """
    done = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_search_knows_every_formulation(site: Site) -> None:
    index = json.loads((site.folder / "search" / "search_index.json").read_text(encoding="utf-8"))
    titles = {entry["title"] for entry in index["docs"]}
    assert set(NAMES) <= titles


def test_benchmarks_page_shows_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generator.tables import benchmarks

    spread = {"median": 0.002, "low": 0.001, "high": 0.003}
    row = {"seconds": spread, "speedup": {}, "product_share": 0.5, "copy_share": 0.25, "peak_memory_bytes": 1_000_000}
    machine = {"date": "2001-02-03", "processor": "A processor", "cores": 2, "threads": 2, "memory_gib": 8.0}
    machine |= {"system": "Linux", "gpu": None, "blas": "a BLAS", "versions": {"numpy": "2.0"}}
    point = {"name": NAMES[0], "sizes": {"n": 64}, "batch": [], "dtype": "float32", "options": {}, "peer": None}
    point |= {"contestants": {"reference": {**row, "error_in_budgets": 0.125}}}
    page = benchmarks("formulations", {"machine": machine, "limits": [], "results": [point]})
    for shown in (NAMES[0], "A processor", "2001-02-03", "2.00", "50%", "25%"):
        assert shown in page


def test_benchmarks_page_says_how_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generator.tables import benchmarks

    assert "attlas bench" in benchmarks("dense", None)
