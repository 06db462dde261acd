"""What each formulation can do, read from its record: for choosing one, and for saying what the engines cover."""

from collections.abc import Callable, Mapping

from attlas_ref.records import ENGINES, FAMILIES, Record, all_records

from . import text

DRAWS = {"uniform", "uniforms", "rng", "draws"}
"""Arguments that bring chance into a call."""
STATES = {"state", "return_state", "previous", "memory"}
"""Options by which a call goes on where an earlier one stopped."""

YES: Mapping[str, tuple[str, Callable[[Record], bool]]] = {
    "causal": ("causal rule", lambda record: "causal" in arguments(record)),
    "mask": ("mask", lambda record: bool({"mask", "key_mask", "masks"} & arguments(record))),
    "gradient": ("gradient", lambda record: record.vjp is not None),
    "weights": ("weights", lambda record: record.returns_weights),
    "state": ("state", lambda record: record.keeps_accumulators or bool(STATES & set(record.options))),
}
"""Short name, the head of its column, and who has it."""


def arguments(record: Record) -> set[str]:
    """Return the names of all arguments."""
    return set(record.python_signature.parameters)


def exactness(record: Record) -> str:
    """Say whether the result is what the formula says, a stand-in for another, or left to chance."""
    if record.approximates:
        return f"for `{record.approximates}`"
    return "draws" if DRAWS & arguments(record) else "exact"


def cost(record: Record) -> str:
    """Return the leading cost, without what the docstring adds to it."""
    found = text.cost(record).rstrip(".")
    for stop in ("; ", ". ", ", where ", ", which ", ", and "):
        found = found.partition(stop)[0]
    return text.one_line(found) or "–"


def engines(record: Record) -> str:
    """Say what runs a formulation."""
    if record.kind == "U":
        return "NumPy"
    return "all" if record.engines == ENGINES else ", ".join(record.engines) or "the reference alone"


def table(atlas: str = "atlas/") -> str:
    """Return the properties of every formulation; the page's script adds fields to filter the rows."""
    heads = " | ".join(head for head, _ in YES.values())
    lines = [
        '<div class="atlas-properties" markdown>',
        "",
        f"| formulation | family | result | {heads} | engines | cost |",
        f"| --- | --- | --- |{' :-: |' * len(YES)} --- | --- |",
    ]
    for record in all_records():
        marks = " | ".join("yes" if has(record) else "–" for _, has in YES.values())
        name = f"[`{record.name}`]({text.below(atlas, record.name)})"
        lines.append(
            f"| {name} | {record.family} | {exactness(record)} | {marks} | {engines(record)} | {cost(record)} |"
        )
    return "\n".join([*lines, "", "</div>"])


def families(atlas: str = "atlas/") -> str:
    """Return how many formulations of each family have each property."""
    heads = " | ".join(head for head, _ in YES.values())
    lines = [
        f"| family | formulations | {heads} | approximate | draws |",
        f"| --- | ---: |{' ---: |' * len(YES)} ---: | ---: |",
    ]
    for family in FAMILIES:
        records = all_records(family)
        counts = [sum(map(has, records)) for _, has in YES.values()]
        counts += [sum(record.approximates is not None for record in records)]
        counts += [sum(exactness(record) == "draws" for record in records)]
        cells = " | ".join(str(count) if count else "–" for count in counts)
        lines.append(f"| [{family}]({atlas}{family}/index.md) | {len(records)} | {cells} |")
    return "\n".join(lines)


def coverage(atlas: str = "atlas/") -> str:
    """Return which engine computes what: a line per family, and the formulations of each behind it."""
    head = " | ".join(f"`{name}`" for name in ENGINES)
    lines = [
        f"| family | formulations | a kernel | composed | once, in NumPy | {head} |",
        f"| --- | ---: | ---: | ---: | ---: |{' ---: |' * len(ENGINES)}",
    ]
    details = []
    for family in FAMILIES:
        records = all_records(family)
        kinds = [str(sum(record.kind == kind for record in records)) for kind in "KCU"]
        computed = [record for record in records if record.kind != "U"]
        shares = [_share(sum(name in record.engines for record in computed), len(computed)) for name in ENGINES]
        name = f"[{family}]({atlas}{family}/index.md)"
        lines.append(f"| {name} | {len(records)} | {' | '.join(kinds)} | {' | '.join(shares)} |")
        details += [
            "",
            f'??? note "{family}, one by one"',
            "",
            *(f"    {line}" for line in _one_by_one(records, atlas)),
        ]
    return "\n".join([*lines, *details])


def _share(count: int, total: int) -> str:
    return "all" if count == total else f"{count} of {total}"


def _one_by_one(records: tuple[Record, ...], atlas: str) -> list[str]:
    head = " | ".join(f"`{name}`" for name in ENGINES)
    lines = [f"| formulation | {head} | how |", f"| --- |{' --- |' * len(ENGINES)} --- |"]
    for record in records:
        marks = " | ".join("yes" if name in record.engines and record.kind != "U" else "–" for name in ENGINES)
        how = text.KINDS[record.kind] if record.runs else "the reference alone, so far"
        lines.append(f"| [`{record.name}`]({text.below(atlas, record.name)}) | {marks} | {how} |")
    return lines
