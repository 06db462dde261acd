"""What runs a student's code, in a process of its own: it receives inputs and returns arrays.

This file is started as a script by `process`, with Python's isolated mode, and imports nothing of Attlas: there is no
reference and no expected result in this process, and none can be had. Messages go over the two pipes that were its
standard input and output; what the student prints goes elsewhere.

A message is `MAGIC`, its length, sixteen bytes that bind an answer to its question, a JSON header, and the bytes of the
arrays that the header describes. Nothing is pickled.
"""

import json
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

MAGIC = b"ATTLAS01"
NONCE = 16
LIMIT = 2**28
"""Bytes of a message."""


class Unsendable(Exception):
    """A value that is no array, number, text or tuple of these."""


class Broken(Exception):
    """Bytes that are no message."""


def send(stream: BinaryIO, nonce: bytes, header: dict[str, Any], **values: Any) -> None:
    """Write one message: a header, and values that may hold arrays."""
    blobs: list[bytes] = []
    values = {name: _plain(value, blobs) for name, value in values.items()}
    text = json.dumps({**header, **values, "blobs": [len(blob) for blob in blobs]}).encode()
    body = b"".join([nonce, struct.pack("<Q", len(text)), text, *blobs])
    stream.write(MAGIC + struct.pack("<Q", len(body)) + body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[bytes, dict[str, Any]]:
    """Read one message; EOFError at the end of the stream, `Broken` for anything else than a message."""
    head = stream.read(len(MAGIC) + 8)
    if not head:
        raise EOFError
    if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 8:
        raise Broken
    (length,) = struct.unpack("<Q", head[len(MAGIC) :])
    if not NONCE + 8 <= length <= LIMIT:
        raise Broken
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    try:
        (size,) = struct.unpack("<Q", body[NONCE : NONCE + 8])
        header = json.loads(body[NONCE + 8 : NONCE + 8 + size])
        place, blobs = NONCE + 8 + size, []
        for count in header.pop("blobs"):
            blobs.append(body[place : place + count])
            place += count
        return body[:NONCE], {name: _value(tree, blobs) for name, tree in header.items()}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, struct.error):
        raise Broken from None


def _plain(value: Any, blobs: list[bytes]) -> Any:
    """What JSON holds of a value; the numbers of arrays go to `blobs`."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise Unsendable(f"an array of {array.dtype}")
        blobs.append(np.ascontiguousarray(array).tobytes())
        return {"array": len(blobs) - 1, "dtype": array.dtype.str, "shape": list(array.shape)}
    if isinstance(value, (tuple, list)):
        return {type(value).__name__ if type(value) is list else "tuple": [_plain(part, blobs) for part in value]}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"plain": value}
    raise Unsendable(f"a {type(value).__name__}")


def _value(tree: Any, blobs: list[bytes]) -> Any:
    """The value of what `_plain` made; anything else raises one of the errors that `receive` knows."""
    if "array" in tree:
        dtype = np.dtype(tree["dtype"])
        if dtype.kind not in "biuf" or any(not isinstance(size, int) or size < 0 for size in tree["shape"]):
            raise ValueError
        return np.frombuffer(blobs[tree["array"]], dtype=dtype).reshape(tree["shape"]).copy()
    if "slice" in tree:
        return slice(*tree["slice"])
    if "plain" in tree:
        return tree["plain"]
    if "list" in tree:
        return [_value(part, blobs) for part in tree["list"]]
    return tuple(_value(part, blobs) for part in tree["tuple"])


def main() -> None:
    """Answer questions until there are no more."""
    import os

    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what is printed is kept apart, and never read as an answer
    nonce, order = receive(questions)
    sys.path += [path for path in order["paths"] if path not in sys.path]
    try:
        namespace = _load(order)
    except BaseException as error:
        send(answers, nonce, {}, outcome="raised", **_told(error, order["file"]))
    else:
        send(answers, nonce, {}, outcome="loaded", functions=[name for name in namespace if callable(namespace[name])])
        while True:
            try:
                nonce, question = receive(questions)
            except EOFError:
                break
            _answer(answers, nonce, namespace, question, order["file"])
    sys.stdout.flush()
    os._exit(0)  # past whatever the student left to be done at the end


def _load(order: dict[str, Any]) -> dict[str, Any]:
    """Run the student's file as a module, within limits."""
    import importlib
    import types

    for module in order["preload"]:
        importlib.import_module(module)
    if order["in_turn"]:
        _beside("turns", order).take_turns()
    for name in order["forbidden"]:
        _forbid(name)
    _limit(order["memory"], order["seconds"])
    if order["guarded"]:
        _beside("guard", order).guard(tuple(order["packages"]), tuple(order["library"]), frozenset(order["modules"]))
        for name in ("__main__", "subprocess", "_posixsubprocess"):
            sys.modules.pop(name, None)
    module = types.ModuleType("student")
    sys.modules["student"] = module
    exec(compile(order["source"], order["file"], "exec"), module.__dict__)
    return module.__dict__


def _beside(name: str, order: dict[str, Any]) -> Any:
    """Import one of our files from the folder of this one; the student's code cannot."""
    import importlib

    sys.path.insert(0, order["beside"])
    importlib.import_module(name)
    sys.path.remove(order["beside"])
    return sys.modules.pop(name)


def _limit(memory: int, seconds: int) -> None:
    """Limit memory and processor time where the system can."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (("RLIMIT_AS", memory), ("RLIMIT_CPU", seconds), ("RLIMIT_CORE", 0)):
        try:
            resource.setrlimit(getattr(resource, kind), (most, most))
        except (OSError, ValueError, AttributeError):
            continue


def _forbid(name: str) -> None:
    """Replace a function, under every name that it has, by one that says that it is not to be called."""
    import importlib

    home, _, attribute = name.rpartition(".")
    function = getattr(importlib.import_module(home), attribute)

    def forbidden(*_: Any, **__: Any) -> None:
        raise ImportError(f"{name} is what you are asked to write; it may not be called here")

    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if value is function:
                setattr(module, key, forbidden)


def _answer(answers: BinaryIO, nonce: bytes, namespace: dict[str, Any], question: dict[str, Any], file: str) -> None:
    """Call a function and send what it returns, with the inputs as they are afterwards."""
    arguments, options = question["arguments"], dict(zip(question["keywords"], question["options"], strict=True))
    try:
        function = namespace[question["function"]]
        result = function(*arguments, **options)
        if isinstance(result, np.ma.MaskedArray):
            raise Unsendable("a masked array")
    except Unsendable as error:
        send(answers, nonce, {}, outcome="unsendable", what=str(error))
        return
    except BaseException as error:
        send(answers, nonce, {}, outcome="raised", **_told(error, file))
        return
    try:
        send(answers, nonce, {}, outcome="result", result=result, after=(arguments, tuple(options.values())))
    except Unsendable as error:
        send(answers, nonce, {}, outcome="unsendable", what=str(error))


def _told(error: BaseException, file: str) -> dict[str, Any]:
    """An exception in plain words: its kind, its message, and the last line of the student's file that it passed."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        message = str(error)[:500]
    except Exception:
        message = ""
    return {"kind": str(type(error).__name__), "message": message, "line": line}


if __name__ == "__main__":
    main()
