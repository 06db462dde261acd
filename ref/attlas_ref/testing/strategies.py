"""Hypothesis strategies that draw calls of any formulation from its record.

Hypothesis draws a string of bytes; each byte is one choice of the plan of a call (a size, a layout, a kind of mask, an
option), and 0 is the simplest of its choices. So every choice is independent of the others, which Hypothesis's own
composition does not give (it draws most cases by repeating parts of one before), and a failing case still shrinks,
byte by byte, to small sizes and plain layouts. The numbers come from NumPy with a seed that is two of the bytes. A
failing case prints as one line that `build` makes the call of again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from ..contract import Choice, Flag, Integer, Number, Option, WordOrNumber
from ..records import Record, find
from .drawn import SIZED, build, cores_of, has_parts, letters_of
from .layouts import LAYOUTS, is_spread
from .leading import WAYS, with_axes
from .plan import BIASES, HIDDEN, MAGNITUDES, MASKS, Call, Plan

SIZES = (*(1, 2, 3, 4, 5, 7) * 5, *(8, 9, 11, 16, 17, 31, 32, 33, 63, 64, 65), 0)
"""Mostly small and odd; around powers of two, one below and one above; rarely 0: an empty result shows little."""

LARGER = (127, 128, 129, 257)
"""Drawn besides where asked for: on a GPU, which needs them to be busy."""

DTYPES = ("float32", "float64", "float32", "float64", "float16", "int64")
BATCHES = ((), (2,), (1,), (3,), (2, 3), (1, 2), (0,))
BATCH_CHANCES = (3, 2, 1, 2, 2, 1, 0.4)

BYTES = 64
"""More than any plan takes."""


class Choices:
    """Reads bytes as choices."""

    def __init__(self, drawn: bytes) -> None:
        self._bytes: Iterator[int] = iter(drawn)

    def fraction(self) -> float:
        """A number from 0 to 1, ends included."""
        return next(self._bytes) / 255

    def one_of(self, values: Sequence[Any]) -> Any:
        """One of a few values; the first is the simplest."""
        return values[min(int(self.fraction() * len(values)), len(values) - 1)]

    def likely(self, chance: float) -> bool:
        """True with the given chance; False is simpler."""
        return self.fraction() > 1 - chance


def plan_of(
    drawn: bytes,
    name: str,
    *,
    dtypes: Collection[str] = DTYPES,
    largest: int = max(SIZES),
    least: Mapping[str, int] | None = None,
    fixed: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> Plan:
    """Return the plan that a string of bytes stands for; see `calls`."""
    record, fixed, least, choose = find(name), dict(fixed or {}), dict(least or {}), Choices(drawn)
    parts = choose.one_of((2, 1, 3)) if has_parts(record) else 2
    sizes = {}
    for letter in letters_of(record, parts):
        low = max(least.get(letter, 0), int(letter in record.positive))
        high = max(low, min(largest, record.largest.get(letter, largest)))
        # Sorted from 1 upwards, 0 last, so that cases shrink to one row rather than to none.
        sizes_drawn = SIZES if largest <= max(SIZES) else (*SIZES, *LARGER)
        fitting = (s for s in sizes_drawn if low <= s <= high)
        sizes[letter] = choose.one_of(sorted(fitting, key=lambda s: (s == 0, s)))
    batches = [batch for batch in BATCHES if 0 not in batch or not least]
    batch = choose.one_of([b for b in batches for _ in range(round(5 * BATCH_CHANCES[BATCHES.index(b)]))])
    ways = range(len(batch) + 1 + WAYS)
    stretch = [choose.one_of(ways) for _ in cores_of(record, parts)]
    # An option with members keeps an axis: some have a row for each head.
    own = [choose.one_of([way for way in ways if way != len(batch)]) for _ in with_axes(record)]
    stretch += [] if plain else own
    mask = choose.one_of((*(kind for kind in MASKS if kind != "nothing" for _ in range(3)), "nothing"))
    bias = choose.one_of((None, None, *BIASES))
    return Plan(
        name=name,
        sizes=sizes,
        batch=batch,
        parts=parts,
        stretch=tuple(stretch) if batch and choose.likely(0.6) else (),
        dtype=choose.one_of([dtype for dtype in DTYPES if dtype in dtypes]),
        layouts=tuple(choose.one_of(("contiguous", "contiguous", *LAYOUTS)) for _ in range(5)),
        magnitude=choose.one_of(("normal", "normal", "normal", *MAGNITUDES)),
        mask=_kind(record, fixed, "mask", mask),
        bias=_kind(record, fixed, "bias", bias),
        hidden=None if plain else choose.one_of((None, None, *HIDDEN)),
        writeable=choose.likely(0.5),
        seed=256 * choose.one_of(range(256)) + choose.one_of(range(256)),
        options=_options(record, choose, fixed),
    )


def _kind(record: Record, fixed: Mapping[str, Any], what: str, drawn: str | None) -> Any:
    """The kind of mask or bias: as fixed under the option's own name, which may be another one, or as drawn."""
    names = [n for n, option in record.options.items() if is_spread(option) and option.boolean == (what == "mask")]
    return next((fixed[name] for name in names if name in fixed), fixed.get(what, drawn if names else None))


def _options(record: Record, choose: Choices, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are no arrays: half of them left out, where they may be; and arrays that are left out."""
    options = {}
    for name, option in record.options.items():
        if isinstance(option, SIZED):
            if name in fixed and not is_spread(option):
                options[name] = fixed[name]
            continue
        required = record.python_signature.parameters[name].default is record.python_signature.empty
        given, value = choose.likely(0.5), _value(option, choose)
        if name in fixed:
            options[name] = fixed[name]
        elif given or required:
            options[name] = value
    return options


def _value(option: Option, choose: Choices) -> Any:
    """A value of an option; None only by leaving it out."""
    if isinstance(option, Number):
        low, high = option.draw
        return low + (high - low) * choose.fraction()
    if isinstance(option, Integer):
        return choose.one_of(range(option.draw[0], option.draw[1] + 1))
    if isinstance(option, Flag):
        return choose.likely(0.8)
    if isinstance(option, Choice):
        return choose.one_of(option.values)
    if isinstance(option, WordOrNumber):
        low, high = option.number.draw
        word, number = choose.one_of(option.words), low + (high - low) * choose.fraction()
        return number if choose.likely(0.5) else word
    raise TypeError(f"no way to draw a value of {option}")


@st.composite
def calls(
    draw: st.DrawFn,
    name: str,
    *,
    dtypes: Collection[str] = DTYPES,
    largest: int = max(SIZES),
    least: Mapping[str, int] | None = None,
    fixed: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> Call:
    """Draw valid calls of a formulation.

    Parameters
    ----------
    name : str
        The formulation.
    dtypes : collection of str
        The dtypes to draw from.
    largest : int, default 65
        The largest size of a letter; simulated kernels want 9.
    least : mapping, optional
        The least size of letters, 0 if not named (d: 1). With any, the leading axes are not empty either.
    fixed : mapping, optional
        Options that are given instead of drawn; for `mask` and `bias` a kind from `plan.MASKS` and `plan.BIASES`.
    plain : bool, default False
        Leave out NaN and infinity behind the mask, and give options the leading axes of the results.

    Returns
    -------
    strategy of Call
    """
    drawn = draw(st.binary(min_size=BYTES, max_size=BYTES))
    return build(plan_of(drawn, name, dtypes=dtypes, largest=largest, least=least, fixed=fixed, plain=plain))
