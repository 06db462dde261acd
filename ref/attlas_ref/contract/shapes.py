"""What the shapes of one call say: how large each letter of its signature is, and which leading axes there are."""

import numpy as np

from .signature import Core, size_of


class Shapes:
    """Collects the letters and leading axes of a call; raises at the first contradiction."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.sizes: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        self.leading: dict[str, tuple[int, ...]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(self, name: str, shape: tuple[int, ...], core: Core) -> None:
        """Learn the letters of an array's core and its leading axes."""
        self.shapes[name] = shape
        if len(shape) < len(core):
            need = f"(..., {', '.join(core)})"
            raise ValueError(f"{self.function}: {name} has shape {shape}; it needs at least {len(core)} axes {need}")
        split = len(shape) - len(core)
        for axis, (letter, size) in enumerate(zip(core, shape[split:], strict=True)):
            known = size_of(letter, self.sizes)
            if known is None:
                self.sizes[letter], self.owners[letter] = size, name
            elif known != size:
                unit = ("rows", "columns")[axis] if len(core) == 2 else "entries"
                if letter not in self.owners:  # a number, a multiple or a sum
                    raise ValueError(f"{self.function}: {name} has {size} {unit}; it needs {letter} = {known} {unit}")
                owner = self.owners[letter]
                raise ValueError(
                    f"{self.function}: {name} has {size} {unit} and {owner} has {known}; both need {letter} {unit} "
                    f"({owner} {self.shapes[owner]}, {name} {shape})"
                )
        self.leading[name] = shape[:split]

    def check_late(self) -> None:
        """Check the sums and differences that stood before the letters that they are made of."""
        for letter, size in self.sizes.items():
            known = None if letter.isidentifier() else size_of(letter, self.sizes)
            if known not in (None, size):
                owner = self.owners[letter]
                others = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
                raise ValueError(f"{self.function}: {owner} has {size} entries; it needs {letter} = {known} ({others})")

    def batch(self) -> tuple[int, ...]:
        """Return the leading axes of all arrays together."""
        result: tuple[int, ...] = ()
        for name, leading in self.leading.items():
            if not result or leading in ((), result):  # the usual call, much faster than asking NumPy
                result = result or leading
                continue
            try:
                result = np.broadcast_shapes(result, leading)
            except ValueError:
                others = ", ".join(f"{other} {self.shapes[other]}" for other in self.leading if other != name)
                raise ValueError(
                    f"{self.function}: the leading axes of {name} {self.shapes[name]} do not broadcast with those of "
                    f"{others}"
                ) from None
        return result
