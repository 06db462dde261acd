"""What each library means, one matter after the other; the page of conventions and `differences` are made from it.

Nothing here is copied from a manual where it can be run: each cell that is `measured` is a test
(`tests/interop/test_conventions.py`), which runs against whatever versions are installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LIBRARIES: Mapping[str, str] = {"flash": "FlashAttention", "pytorch": "PyTorch", "jax": "JAX", "onnx": "ONNX"}
"""The libraries, and what they are called."""

FUNCTIONS: Mapping[str, str] = {
    "flash": "`flash_attn_func`",
    "pytorch": "`scaled_dot_product_attention`",
    "jax": "`jax.nn.dot_product_attention`",
    "onnx": "`Attention`",
}
"""The function that the table is about."""

MEASURED_WITH: Mapping[str, str] = {"pytorch": "2.13.0", "jax": "0.10.2", "onnx": "1.23.2"}
"""The versions for which the text was written, all on a CPU."""

DOCUMENTED = "2.8"
"""The version of FlashAttention whose documentation was read."""


@dataclass(frozen=True)
class Cell:
    """What one library does in one matter."""

    text: str
    same: bool = False
    """Whether it is what we do."""
    measured: bool = True
    """Whether a test runs it; what needs a GPU is read from the documentation."""


@dataclass(frozen=True)
class Convention:
    """One matter in which libraries differ."""

    name: str
    title: str
    ours: str
    cells: Mapping[str, Cell]


def told(text: str, *, same: bool = False) -> Cell:
    """Return what the documentation says."""
    return Cell(text, same, measured=False)


OURS = Cell("", same=True)
"""The same, in our words."""
UNTOLD = told("not documented")


def _convention(name: str, title: str, ours: str, **cells: Cell) -> Convention:
    same = Cell(ours, same=True)
    return Convention(name, title, ours, {library: same if cell is OURS else cell for library, cell in cells.items()})


CONVENTIONS: tuple[Convention, ...] = (
    _convention(
        "layout",
        "axes",
        "(..., m, d); all leading axes are batch or heads, and broadcast",
        flash=told("(b, m, h, d)"),
        pytorch=Cell("(..., h, m, d); leading axes broadcast", same=True),
        jax=Cell("(b, m, h, d) or (m, h, d); batches must be equal"),
        onnx=Cell("(b, h, m, d), or (b, m, h·d) with the numbers of heads as attributes"),
    ),
    _convention(
        "heads",
        "fewer key heads than query heads",
        "the query heads that share a key head get an axis of their own: (..., k, h/k, m, d) and (..., k, 1, n, d)",
        flash=told("where their number divides the queries'"),
        pytorch=Cell("with `enable_gqa=True`, else RuntimeError"),
        jax=Cell("where their number divides the queries'"),
        onnx=Cell("where their number divides the queries'"),
    ),
    _convention(
        "widths",
        "value width e ≠ d",
        "free",
        flash=told("one width for all three"),
        pytorch=Cell("free, but not in the fused CPU kernel", same=True),
        jax=Cell("ValueError"),
        onnx=OURS,
    ),
    _convention(
        "scale",
        "scale that is not given",
        "1/√d",
        flash=told("1/√d", same=True),
        pytorch=OURS,
        jax=OURS,
        onnx=OURS,
    ),
    _convention(
        "negative scale",
        "negative scale",
        "a scale like any other",
        flash=UNTOLD,
        pytorch=OURS,
        jax=OURS,
        onnx=Cell("NaN: queries and keys are each multiplied by its root"),
    ),
    _convention(
        "causal",
        "causal with m ≠ n",
        "the last query sees the last key: j ≤ i + n − m",
        flash=told("the last query sees the last key (since 2.1)", same=True),
        pytorch=Cell("the first query sees the first key: j ≤ i; the mask `causal_lower_right(m, n)` aligns the end"),
        jax=Cell("the first query sees the first key: j ≤ i"),
        onnx=Cell("the first query sees the first key; with `past_key` or `nonpad_kv_seqlen` the last one the last"),
    ),
    _convention(
        "window",
        "windows",
        "a mask",
        flash=told("`window_size=(left, right)` around i + n − m"),
        pytorch=Cell("none"),
        jax=Cell("`local_window_size=(left, right)` around i"),
        onnx=Cell("`left_window_size`, `right_window_size` around i, or behind the cache"),
    ),
    _convention(
        "boolean mask",
        "True in a mask",
        "may attend",
        flash=told("no mask; `flash_attn_varlen_func` takes lengths"),
        pytorch=OURS,
        jax=OURS,
        onnx=OURS,
    ),
    _convention(
        "integer mask",
        "a mask of the integers 0 and 1",
        "TypeError",
        flash=told("no mask"),
        pytorch=Cell("RuntimeError"),
        jax=Cell("ValueError"),
        onnx=Cell("is added to the scores, without a word: 0 hides nothing"),
    ),
    _convention(
        "bias",
        "numbers added to the scores",
        "`bias`, after the scale; −∞ hides",
        flash=told("none but `alibi_slopes`"),
        pytorch=Cell("`attn_mask` of floats, after the scale", same=True),
        jax=Cell("`bias`, after the scale", same=True),
        onnx=Cell("`attn_mask` of floats, after scale and cap", same=True),
    ),
    _convention(
        "mask and causal",
        "a mask and the causal rule together",
        "both hold",
        flash=told("no mask"),
        pytorch=Cell("both hold in the fused CPU kernel, RuntimeError in the plain one"),
        jax=OURS,
        onnx=OURS,
    ),
    _convention(
        "empty row",
        "a query that sees nothing, by a mask",
        "zeros",
        flash=told("zeros (by the causal rule)", same=True),
        pytorch=OURS,
        jax=Cell("the mean of all values"),
        onnx=OURS,
    ),
    _convention(
        "empty bias row",
        "a query that sees nothing, by a bias of −∞",
        "zeros",
        flash=told("no bias"),
        pytorch=OURS,
        jax=Cell("NaN"),
        onnx=OURS,
    ),
    _convention(
        "no keys",
        "no keys at all, n = 0",
        "zeros",
        flash=UNTOLD,
        pytorch=OURS,
        jax=OURS,
        onnx=Cell("ValueError in the evaluator"),
    ),
    _convention(
        "hidden key",
        "NaN or ∞ in a key behind the mask",
        "cannot be felt",
        flash=UNTOLD,
        pytorch=Cell("reaches every query of the head; with `is_causal` alone not in the fused CPU kernel"),
        jax=OURS,
        onnx=Cell("reaches every query of the head"),
    ),
    _convention(
        "hidden value",
        "NaN or ∞ in a value behind the mask",
        "cannot be felt",
        flash=UNTOLD,
        pytorch=Cell("reaches every query of the head"),
        jax=Cell("reaches every query of the head, behind lengths too"),
        onnx=Cell("reaches every query of the head, behind lengths too"),
    ),
    _convention(
        "cap",
        "capped scores (softcap)",
        "`softcapped_attention`: after the bias, before the mask",
        flash=told("`softcap`: before slopes and mask"),
        pytorch=Cell("none; FlexAttention has it"),
        jax=Cell("none"),
        onnx=Cell("`softcap`: before bias and mask"),
    ),
    _convention(
        "temperature",
        "temperature",
        "`temperature`, which divides scores and bias",
        flash=told("none: divide the scale"),
        pytorch=Cell("none: divide scale and bias"),
        jax=Cell("none: divide scale and bias"),
        onnx=Cell("none: divide scale and bias"),
    ),
    _convention(
        "dropout",
        "dropout",
        "none",
        flash=told("`dropout_p`, at every call: pass 0 for evaluation"),
        pytorch=Cell("`dropout_p`, at every call: pass 0 for evaluation"),
        jax=OURS,
        onnx=OURS,
    ),
    _convention(
        "weights",
        "weights as a result",
        "`return_weights=True`",
        flash=told("`return_attn_probs=True`, for tests only"),
        pytorch=Cell("none"),
        jax=Cell("none; `return_residual=True` gives the log-partition"),
        onnx=Cell("`qk_matmul_output_mode=3`"),
    ),
    _convention(
        "float64",
        "float64",
        "computed in float64",
        flash=told("not taken"),
        pytorch=OURS,
        jax=Cell("the softmax in float32; without `jax_enable_x64` everything"),
        onnx=OURS,
    ),
    _convention(
        "half",
        "float16",
        "computed in float32, rounded once",
        flash=told("products in float16 or bfloat16, sums in float32; nothing else is taken"),
        pytorch=Cell("rounded in between too: more than one entry in ten differs"),
        jax=Cell("rounded in between too: more than one entry in ten differs"),
        onnx=Cell("every step in float16, four entries in ten differ; `softmax_precision` widens the softmax"),
    ),
    _convention(
        "integers",
        "integers",
        "computed and returned as float64",
        flash=told("not taken"),
        pytorch=Cell("RuntimeError"),
        jax=Cell("truncated to integers, without a word: mostly 0"),
        onnx=Cell("truncated to integers, without a word: mostly 0"),
    ),
)
"""In the order of the table."""


def find(name: str) -> Convention:
    """Return the matter of a name."""
    return next(convention for convention in CONVENTIONS if convention.name == name)
