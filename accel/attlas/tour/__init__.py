"""The tour: every formulation on every engine, on a real text, with a report to look at."""
