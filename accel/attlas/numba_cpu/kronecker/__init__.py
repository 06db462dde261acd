"""Attention over pairs and triples on the CPU.

`tuples` makes rows of tuples, `forward` and `backward` attend to them, `tensor` has the host functions; `monomials`
streams the features of polynomials, `polynomial` and its gradients are the dense form, `fastmax` chooses.
"""

from .fastmax import *  # noqa: F403
from .tensor import *  # noqa: F403
