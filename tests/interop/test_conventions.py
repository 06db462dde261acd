"""Every cell of the table of conventions that can be run, run."""

from typing import Any

import cells_of_masks  # noqa: F401  (fills the registry)
import cells_of_numbers  # noqa: F401
import pytest
from convention_checks import CHECKS, RNG  # noqa: F401  (a generator under this name starts anew for each test)

from attlas.interop import CONVENTIONS, LIBRARIES


@pytest.mark.parametrize(("name", "library"), CHECKS, ids=lambda part: part.replace(" ", "-"))
def test_library_does_what_the_table_says(name: str, library: str, peers: Any, request: pytest.FixtureRequest) -> None:
    peers(library)
    test = CHECKS[name, library]
    extra = {"double_precision": request.getfixturevalue("double_precision")} if name == "float64" else {}
    test(library, **extra)


def test_every_measured_cell_has_a_test() -> None:
    measured = {(c.name, library) for c in CONVENTIONS for library, cell in c.cells.items() if cell.measured}
    assert set(CHECKS) == measured
    assert all(set(convention.cells) == set(LIBRARIES) for convention in CONVENTIONS)
