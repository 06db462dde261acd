"""Every kernel of the engine with the types it is called with, so that all can be compiled where there is no GPU."""

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from . import columns, learned, rows, rules, simplex, threshold, topk
from .assemble import build_assemble, product
from .blocks import ON_GPU, Block
from .kronecker import carry, chunks, tensor
from .kronecker.backward import build_tuple_gradient, build_tuple_mean, build_tuple_weights
from .kronecker.factorized import SERIES
from .kronecker.fastmax import build_center
from .kronecker.forward import build_tuple_forward
from .kronecker.lowrank import ratio
from .kronecker.monomials import build_monomial_product, build_monomial_slopes
from .kronecker.pieces import CROSS, STRASSEN, SUM, Form
from .memory import lanes as memory_lanes
from .monotonic import lanes as monotonic_lanes
from .monotonic import lattice_lanes, location_lanes, run_lanes
from .multi_token import build_convolve, build_mix
from .pairs import SCORE_GRADIENTS, WEIGHTS, build_gradient, build_pairs
from .pointer import lanes as pointer_lanes
from .prefix import build_chunks, build_merge
from .probabilistic import plan_lanes, structured_lanes
from .relational import build_gather, build_read, build_show
from .rows import ROW_ON_GPU, build_rows
from .scores import build_scores
from .selective import build_select
from .target import cuda
from .tile import build_forward, build_statistics
from .unit_rms import build_unit_rms
from .values import build_values
from .variational import lanes as variational_lanes

RULES = (rules.softmax, rules.softcapped, rules.distance, rules.sigmoid, rules.relu, rules.squared_relu, rules.cog)
"""Every rule; each has its own kernels of the output and of the weights. Gradients and energies know the softmax."""

LEARNED_RULES = (learned.graph, learned.graph_v2, learned.additive, learned.one_layer, learned.two_layers)
"""The same for scores that involve learned functions."""

COLUMN_RULES = (columns.sent, columns.bent_square, columns.stacked)
"""The same for weights that depend on statistics of their key's column, and for such a statistic."""

TABLES = ("layout", "related", "placed", "rates")
INTEGER_VECTORS = (
    "members",
    "moving",
    "taken",
    "order",
    "closed",
    "doors",
    "counts",
    "roles",
    "channels",
    "pointers",
    "path",
    *("heard", "said"),
)
WORD_VECTORS = ("words", "left_words", "right_words")
BOOLEAN_VECTORS = ("mask", "present", "went_on")
GRADIENT_FORMS = (Form(0), Form(1), Form(2), Form(1, CROSS), SERIES)
TUPLE_FORMS = (*GRADIENT_FORMS, Form(1, SUM), Form(2, SUM), Form(1, STRASSEN))
"""The forms of tuples; more sets make longer prefixes of the same kernels."""

ROW_RULES = (
    simplex.SPARSEMAX, simplex.ENTMAX15, simplex.ENTMAX, simplex.BISECTED, simplex.EXPONENTIAL, topk.TOPK,
    threshold.THRESHOLD_RELATIVE, rows.SOFTMAX,
)  # fmt: skip
"""Every rule of a row; those with a slope have a gradient."""

REAL_VECTORS = (
    "query",
    "key",
    "value",
    "grad",
    "extra",
    "maximum",
    "total",
    "mean",
    "output",
    "carried_rows",
    "left",
    "right",
    "scores",
    "accumulator",
    "state_maximum",
    "state_total",
    "state_sums",
    "before_maximum",
    "before_total",
    "before_sums",
    "after_maximum",
    "after_total",
    "after_sums",
    "of_query",
    "of_key",
    "symbols",
    "band",
    "matrix",
    "carried",
    "taps",
    "source",
    "target",
    "states",
    "field",
    "overlaps",
    "lost",
    "table",
    "memory",
    "surprise",
    "points",
    "lr",
    "momentum",
    "decay",
    "weight1",
    "weight2",
    "moved1",
    "moved2",
    "point1",
    "point2",
    "hidden",
    "slopes",
    "asked",
    "errors",
    "factors",
    "reads",
    "coefficients",
    *("cost", "masses", "held", "log_rows", "log_columns", "row_potentials", "column_potentials"),
    *("group_keys", "group_values", "of_above", "of_left", "of_right", "in_above", "in_left", "in_right"),
    *("unary", "pairwise", "uniform", "log_partition", "marginals", "pair_marginals", "speakers", "tags"),
    *("opening", "closing", "self_transition", "other_transition", "likelihood", "arcs", "roots"),
    *("root_marginals", "distance", "height", "tops"),
    *("logits", "means", "sums"),
    *("log_probs", "log_prob", "shares", "initial", "column_prices", "row_prices"),
    *("known_units", "conv_taps", "feature_weights", "unit_weights", "first_weights", "sum_before", "feature_bias"),
    *("moving_taps", "prior_taps", "agent_weights", "agent_before", "call_numbers", "step_weights", "step_agents"),
    *("agent_after", "last_output", "heights", "means", "widths", "params", "places", "rho", "sigma", "mixing"),
    *("past_place", "positions"),
)
REAL_NUMBERS = (
    *("scale", "first_number", "second_number", "third_number", "factor", "epsilon", "tolerance", "turn", "exponent"),
    *("height_temperature", "distance_temperature", "gamma"),
)


@dataclass(frozen=True)
class Lane:
    """One kernel for one precision."""

    name: str
    dtype: str
    kernel: Any
    bias: str | None = None
    """The dtype of the bias, which kernels read as it is; the precision of the kernel if not given."""
    shares: bool = True
    """Whether its threads share memory."""
    wide: bool = False
    """Whether it finds places in float64, whatever its precision."""

    @property
    def signature(self) -> tuple[Any, ...]:
        """The types of the kernel's parameters, which go by their names; what is not listed is an integer."""
        real = from_dtype(np.dtype(self.dtype))
        named = {
            **dict.fromkeys(REAL_VECTORS, types.Array(real, 1, "C")),
            **dict.fromkeys(REAL_NUMBERS, real),
            "bias": types.Array(from_dtype(np.dtype(self.bias or self.dtype)), 1, "C"),
            **dict.fromkeys(BOOLEAN_VECTORS, types.Array(types.boolean, 1, "C")),
            **dict.fromkeys(WORD_VECTORS, types.Array(types.uint32, 1, "C")),
            **dict.fromkeys(TABLES, types.Array(types.int64, 2, "C")),
            **dict.fromkeys(INTEGER_VECTORS, types.Array(types.int64, 1, "C")),
        }
        return tuple(named.get(name, types.int64) for name in inspect.signature(self.kernel.py_func).parameters)

    def ptx(self, capability: tuple[int, int]) -> str:
        """Compile for a compute capability; this needs no GPU."""
        with pretended_device(capability):
            code, _ = cuda.compile(
                self.kernel.py_func, self.signature, device=False, abi="numba", output="ptx", cc=capability
            )
        return code


@contextlib.contextmanager
def pretended_device(capability: tuple[int, int]) -> Iterator[None]:
    """Answer Numba's question for the current device, which it asks when a kernel calls a device function."""
    from numba.cuda import dispatcher

    before = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = before


def kernels() -> Iterator[Lane]:
    """Enumerate the kernels of both precisions, with the blocks that a GPU uses."""
    for dtype, block in ON_GPU.items():
        real: Any = np.dtype(dtype).type
        for rule in (*RULES, *LEARNED_RULES, *COLUMN_RULES):
            yield Lane(f"forward_{rule.__name__}", dtype, build_forward(block, real, rule))
            yield Lane(f"weights_{rule.__name__}", dtype, build_pairs(block, real, rule, WEIGHTS))
        yield Lane("forward_linear", dtype, build_forward(block, real, learned.linear))
        yield Lane("product_of_rows", dtype, build_pairs(block, real, learned.linear, WEIGHTS))
        for entry in (product, columns.shift, columns.share, tensor.plus, ratio):
            yield Lane(f"assemble_{entry.__name__}", dtype, build_assemble(real, entry), shares=False)
        yield Lane("prefix_partials", dtype, build_chunks(block, real, last=False))
        yield Lane("prefix_merge", dtype, build_merge(real), shares=False)
        yield Lane("prefix_outputs", dtype, build_chunks(block, real, last=True))
        yield Lane("relational_read", dtype, build_read(block, real))
        yield Lane("relational_show", dtype, build_show(block, real))
        yield Lane("relational_gather", dtype, build_gather(block, real))
        softmax = rules.softmax
        yield Lane("statistics", dtype, build_statistics(block, real, softmax))
        yield Lane("grad_query", dtype, build_gradient(block, real, softmax, SCORE_GRADIENTS, by_query=True))
        yield Lane("grad_key", dtype, build_gradient(block, real, softmax, SCORE_GRADIENTS, by_query=False))
        yield Lane("grad_value", dtype, build_gradient(block, real, softmax, WEIGHTS, by_query=False))
        yield Lane("grad_bias", dtype, build_pairs(block, real, softmax, SCORE_GRADIENTS))
        yield Lane("select", dtype, build_select(block, real))
        yield Lane("convolve", dtype, build_convolve(block, real))
        yield Lane("mix", dtype, build_mix(block, real))
        yield Lane("unit_rms", dtype, build_unit_rms(ROW_ON_GPU, real))
        yield Lane("scores", dtype, build_scores(block, real))
        for selects in (False, True):
            yield Lane(f"values{'_kept' * selects}", dtype, build_values(block, real, selects))
        for row_rule in ROW_RULES:
            yield Lane(f"rows_{row_rule.name}", dtype, build_rows(ROW_ON_GPU, real, row_rule))
            if row_rule.slope is not None:
                yield Lane(
                    f"rows_{row_rule.name}_gradient", dtype, build_rows(ROW_ON_GPU, real, row_rule, gradient=True)
                )
        families = (memory_lanes, monotonic_lanes, plan_lanes, pointer_lanes, variational_lanes)
        of_families = [family.kernels(block, real) for family in families]
        recursive = (structured_lanes, lattice_lanes, location_lanes)
        for name, built, shares in chain(*of_families, *(family.kernels(real) for family in recursive)):
            yield Lane(name, dtype, built, shares=shares)
        for name, built, shares in run_lanes.kernels(real):
            yield Lane(name, dtype, built, shares=shares, wide=True)
        yield from _kernels_of_tuples(dtype, block, real)


def _kernels_of_tuples(dtype: str, block: Block, real: Any) -> Iterator[Lane]:
    """Enumerate the kernels of attention to tuples and by polynomials."""
    for form in TUPLE_FORMS:
        name = f"{form.fold}_{form.prefix}{'' if form.softmax else '_series'}"
        yield Lane(f"tuples_{name}", dtype, build_tuple_forward(block, real, form))
        yield Lane(f"tuple_weights_{name}", dtype, build_tuple_weights(block, real, form))
        if form in GRADIENT_FORMS:
            yield Lane(f"tuple_mean_{name}", dtype, build_tuple_mean(block, real, form))
            for by_query, of_scores, what in ((True, True, "query"), (False, True, "key"), (False, False, "value")):
                kernel = build_tuple_gradient(block, real, form, by_query, of_scores)
                yield Lane(f"tuple_grad_{what}_{name}", dtype, kernel)
    for by_monomial in (False, True):
        side = "tokens" if by_monomial else "monomials"
        yield Lane(f"summed_over_{side}", dtype, build_monomial_product(block, real, by_monomial))
    yield Lane("monomial_slopes", dtype, build_monomial_slopes(block, real))
    for entry in (chunks.kept, chunks.minus, chunks.average):
        yield Lane(f"assemble_{entry.__name__}", dtype, build_assemble(real, entry), shares=False)
    between = (carry.build_carry, carry.build_join, carry.build_turn_back, carry.build_fold)
    for build in (*between, carry.build_strange, carry.build_mend):
        yield Lane(build.__name__.removeprefix("build_"), dtype, build(real), shares=False)
    yield Lane("center", dtype, build_center(block, real))
