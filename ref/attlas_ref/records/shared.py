"""Options that many formulations share, under one name and one meaning."""

from ..contract.options import Array, Flag, Integer, Number, Option

POSITIVE = Number(low=0.0, open_low=True)

VISIBILITY: dict[str, Option] = {
    "scale": Number(optional=True, draw=(-2.0, 2.0)),
    "mask": Array(core=("m", "n"), boolean=True, broadcast=True, optional=True),
    "bias": Array(core=("m", "n"), broadcast=True, optional=True),
    "causal": Flag(),
}
"""What every dense score takes: its scale, who sees whom, what is added."""

DENSE: dict[str, Option] = {**VISIBILITY, "return_weights": Flag()}

TILES_OF_A_BATCH = {"cupy": "tiles are as large as memory allows, which the whole batch shares"}
"""Why the last bits of a member may follow the size of its batch."""

CHUNK = Integer(low=1, draw=(1, 9))
