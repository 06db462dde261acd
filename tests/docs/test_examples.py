"""Every Python example of the README and of the pages does what it says."""

import doctest
import re
from pathlib import Path

import pytest
from built_site import ROOT

from attlas_ref.testing import checks
from attlas_ref.testing.tally import Tally

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PEERS = re.compile(r"^ *>>> (?:import|from) (torch|jax|onnx)\b", re.MULTILINE)
"""Libraries that a page compares with; they are optional."""
FENCE = re.compile(r"^( *)```(?:python|pycon)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def examples(page: Path) -> list[str]:
    """The fenced Python of a page."""
    return [body for _, body in FENCE.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_examples_do_what_they_say(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TALLY", Tally())  # an example of the test kit is no test of ours
    blocks = examples(page)
    for peer in PEERS.findall("\n".join(blocks)):
        pytest.importorskip(peer, reason="the library is in the optional extra 'peers'")
    assert all(">>>" in block for block in blocks), "an example shows its result"
    session = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(session, out=report.append)
    assert not runner.failures, "".join(report)
    assert runner.tries == len(session.examples)


def test_readme_has_an_example() -> None:
    assert examples(ROOT / "README.md")
