"""What is not given is what the lesson says."""

import pytest
from documented import check_defaults

from attlas_ref.records import all_records


@pytest.mark.parametrize("name", [record.name for record in all_records()])
def test_defaults_are_those_that_the_lesson_names(name: str) -> None:
    check_defaults(name)
