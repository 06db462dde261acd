"""The engine `numba-cuda`: tiled kernels in shared memory, for arrays on a CUDA GPU.

What it promises is memory and reach rather than records of speed: no (m, n) matrix unless it is asked for, any strides,
broadcasting without copies, any width d and e, both precisions, the same bits every time. Numba reaches no tensor
cores; where half precision has to be fast, the engine `cupy` is the one to ask.

From the outside in: `dotproduct` and `normalizers` hold the public names; `dense` launches passes; `operands` turns
arrays into flat memory and a table of integers; `tile` and `pairs` build the kernels from `pieces`, the `rules` of a
formulation and a `blocks` shape; `bands` does the same for weights that need a whole row, from `scores`, the row rules
of `rows` and `values`; `target` is the one door to Numba's compiler and to its simulator. `lanes` lists
every kernel for compilation without a GPU.

Memories are a package of their own, `memory`, with kernels for what is not dense: bits, tables, tokens in order.

Rules that need more live beside their formulations: `learned` (scores by small networks, whose products are in
`network`) and `columns` (statistics along the queries). `relational` and `prefix` have kernels of their own. Where a
formulation needs an array in another form, `views` shows the same memory otherwise and `assemble` makes a small matrix.
"""
