"""What the functions of connectionist temporal classification share: the lattice of a target, and a step in it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..visibility import Booleans, Reals

Whole = NDArray[np.int64]


class Lattice(NamedTuple):
    """A target with blanks around its symbols, and what each of these 2S + 1 states says of each frame."""

    symbols: Whole
    """(..., 2S+1)"""
    emissions: Reals
    """(..., T, 2S+1): log probability of the state's symbol; -inf for states past the end of the target."""
    skips: Booleans
    """(..., 2S+1): whether a state may be entered from two states before."""
    frames: Booleans
    """(..., T): True up to the length of the input."""
    ends: Booleans
    """(..., 2S+1): the last symbol and the blank behind it."""


def lattice_of(
    log_probs: Reals, target: Whole, blank: int, input_lengths: Whole | None, target_lengths: Whole | None
) -> Lattice:
    """Return the lattice of a target, at all leading axes."""
    t, s = log_probs.shape[-2], target.shape[-1]
    lengths = (t if input_lengths is None else input_lengths, s if target_lengths is None else target_lengths)
    batch = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1], *map(np.shape, lengths))
    heard, said = (np.broadcast_to(length, batch)[..., None] for length in lengths)  # (..., 1)

    symbols = np.full((*batch, 2 * s + 1), blank)
    symbols[..., 1::2] = np.where(np.arange(s) < said, target, blank)
    skips = np.zeros(symbols.shape, dtype=bool)
    skips[..., 2:] = (symbols[..., 2:] != blank) & (symbols[..., 2:] != symbols[..., :-2])

    states = np.arange(2 * s + 1)
    log_probs = np.broadcast_to(log_probs, (*batch, *log_probs.shape[-2:]))
    emissions = np.take_along_axis(log_probs, symbols[..., None, :], axis=-1)
    emissions = np.where((states <= 2 * said)[..., None, :], emissions, -np.inf)
    ends = (states == 2 * said) | (states == 2 * said - 1)
    return Lattice(symbols, emissions, skips, np.arange(t) < heard, ends)


def start_of(lattice: Lattice) -> Reals:
    """Return the logarithms before the first frame, (..., 2S+1): all stands in the first blank."""
    states = np.arange(lattice.symbols.shape[-1])
    start = np.where(states == 0, 0, -np.inf).astype(lattice.emissions.dtype)
    return np.broadcast_to(start, lattice.symbols.shape)


def arrivals(logs: Reals, skips: Booleans) -> Reals:
    """Return from where each state is entered, (..., 3, 2S+1): itself, the one before, two before over a blank."""
    padded = np.concatenate([np.full((*logs.shape[:-1], 2), -np.inf, dtype=logs.dtype), logs], axis=-1)
    return np.stack([logs, padded[..., 1:-1], np.where(skips, padded[..., :-2], -np.inf)], axis=-2)


def level(logs: Reals) -> Reals:
    """Return what to take from logarithms to keep their digits, (..., 1): the largest finite one, or 0."""
    largest = np.where(np.isfinite(logs), logs, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    return np.where(largest == -np.inf, 0, largest)
