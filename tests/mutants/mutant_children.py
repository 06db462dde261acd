"""Forked processes: what one of them produces, and that its time is up."""

import contextlib
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

TIMEOUT = "timeout"
"""What became of a process that was stopped."""


def one(produce: Callable[[], Any], limit: float) -> Any:
    """Return what a forked process returns, or that its time was up."""
    found = list(in_child(lambda: iter([produce()]), limit))
    return found[0] if found else (TIMEOUT, f"{limit:.0f} s")


def in_child(produce: Callable[[], Iterator[Any]], limit: float) -> Iterator[Any]:
    """Yield what a forked process produces, until it ends or its time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        with open(os.devnull, "w") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)
        with os.fdopen(writing, "w") as pipe:
            try:
                for result in produce():
                    pipe.write(json.dumps(result) + "\n")
                    pipe.flush()
            except BaseException:
                pipe.write(json.dumps({"broke": traceback.format_exc()}) + "\n")
        os._exit(0)
    os.close(writing)
    try:
        for result in map(json.loads, _lines(reading, time.monotonic() + limit)):
            if isinstance(result, dict) and "broke" in result:
                raise RuntimeError(result["broke"])
            yield result
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


def _lines(reading: int, until: float) -> Iterator[str]:
    rest = b""
    while (left := until - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        part = os.read(reading, 2**16)
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.decode() for line in lines)
