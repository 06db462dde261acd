"""What products of rows obey.

| in the specification | law |
| --- | --- |
| p = 1: identity | `one_array_is_its_own_product` |
| associative; all ones | `products_of_rows_are_associative` |
| the mixed product | `a_dot_product_with_a_product_is_one_of_three` |
"""

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, equal, law, same
from .tensor import in_line

NAME = "khatri_rao"


@law(NAME, statement="khatri_rao((a,)) = a")
def one_array_is_its_own_product(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    first = call.arrays[0][0]
    return same(call.given((first,)).by(f), first)


@law(NAME, statement="khatri_rao((a, khatri_rao((b, c)))) = khatri_rao((a, b, c)); rows of ones are neutral")
def products_of_rows_are_associative(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    first, *rest = call.arrays[0]
    whole, one = call.by(f), np.ones((1, first.shape[-1]), dtype=first.dtype)
    nested = call.given((first, f(NAME, tuple(rest)))).by(f) if rest else whole
    return equal(whole, nested), same(call.given((*call.arrays[0], one)).by(f), whole)


@law(NAME, statement="<q, (a ⊘ b)[j, k]> = <q a_j, b_k>")
def a_dot_product_with_a_product_is_one_of_three(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    a, b = call.arrays[0][0], call.arrays[0][-1]
    query = rng.standard_normal(a.shape[-1]).astype(a.dtype)
    scores = call.given((a, b)).by(f) @ query
    return equal(scores, in_line((a * query) @ b.mT, 2))
