"""Every law holds for every candidate."""

from hypothesis import settings

from attlas_ref.testing import Candidate, Law
from attlas_ref.testing.checks import check_law


def test_law(candidate: Candidate, law: Law, subject: str) -> None:
    # A law evaluates several formulations several times, and there are many laws: fewer cases of each.
    check_law(candidate, law, subject, max_examples=max(settings.default.max_examples // 10, 2))
