"""Every law holds for every candidate."""

import pytest
from hypothesis import settings

from attlas_ref.testing import Candidate, Law, all_laws
from attlas_ref.testing.checks import check_law, formulations

CASES = [(law, subject) for law in all_laws() for subject in law.subjects]


@pytest.mark.parametrize(("law", "subject"), CASES, ids=[f"{law.name}-{subject}" for law, subject in CASES])
def test_law(candidate: Candidate, law: Law, subject: str) -> None:
    if not set(law.tied_with(subject)) <= set(formulations(candidate)):
        pytest.skip("it does not compute all of them")
    # A law evaluates several formulations several times, and there are many laws: fewer cases of each.
    check_law(candidate, law, subject, max_examples=max(settings.default.max_examples // 10, 2))
