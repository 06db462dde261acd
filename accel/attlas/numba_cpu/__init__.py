"""The CPU engine: NumPy arrays, Numba kernels, plain threads.

Read it from the inside out: `vector` (the register tile), `real` (elementary functions), `blocks` (packing, masks),
`tile` (the template: scores, streamed softmax or elementwise weights, the two forward kernels), `gradient` (the same
backwards), then the host: `memory` and `operands` (arrays as tables of addresses), `pool` (threads), `compile` (the
disk cache), `attention` and `backward` (one call), and the families, a module each.

A formulation that fills the template is a score, a weighting and a host function:

1. `score(dot, query_square, key_square, bias, parameters)`: numbers of one precision; its constants come from the
   `Real` that the builder is given (a literal is float64), its options through `parameters`, four at most.
2. `softmax(real)`, or `elementwise(real, weight)` with `weight(score, parameters)`.
3. `build(name, real, score, weighting)` in a function `build_<name>(real)`, and `attend(build_<name>, ...)`.

`normalizers.sigmoid_attention` is the shortest example.
"""
