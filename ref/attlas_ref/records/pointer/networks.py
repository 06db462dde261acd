"""Records of the family pointer: networks."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..legal import draw_uniform, host, whole_numbers
from ..record import Draft, Record, Source
from ..shared import POSITIVE

VINYALS = Source("Vinyals, Fortunato & Jaitly", "Pointer Networks", 2015, "1506.03134")
ORDER_MATTERS = Source(
    "Vinyals, Bengio & Kudlur", "Order Matters: Sequence to Sequence for Sets", 2015, "1511.06391", "section 4.1"
)


def _weight(*core: str, optional: bool = False) -> Array:
    """A learned matrix or vector, the same for the whole batch."""
    return Array(core=core, batched=False, optional=optional)


def _pointer_is_whole(function: str, values: dict[str, Any]) -> None:
    """Whether the score has what it needs, and projections of one width."""
    if values["score"] == "additive":
        for name in ("w_query", "w_key", "v"):
            if values[name] is None:
                raise ValueError(f"{function}: {name} is None; it needs an array with score 'additive'")
        if values["scale"] is not None:
            raise ValueError(f"{function}: scale is {values['scale']}; it needs None with score 'additive'")
        return
    if values["v"] is not None:
        raise ValueError(f"{function}: v is given; it needs None with score 'dot'")
    widths = {side: _width(values[side], values[f"w_{side}"]) for side in ("query", "key")}
    for side, width in widths.items():
        bias = values[f"b_{side}"]
        if bias is not None and bias.shape[-1] != width:
            raise ValueError(f"{function}: b_{side} has {bias.shape[-1]} entries; it needs {width} entries")
    if widths["query"] != widths["key"]:
        raise ValueError(
            f"{function}: query is compared at width {widths['query']} and key at width {widths['key']}; both need one "
            "width, by w_query or w_key"
        )


def _width(x: Any, weight: Any) -> int:
    return int((x if weight is None else weight).shape[-1])


def _draw_a_whole_pointer(draft: Draft) -> None:
    if draft.options.get("score", "additive") == "additive":
        draft.given |= {"w_query", "w_key", "v"}
        draft.options["scale"] = None
        return
    draft.given.discard("v")
    width = draft.sizes["a"]
    for side in ("query", "key"):
        if f"w_{side}" not in draft.given:
            draft.sizes[f"d_{side[0]}"] = width


def _glimpses_fit(function: str, values: dict[str, Any]) -> None:
    if values["glimpses"] < 2:
        return
    made = values["w_key"].shape[-1] if values["value"] == "projected" else values["key"].shape[-1]
    if made != values["query"].shape[-1]:
        raise ValueError(
            f"{function}: glimpses is {values['glimpses']} and makes queries of width {made}; it needs the width of "
            f"query, {values['query'].shape[-1]}, or one glimpse"
        )


def _draw_fitting_glimpses(draft: Draft) -> None:
    if draft.options.get("glimpses", 1) > 1:
        made = "a" if draft.options.get("value", "projected") == "projected" else "d_k"
        draft.sizes[made] = draft.sizes["d_q"]


def _decoder_has_its_glimpse(function: str, values: dict[str, Any]) -> None:
    if not values["glimpses"]:
        return
    for name in ("glimpse_w_query", "glimpse_w_key", "glimpse_v"):
        if values[name] is None:
            raise ValueError(f"{function}: {name} is None; it needs an array with glimpses = {values['glimpses']}")
    width, made = values["key"].shape[-1], values["w_query"].shape[-1]
    if made != width:
        raise ValueError(f"{function}: w_query has {made} columns; with glimpses it needs a = d = {width} columns")


def _draw_a_glimpse(draft: Draft) -> None:
    if draft.options.get("glimpses", 0):
        draft.given |= {"glimpse_w_query", "glimpse_w_key", "glimpse_v"}
        draft.sizes["a"] = draft.sizes["d"]


def places_exist(name: str, table: str) -> Any:
    """Return the check that an array holds whole numbers below the number of rows of another."""

    def check(function: str, values: dict[str, Any]) -> None:
        places, n = whole_numbers(function, name, values[name]), values[table].shape[-2]
        if bool(((places < 0) | (places >= n)).any()):
            raise ValueError(
                f"{function}: {name} leaves the positions; it needs numbers of at least 0 and below n = {n}"
            )

    return check


def _orders(embedded: Any, key: Any, sequence: Any, forbid_repeats: bool) -> tuple[Any, ...]:
    """Positions; without repetition as long as there are fresh ones, where they are forbidden."""
    n, drawn = embedded.shape[-2], np.floor(np.abs(8 * sequence))
    if not forbid_repeats:
        return embedded, key, drawn % max(n, 1)
    left = np.broadcast_to(np.arange(n), (*drawn.shape[:-1], n))
    places = np.zeros_like(drawn)
    for t in range(drawn.shape[-1]):
        at = (drawn[..., t, None] % left.shape[-1]).astype(np.int64)
        places[..., t] = np.take_along_axis(left, at, axis=-1)[..., 0]
        if left.shape[-1] > 1:
            rest = np.arange(left.shape[-1]) != at
            left = left[rest].reshape(*left.shape[:-1], left.shape[-1] - 1)
    return embedded, key, places


def _draw_places_to_name(draft: Draft) -> None:
    if draft.sizes["n"] == 0:
        draft.sizes["T"] = 0


def uniforms_fit(function: str, values: dict[str, Any]) -> None:
    """Check the draws of a sample: one per step, in [0, 1)."""
    uniform, length = values["uniform"], values["length"]
    if uniform is None:
        if values["method"] == "sample":
            raise ValueError(f"{function}: uniform is None; it needs an array with method 'sample'")
        return
    steps = next(iter(values.values())).shape[-2] if length is None else length
    if uniform.shape[-1] != steps:
        raise ValueError(f"{function}: uniform has {uniform.shape[-1]} entries; it needs length = {steps} entries")
    uniform = host(uniform)
    if not bool(((uniform >= 0) & (uniform < 1)).all()):
        raise ValueError(f"{function}: uniform leaves the range; it needs numbers of at least 0 and below 1")


def _the_end_is_a_position(function: str, values: dict[str, Any]) -> None:
    n, length, end = values["embedded"].shape[-2], values["length"], values["end_index"]
    if end is not None and end >= n:
        raise ValueError(f"{function}: end_index is {end}; it needs a position below n = {n}")
    if values["forbid_repeats"] and end is None and length is not None and length > n:
        raise ValueError(f"{function}: length is {length}; without repeats and without an end it needs at most n = {n}")


def _draw_a_search(draft: Draft) -> None:
    options, n = draft.options, draft.sizes["n"]
    if options.get("end_index") is not None:
        options["end_index"] = options["end_index"] % n if n else None
    length = options.get("length")
    if length is not None and (n == 0 or (options.get("forbid_repeats", True) and options.get("end_index") is None)):
        options["length"] = length = min(length, n)
    draw_as_many_numbers(draft)


def draw_as_many_numbers(draft: Draft) -> None:
    """Draw one uniform number per step, if there is a sample."""
    length = draft.options.get("length")
    draft.sizes["length"] = draft.sizes["n"] if length is None else length
    if draft.options.get("method") == "sample":
        draft.given.add("uniform")


UNIFORM = Array(core=("length",), optional=True, valid=draw_uniform, widens=False)
LENGTH = Integer(low=0, optional=True, draw=(0, 9))
WIDTH = Integer(low=1, draw=(1, 5))
CLIP = Number(low=0.0, open_low=True, optional=True, draw=(0.5, 10.0))
BOTH = ("m", "n")
NETWORK: dict[str, Any] = {
    "h0": Array(core=("d",)),
    "c0": Array(core=("d",)),
    "start": _weight("d_e"),
    "w_ih": _weight("d_e", "4d"),
    "w_hh": _weight("d", "4d"),
    "b_ih": _weight("4d"),
    "b_hh": _weight("4d"),
    "w_query": _weight("d", "a"),
    "w_key": _weight("d", "a"),
    "v": _weight("a"),
    "b_query": _weight("a", optional=True),
    "b_key": _weight("a", optional=True),
    "glimpse_w_query": _weight("d", "a", optional=True),
    "glimpse_b_query": _weight("a", optional=True),
    "glimpse_w_key": _weight("d", "a", optional=True),
    "glimpse_b_key": _weight("a", optional=True),
    "glimpse_v": _weight("a", optional=True),
    "glimpses": Integer(low=0, draw=(0, 2)),
    "logit_clip": CLIP,
    "forbid_repeats": Flag(),
    "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
}
"""The decoder of a pointer network."""

RECORDS = (
    Record(
        name="pointer_attention",
        family="pointer",
        title="Distribution over positions",
        formula="p_i = softmax(C tanh(u_i) / T),  u_ij = v·tanh(q_i W_q + k_j W_k)  or  scale <q_i W_q, k_j W_k>",
        signature="(m,d_q),(n,d_k)->(m,n)",
        source=Source(VINYALS.authors, VINYALS.title, VINYALS.year, VINYALS.arxiv, "eq. (3)"),
        options={
            "w_query": _weight("d_q", "a", optional=True),
            "w_key": _weight("d_k", "a", optional=True),
            "b_query": _weight("a", optional=True),
            "b_key": _weight("a", optional=True),
            "v": _weight("a", optional=True),
            "score": Choice(values=("additive", "dot")),
            "scale": Number(optional=True, draw=(-2.0, 2.0)),
            "logit_clip": CLIP,
            "temperature": POSITIVE,
            "mask": Array(core=BOTH, boolean=True, broadcast=True, optional=True),
            "log": Flag(),
            "return_logits": Flag(),
        },
        checks=(_pointer_is_whole,),
        arrange=(_draw_a_whole_pointer,),
        positive=("d_q", "d_k", "a"),
    ),
    Record(
        name="pointer_glimpse",
        family="pointer",
        title="Read before pointing",
        formula="q_i ← Σ_j p_ij (k_j W_k + b_k),  p_i = softmax_j(v·tanh(q_i W_q + b_q + k_j W_k + b_k))",
        signature="(m,d_q),(n,d_k)->(m,a)",
        source=ORDER_MATTERS,
        options={
            "w_query": _weight("d_q", "a"),
            "w_key": _weight("d_k", "a"),
            "b_query": _weight("a", optional=True),
            "b_key": _weight("a", optional=True),
            "v": _weight("a"),
            "mask": Array(core=BOTH, boolean=True, broadcast=True, optional=True),
            "glimpses": Integer(low=0, draw=(0, 3)),
            "value": Choice(values=("projected", "key")),
        },
        kind="C",
        checks=(_glimpses_fit,),
        arrange=(_draw_fitting_glimpses,),
        positive=("d_q", "d_k", "a"),
    ),
    Record(
        name="pointer_network_log_prob",
        family="pointer",
        title="Likelihood of a sequence of positions",
        formula="log p(C) = Σ_t log p_t(C_t),  p_t = pointer(h_t, key),  h_t = LSTM(E[C_(t−1)], h_(t−1))",
        signature="(n,d_e),(n,d),(T)->()",
        source=VINYALS,
        options={**NETWORK, "return_steps": Flag()},
        kind="C",
        checks=(_decoder_has_its_glimpse, places_exist("sequence", "embedded")),
        arrange=(_draw_a_glimpse, _draw_places_to_name),
        valid=_orders,
        valid_by=("forbid_repeats",),
        labels=("sequence",),
        exact=("sequence",),
        positive=("d_e", "d", "a"),
        largest={"T": 9, "n": 17, "d": 9, "d_e": 9, "a": 9},
    ),
    Record(
        name="pointer_network_decode",
        family="pointer",
        title="Greedy, sampled and beam decoding",
        formula="C_t = argmax p_t,  or C_t ~ p_t,  or the best of a beam;  p_t = p(· | C_1, ..., C_(t−1))",
        signature="(n,d_e),(n,d)->(length),()",
        source=VINYALS,
        options={
            **NETWORK,
            "length": LENGTH,
            "method": Choice(values=("greedy", "sample", "beam")),
            "beam_width": WIDTH,
            "uniform": UNIFORM,
            "end_index": Integer(low=0, optional=True, draw=(0, 9)),
        },
        kind="C",
        checks=(_decoder_has_its_glimpse, uniforms_fit, _the_end_is_a_position),
        arrange=(_draw_a_glimpse, _draw_a_search),
        counts={"length": "n"},
        positive=("d_e", "d", "a"),
        largest={"n": 9, "d": 9, "d_e": 9, "a": 9},
    ),
)
