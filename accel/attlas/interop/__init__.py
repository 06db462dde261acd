"""Our calls as other libraries want them, and theirs as we do.

Every library has `softmax(scale * query @ key.T) @ value`, and each means something else by it where it gets difficult:
which keys a causal query sees when there are fewer queries than keys, what comes out where nothing is visible, what a
NaN behind the mask does, which axis holds the heads. Here each convention is stated once (`conventions`), and each call
is turned with all of them in mind:

- `to_pytorch`, `to_jax`, `to_onnx`, `to_flash` take the arguments of `attlas.softmax_attention` (the last two also
  `cap`, then of `attlas.softcapped_attention`) and return a `Call` for the other library;
- `from_pytorch`, `from_jax`, `from_onnx`, `from_flash` take the arguments of the other library and return a `Call` for
  ours;
- `differences` says in words where a given call of ours would come out otherwise there, were it handed over as it is.

A `Call` holds the arrays and the options, and `back` brings the result into the form that the caller is used to.

    >>> import numpy as np
    >>> import attlas
    >>> from attlas import interop
    >>> query, key, value = np.random.default_rng(0).normal(size=(3, 2, 5, 4))  # 2 heads, 5 rows, width 4
    >>> call = interop.from_flash(*(x.swapaxes(0, 1)[None] for x in (query, key, value)), causal=True)
    >>> result = call.run(attlas.softmax_attention)
    >>> result.shape  # as FlashAttention has it: batch, rows, heads, width
    (1, 5, 2, 4)
    >>> ours = attlas.softmax_attention(query, key, value, causal=True)
    >>> bool((result[0].swapaxes(0, 1) == ours).all())
    True

Nothing is imported until a conversion needs it; arrays of NumPy, PyTorch, JAX and CuPy may be handed in.
"""

from .call import Call
from .conventions import CONVENTIONS, LIBRARIES, Cell, Convention
from .flash import from_flash, to_flash
from .jax import from_jax, to_jax
from .onnx import from_onnx, onnx_attention, to_onnx
from .pytorch import from_pytorch, to_pytorch
from .sentences import differences

__all__ = [
    "CONVENTIONS",
    "LIBRARIES",
    "Call",
    "Cell",
    "Convention",
    "differences",
    "from_flash",
    "from_jax",
    "from_onnx",
    "from_pytorch",
    "onnx_attention",
    "to_flash",
    "to_jax",
    "to_onnx",
    "to_pytorch",
]
