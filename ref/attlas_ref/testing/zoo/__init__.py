"""The zoo: the famous bugs of the field, kept alive.

Each is a correct implementation with a line or two changed, as somebody somewhere once wrote them, and each is tied to
the law that kills it. They show what tests are for: most of them pass the one test that every attention has, that rows
of weights sum to one. Try your own tests on them:

>>> from attlas_ref.testing.zoo import bug_named
>>> bug = bug_named("causal_from_the_first_key")
>>> print(bug.diff())
-     visible = visible_pairs(query, key, mask, causal)
+     visible = visible_pairs(query, key, mask, causal, offset=0)
>>> import numpy as np
>>> bug.faulty()(np.ones((1, 2)), np.ones((3, 2)), np.array([[1.0], [2.0], [3.0]]), causal=True)
array([[1.]])

- `bug`: what a bug is, and how it is brought to life;
- `hunt`: what kills it, with the smallest call that shows it, and whether its rows still sum to one;
- the other modules hold the bugs themselves.
"""

from . import alignments, densities, exact, gradients, inference, kernels, memories, pointers
from .bug import Bug

BUGS: tuple[Bug, ...] = (
    *exact.BUGS,
    *gradients.BUGS,
    *densities.BUGS,
    *memories.BUGS,
    *inference.BUGS,
    *pointers.BUGS,
    *alignments.BUGS,
    *kernels.BUGS,
)
"""Every bug, family by family; those of kernels last."""

__all__ = ["BUGS", "Bug", "bug_named"]


def bug_named(name: str) -> Bug:
    """Return the bug of a name."""
    return next(bug for bug in BUGS if bug.name == name)
