"""Measure what is promised of the CPU engine beside its results, and check it: `make large`, a quarter of an hour.

- Ctrl-C during a long call returns within `PROMPT` seconds, and the next call gives the bits that it gave before.
- `CALLS` calls leave no thread behind, and less than `KEPT` bytes.
- A million queries or keys take less than `ROOM` bytes beside the arguments, where a formulation streams.
- Time and memory grow with the exponents that the docstring states, up to `SLACK`.

Each case runs in a forked child, so that its memory is its own. Writes `docs/benchmarks/promises.json`, from which the
page on promises is made; ends with an error if one of them is broken. Names restrict it to some formulations:
`python docs/measure_promises.py titans_memory`.
"""

import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import attlas
from attlas.bench.machine import machine
from attlas.bench.memory import measured_growth
from attlas_ref.contract.results import flat
from attlas_ref.records import all_records, find
from attlas_ref.testing.drawn import Call, example_call
from attlas_ref.testing.pairs import is_dense

TARGET = Path(__file__).parent / "benchmarks" / "promises.json"
PROMPT = 0.1
CALLS, KEPT = 10_000, 2**20
ROOM = 500e6
SLACK = 0.25
SECONDS = 0.1
"""A call of about so long is the largest that is timed."""


@dataclass(frozen=True)
class Growth:
    """How the cost of a formulation grows with letters of equal size; O(size^exponent), its results included."""

    name: str
    letters: tuple[str, ...]
    time: int
    memory: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


KEYS = ("n",)
TOKENS = ("n",)
PAIRS = ("m", "n")
WIDE = {"d": 32, "e": 32}
FEW = {"m": 8, **WIDE}

GROWTHS = (
    *(
        Growth(name, KEYS, 1, 0, FEW)
        for name in ("softmax_attention", "sigmoid_attention", "hopfield_attention", "attention_energy")
    ),
    *(Growth(name, PAIRS, 2, 1, WIDE) for name in ("softmax_attention_vjp", "cosine_attention", "distance_attention")),
    Growth("fastmax_attention", PAIRS, 1, 1, {"d": 8, "e": 8}),
    Growth("prefix_attention", TOKENS, 1, 1, WIDE, {"method": "sequential"}),
    Growth("titans_memory", TOKENS, 1, 1, {"d": 16, "e": 16}),
    Growth("bidirectional_encoding", TOKENS, 1, 1, WIDE),
    Growth("moving_sum", TOKENS, 1, 1),
    Growth("linear_chain_marginals", TOKENS, 1, 1, {"c": 4}),
    Growth("sinkhorn_plan", PAIRS, 2, 2, {}, {"steps": 20, "epsilon": 1.0}),
    Growth("monotonic_alignment", PAIRS, 2, 2),
)

LARGE: dict[str, dict[str, int]] = {
    **{
        record.name: {"m": 2, "n": 10**6, "d": 4, "e": 4}
        for record in all_records()
        if is_dense(record) and "numba" in record.engines
    },
    "prefix_attention": {"n": 10**6, "d": 8, "e": 8},
    "titans_memory": {"n": 10**6, "d": 8, "e": 8},
    "fastmax_attention": {"m": 10**6, "n": 10**6, "d": 4, "e": 4},
    "bidirectional_encoding": {"n": 10**6, "d": 8},
    "moving_sum": {"n": 10**6},
    "linear_chain_marginals": {"n": 10**6, "c": 4},
}
"""Sizes of the calls with a million tokens."""

LONG: dict[str, dict[str, int]] = {
    "softmax_attention": {"m": 2**15, "n": 2**15, "d": 64, "e": 64},
    "softmax_attention_vjp": {"m": 2**14, "n": 2**14, "d": 64, "e": 64},
    "titans_memory": {"n": 2**21, "d": 64, "e": 64},
    "sinkhorn_plan": {"m": 4000, "n": 4000},
}
"""Sizes of calls of seconds."""
OPTIONS: dict[str, dict[str, Any]] = {"sinkhorn_plan": {"steps": 500, "epsilon": 0.01}}


def main() -> None:
    """Measure all cases, or those named; write what was found and say what is broken."""
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # read when a process starts: memory that is freed is given back
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})
    chosen = sys.argv[1:]
    found: dict[str, Any] = {"large": {}, "growth": {}, "interrupts": [], "calls": []}
    if TARGET.exists():
        found |= json.loads(TARGET.read_text(encoding="utf-8"))
    found["machine"] = machine()
    broken: list[str] = []
    tasks: list[tuple[Callable[..., Any], tuple[Any, ...], Callable[[Any], None]]] = []

    def put(section: str, name: str) -> Callable[[Any], None]:
        return lambda entry: found[section].__setitem__(name, entry)

    def append(section: str, *keys: str) -> Callable[[Any], None]:
        def add(entry: Any) -> None:
            others = [old for old in found[section] if any(old[key] != entry[key] for key in keys)]
            found[section] = [*others, entry]

        return add

    tasks += [(large, (name, sizes), put("large", name)) for name, sizes in LARGE.items()]
    tasks += [(growth, (case,), put("growth", case.name)) for case in GROWTHS]
    tasks += [(interrupted, (name, t), append("interrupts", "name", "threads")) for name in LONG for t in (1, 2)]
    firsts = [next(r.name for r in all_records(family) if "numba" in r.engines) for family in FAMILIES_CALLED]
    tasks += [(called, (name,), append("calls", "name")) for name in firsts]
    for function, arguments, keep in tasks:
        name = getattr(arguments[0], "name", arguments[0])
        if chosen and name not in chosen:
            continue
        with multiprocessing.get_context("fork").Pool(1) as child:
            entry, problem = child.apply(function, arguments)
        keep(entry)
        print(f"{function.__name__:12} {name:32} {entry}", file=sys.stderr, flush=True)
        if problem:
            broken.append(f"{function.__name__} {name}: {problem}")
        TARGET.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if broken:
        raise SystemExit("\n".join(broken))


FAMILIES_CALLED = ("dotproduct", "normalizers", "memory", "kronecker", "probabilistic", "variational", "monotonic")


def drawn(name: str, sizes: Mapping[str, int], options: Mapping[str, Any]) -> Call:
    """Draw a plain call without optional arrays."""
    return example_call(name, np.random.default_rng(0), sizes, (), "float32", given=(), **options)


def grown(name: str, sizes: Mapping[str, int], options: Mapping[str, Any]) -> int:
    """Return by how many bytes resident memory grows during a call, its results included."""
    request = {"name": name, "contestant": "numba", "sizes": dict(sizes), "batch": [], "dtype": "float32"}
    bytes_ = measured_growth({**request, "options": dict(options), "arrays": []})
    assert bytes_ is not None
    return bytes_


def large(name: str, sizes: dict[str, int]) -> tuple[dict[str, Any], str]:
    """Measure the memory of a call with a million tokens."""
    options = OPTIONS.get(name, {})
    inputs = sum(array.nbytes for array in drawn(name, sizes, options).every_array())
    entry = {"sizes": sizes, "inputs": inputs, "bytes": grown(name, sizes, options)}
    return entry, "" if entry["bytes"] < ROOM else f"takes {entry['bytes'] / 1e6:.0f} MB"


def growth(case: Growth) -> tuple[dict[str, Any], str]:
    """Fit how time and memory grow: the slopes of their logarithms over three doublings."""
    attlas.set_num_threads(1)

    def sizes_of(count: int) -> dict[str, int]:
        return {**case.sizes, **dict.fromkeys(case.letters, count)}

    count, seconds = 256, 0.0
    while seconds < SECONDS and count < 2**22:
        count *= 2
        seconds = min(timed(case, sizes_of(count)) for _ in range(2))
    counts = [count // 8, count // 4, count // 2, count]
    times = [min(timed(case, sizes_of(size)) for _ in range(3)) for size in counts]
    bytes_ = [max(grown(case.name, sizes_of(size), case.options), 2**17) for size in counts]
    entry = {
        **{key: value for key, value in asdict(case).items() if key in ("time", "memory")},
        "letters": list(case.letters),
        "counts": counts,
        "seconds": times,
        "bytes": bytes_,
        "fitted_time": slope(counts, times),
        "fitted_memory": slope(counts, bytes_),
    }
    # Fixed costs make small sizes dearer: a slope may be lower than stated, never higher.
    problems = [
        f"{what} grows with the exponent {entry[f'fitted_{what}']:.2f}, stated {entry[what]}"
        for what in ("time", "memory")
        if entry[f"fitted_{what}"] > entry[what] + SLACK
    ]
    return entry, "; ".join(problems)


def timed(case: Growth, sizes: Mapping[str, int]) -> float:
    """Return the seconds of one call, those of the processor: others may use it at the same time."""
    call = drawn(case.name, sizes, case.options)
    start = time.process_time()
    call.by(accelerated)
    return time.process_time() - start


def accelerated(name: str, *arrays: Any, **options: Any) -> Any:
    """Call a public function."""
    return getattr(attlas, name)(*arrays, **options)


def slope(counts: list[int], values: list[Any]) -> float:
    """Return the slope of the line through the logarithms."""
    return float(np.polyfit([math.log(x) for x in counts], [math.log(y) for y in values], 1)[0])


def interrupted(name: str, threads: int) -> tuple[dict[str, Any], str]:
    """Measure how soon a long call returns after Ctrl-C."""
    attlas.set_num_threads(threads)
    options = OPTIONS.get(name, {})
    small = drawn(name, {letter: min(size, 40) for letter, size in LONG[name].items()}, options)
    before = [part.tobytes() for part in flat(small.by(accelerated))]
    call = drawn(name, LONG[name], options)
    sent: list[float] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.3, send).start()
    seconds = math.inf
    try:
        call.by(accelerated)
        time.sleep(0.5)  # it was done before: the interrupt comes here
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    same = before == [part.tobytes() for part in flat(small.by(accelerated))]
    entry = {"name": name, "threads": threads, "seconds": seconds, "same": same}
    return entry, "" if seconds < PROMPT and same else f"{seconds:.3f} s, the same bits afterwards: {same}"


def called(name: str) -> tuple[dict[str, Any], str]:
    """Count what many calls leave behind."""
    attlas.set_num_threads(2)
    call = drawn(name, find(name).largest and dict.fromkeys(find(name).largest, 4), {})

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in range(CALLS // 10):
        call.by(accelerated)
    memory, threads = resident(), threading.active_count()
    for _ in range(CALLS):
        call.by(accelerated)
    entry = {"name": name, "calls": CALLS, "bytes": resident() - memory, "threads": threading.active_count() - threads}
    return entry, "" if entry["bytes"] < KEPT and entry["threads"] <= 0 else str(entry)


if __name__ == "__main__":
    main()
