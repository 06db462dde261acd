"""What holds for attention whose scores or sources are not those of the dense core: learned scores, two maps, prefixes.

| in the specification | law |
| --- | --- |
| permuting keys and values together changes nothing | `other_keys_may_be_permuted` |
| permuting queries permutes rows | `other_queries_may_be_permuted` |
| linear in `value` | `other_outputs_are_linear_in_value` |
| what stands in masked keys and values, NaN included | `what_is_hidden_from_all_has_no_effect` |
| a query that sees nothing gets zeros | `a_query_that_sees_nothing_gets_zeros` |
| leading axes are a loop | `other_leading_axes_are_a_loop` |
"""

from typing import Any

import numpy as np

from ...contract import Array, parse_signature
from ...records import Record, find
from ...records.monotonic.chances import previous_is_a_mass
from ..pairs import is_dense
from ..plan import Call
from .inputs import along, at, filled, parts, results_along, take
from .law import Evaluate, Relation, equal, law, names_where, same


def _mask_core(record: Record) -> tuple[str, ...]:
    mask = record.options.get("mask")
    return mask.core if isinstance(mask, Array) else ()


def _inputs(record: Record) -> tuple[Any, ...]:
    return parse_signature(record.signature).inputs


def _is_scored(record: Record) -> bool:
    """Whether queries, keys and values come one row each, with a mask between them, in another way than the dense."""
    cores = _inputs(record)
    return (
        not is_dense(record)
        and record.takes[:2] == ("query", "key")
        and [core[0] for core in cores[:2]] == ["m", "n"]
        and _mask_core(record) == ("m", "n")
        and record.name != "pointer_sentinel_mixture"  # its results are words
    )


SCORED = names_where(_is_scored)
PLACED = (
    *("super_attention", "relative_position_cross_attention", "context_aware_cross_attention", "luong_local_attention"),
    *("segmental_soft_attention", "windowed_soft_attention"),
)
"""Attention whose weights belong to positions."""
MOVING = ("monotonic_attention", "mocha_attention", "location_sensitive_attention", "forward_attention")
"""Attention that moves through the keys from query to query."""
IN_ANY_ORDER = names_where(
    lambda record: _is_scored(record) and record.name not in (*PLACED[1:], *MOVING, "coverage_attention")
)
"""Super attention knows the places of keys alone. Steps with coverage follow each other."""
BY_KEYS = names_where(lambda record: _is_scored(record) and record.name not in (*PLACED, *MOVING))
READING = names_where(
    lambda record: (
        _is_scored(record)
        and any(name.endswith("value") for name in record.takes)
        and record.name != "probabilistic_attention"
    )
)
"""The values of a mixture take part in its responsibilities."""
BLIND = names_where(
    lambda record: (
        not is_dense(record)
        and _mask_core(record) == ("m", "n")
        and len(parse_signature(record.signature).outputs) == 1
        and record.name
        not in (
            *("prefix_tuning_attention", "hopfield_energy", "pointer_glimpse"),
            *("soft_alignment_log_likelihood", "pointer_sentinel_mixture"),
            *("monotonic_energy", "lm_augmented_monotonic_energy"),
        )
    )
)
"""A prefix is seen by every query; without a key an energy is infinite, a decoder or a vocabulary has words,
and without a glimpse a query stays."""
HIDING = names_where(
    lambda record: (
        not is_dense(record)
        and _mask_core(record)[-1:] == ("n",)
        and any("n" in core for core in _inputs(record))
        and record.name
        not in (
            *("symmetric_attention", "super_attention", "dependency_constrained_attention"),
            *("sinkhorn_plan", "latent_alignment_bounds"),
        )
    )
)
"""Where tokens are queries and keys at once, a hidden key is still a query; super attention mixes the values before the
mask; what is hidden from a transport plan has a marginal, which must be legal; a prior is normalized over what one mask
shows."""
WAITING = names_where(lambda record: previous_is_a_mass in record.checks)
"""Before the first row a pointer may stand at a key where it must not stop."""
ONE_RESULT = {"return_share": False, "return_logits": False}


@law(
    BY_KEYS,
    statement="f(q, k[P], v[P]) = f(q, k, v) for every permutation P of the keys, masks and biases with them; where a "
    "result has an entry per key, f(q, k, v)[P]; where scores belong to places, f(q, k[P], v) = f(q, k, v)",
    fixed=ONE_RESULT,
)
def other_keys_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    order = take(rng.permutation(call.arrays[1].shape[-2]))
    if call.options.get("score") == "location":
        query, key, value = call.arrays
        return equal(call.given(query, order(key, -2), value).by(f), call.by(f))
    return equal(along(call, "n", order).by(f), results_along(call, call.by(f), "n", order))


@law(IN_ANY_ORDER, statement="f(q[P], k, v) = f(q, k, v)[P] for every permutation P of the queries", fixed=ONE_RESULT)
def other_queries_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    order = take(rng.permutation(call.arrays[0].shape[-2]))
    return equal(along(call, "m", order).by(f), results_along(call, call.by(f), "m", order))


@law(
    READING,
    statement="f(q, k, a v + b u) = a f(q, k, v) + b f(q, k, u), if what was read does not decide where to go",
    fixed={"norm_eps": None, "agent": False, **ONE_RESULT},
)
def other_outputs_are_linear_in_value(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    a, b = rng.uniform(-2, 2, 2).tolist()
    combined = _with_values(call, lambda value: a * value + b * value[..., ::-1, :]).by(f)
    return equal(combined, a * call.by(f) + b * _with_values(call, lambda value: value[..., ::-1, :]).by(f))


def _with_values(call: Call, change: Any) -> Call:
    """The call with every array of values changed, those of a prefix too."""
    names = find(call.name).takes
    return call.given(*(change(x) if n.endswith("value") else x for n, x in zip(names, call.arrays, strict=True)))


@law(
    SCORED,
    statement="f(q, k, v) at index b of the leading axes = f(q[b], k[b], v[b])",
    least={"m": 1},
    fixed=ONE_RESULT,
)
def other_leading_axes_are_a_loop(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = filled(call)
    place = tuple(int(rng.integers(size)) for size in call.arrays[0].shape[:-2])
    return equal(at(call, place).by(f), call.by(f)[place])


@law(HIDING, statement="f does not depend on what stands in keys and values that nobody sees, NaN included",
     fixed={"axis": -1, "causal": False, "return_state": False, "padding": "ignore"})  # fmt: skip
def what_is_hidden_from_all_has_no_effect(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    record = find(call.name)
    cores = _inputs(record)
    axes = [core.index("n") - len(core) if "n" in core else 0 for core in cores]
    seen = rng.random(next(x.shape[a] for x, a in zip(call.arrays, axes, strict=True) if a)) < 0.6
    legal = getattr(record.options["mask"], "valid", None)
    seen = seen if legal is None else legal(seen)
    shown = seen if _mask_core(record) == ("n",) else seen[None]

    def with_hidden(what: float) -> Call:
        arrays = [
            np.where(seen.reshape(-1, *(1,) * (-axis - 1)), x, x.dtype.type(what)) if axis else x
            for x, axis in zip(call.arrays, axes, strict=True)
        ]
        options = {
            name: np.where(seen, value, value.dtype.type(what))
            for name, value in call.options.items()
            if isinstance(option := record.options[name], Array) and option.core[-1:] == ("n",)
            if not option.boolean and hasattr(value, "shape") and (name != "previous" or call.name not in WAITING)
        }
        return call.given(*arrays, **options, mask=shown)

    return tuple(
        equal(one, other)
        for one, other in zip(parts(with_hidden(7.0).by(f)), parts(with_hidden(np.nan).by(f)), strict=True)
    )


@law(BLIND, statement="f_i = 0 exactly where query i sees no key", fixed={"log": False})
def a_query_that_sees_nothing_gets_zeros(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    m = call.by(f).shape[-2]
    inputs = zip(call.arrays, _inputs(find(call.name)), strict=True)
    n = next(array.shape[core.index("n") - len(core)] for array, core in inputs if "n" in core)
    blind = rng.random(m) < 0.5
    mask = np.ones((m, n), dtype=bool) if call.options.get("mask") is None else call.options["mask"]
    rows = call.given(mask=mask & ~blind[:, None]).by(f)[..., blind, :]
    return same(rows, np.zeros_like(rows))
