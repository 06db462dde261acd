"""Attention over pairs, and attention by polynomials."""

from .case import Case, Goal, Group, square


def cube(n: int, width: int = 64) -> dict[str, int]:
    """As many queries as first and second keys, and one width."""
    return {"m": n, "n_1": n, "n_2": n, "d": width, "e": width}


PAIRS = Group(
    "Attention over pairs beside PyTorch's einsum, which holds all triples",
    (
        Case("tensor_attention", cube(128), goals=(Goal(3.0, ("torch",)),)),
        # The triples of 8 heads would take 32 GiB in PyTorch, and its softmax as much again.
        Case("tensor_attention", cube(1024), batch=(), rivals=(), goals=(), checked="last"),
    ),
)

POLYNOMIALS = Group(
    "Attention by polynomials beside the fastest expression in PyTorch",
    (
        Case(
            "fastmax_attention", square(2048), rivals=("torch", "compiled"), goals=(Goal(3.0, ("torch", "compiled")),)
        ),
        Case(
            "fastmax_attention", square(8192, 16), rivals=("torch", "features"),
            goals=(Goal(3.0, ("torch", "features")),), checked="last",
        ),
        Case(
            "fastmax_attention", square(8192, 16), options={"causal": True}, goals=(Goal(3.0, ("torch",)),),
            checked="last",
        ),
    ),
)  # fmt: skip

GROUPS = (PAIRS, POLYNOMIALS)
