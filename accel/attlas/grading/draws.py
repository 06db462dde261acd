"""The calls of an exercise: those of its record, restricted to what the student implements, one rule at a time."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.contract import Choice, Flag, Option
from attlas_ref.records import Record
from attlas_ref.testing.drawn import SIZED, build, draw_option
from attlas_ref.testing.layouts import is_spread
from attlas_ref.testing.plan import BIASES, MASKS, Call, Plan
from attlas_ref.testing.strategies import BATCHES, BYTES, plan_of

from .masters import Exercise

SIMULATED_SIZE = 5
"""The largest size of a kernel that is simulated thread by thread."""


@dataclass(frozen=True)
class Rule:
    """One thing that a function has to get right, and what the calls look like that show it."""

    name: str
    options: tuple[str, ...] = ()
    """The options that may be given."""
    given: str | None = None
    """The option that always is."""
    batch: bool = False
    """Whether there are leading axes."""
    extreme: bool = False
    """Whether sizes may be 0 and numbers large, small or equal."""
    dtype: str = "float64"


def rules_of(exercise: Exercise) -> list[Rule]:
    """The rules of an exercise, from the formula itself to all options at once."""
    every = exercise.options
    rules = [Rule("the formula", options=())]
    rules += [Rule(f"with {name}", options=(name,), given=name) for name in every if not is_required(exercise, name)]
    rules.append(Rule("leading axes", options=every, batch=True))
    rules.append(Rule("extreme sizes and numbers", options=every, extreme=True))
    rules.append(Rule("float32", options=every, batch=True, dtype="float32"))
    return rules


def is_required(exercise: Exercise, name: str) -> bool:
    """Whether an option has no default."""
    parameter = exercise.record.python_signature.parameters[name]
    return parameter.default is parameter.empty


def call_of(drawn: bytes, exercise: Exercise, rule: Rule) -> Call:
    """Return the call that a string of bytes stands for; 0 is the simplest of every choice.

    The last bytes, which the plan of a call leaves unused, choose what is optional.
    """
    most = SIMULATED_SIZE if exercise.simulated else exercise.largest
    plan = plan_of(drawn, exercise.formulation, dtypes=(rule.dtype,), largest=most, plain=not exercise.hidden)
    spare = iter(reversed(drawn[:BYTES]))
    batch = plan.batch if rule.batch else ()
    if rule.batch and not batch:
        batch = next(b for b in BATCHES if b)
    plan = dataclasses.replace(
        plan,
        sizes={letter: size if rule.extreme else max(size, 1) for letter, size in plan.sizes.items()},
        batch=batch,
        stretch=plan.stretch if rule.batch and exercise.broadcast else (),
        layouts=(),
        magnitude=plan.magnitude if rule.extreme else "normal",
        writeable=True,
    )
    return restricted(plan, exercise, rule.options, rule.given, lambda: next(spare))


def restricted(plan: Plan, exercise: Exercise, options: tuple[str, ...], given: str | None, byte: Any) -> Call:
    """Make the call of a plan with some options alone, and with one of them in any case."""
    record = exercise.record
    taken = {name for name in record.options if name in options or is_required(exercise, name)}
    kinds = {"mask": plan.mask, "bias": plan.bias}
    present, chosen = set(), {name: value for name, value in plan.options.items() if name in taken}
    for name, option in record.options.items():
        wanted = name in taken and (name == given or byte() >= 128)
        if is_spread(option):
            kind = "mask" if option.boolean else "bias"
            kinds[kind] = _spread_kind(kinds[kind], kind, name == given, byte()) if name in taken else None
        elif isinstance(option, SIZED):
            present |= {name} if wanted else set()
        elif name == given:
            chosen[name] = _value(option, record, name, byte())
    call = build(dataclasses.replace(plan, options=chosen, mask=kinds["mask"], bias=kinds["bias"]), present)
    kept = {name: value for name, value in call.options.items() if name in taken}
    return Call(call.name, call.arrays, kept, call.plan)


def _spread_kind(drawn: str | None, kind: str, needed: bool, byte: int) -> str | None:
    if drawn is not None or not needed:
        return drawn
    kinds = [k for k in (MASKS if kind == "mask" else BIASES) if k is not None]
    return kinds[byte % len(kinds)]


def _value(option: Option, record: Record, name: str, byte: int) -> Any:
    """A value of an option that is to make a difference."""
    default = record.python_signature.parameters[name].default
    if isinstance(option, Flag):
        return not default
    if isinstance(option, Choice):
        others = [value for value in option.values if value != default]
        return others[byte % len(others)]
    return draw_option(option, np.random.default_rng(byte))
