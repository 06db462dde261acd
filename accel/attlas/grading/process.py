"""The student's process, as seen from here: start it, ask it, end it."""

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from .child import Broken, Unsendable, receive, send

HERE = Path(__file__).parent
ALWAYS = ("numpy",)
ON_REQUEST = {"scipy": ("scipy",), "numba": ("numba", "llvmlite", "numba_cuda", "cuda")}
"""Packages that a file may import, and what they need; they are there only if its text names them."""
NOT_FOR_STUDENTS = {
    *("ctypes", "_ctypes", "subprocess", "_posixsubprocess", "multiprocessing", "socket", "_socket", "asyncio", "mmap"),
    *("pty", "shutil", "tempfile", "urllib", "http", "ftplib", "smtplib", "ssl", "sqlite3", "dbm", "shelve", "pip"),
}
ANSWERS = ("scipy.special.softmax", "scipy.special.log_softmax")
"""What SciPy has of the answers."""
PATIENCE = 6
"""How many times the limit a call may take by the clock, as long as it has not used the limit of processor time."""
KEPT_OUTPUT = 4000
"""Characters of what the student's code prints."""


@dataclass(frozen=True)
class Limits:
    """What one student's file may take."""

    seconds: float = 10.0
    """For one call; loading the file may take three times as long, since a kernel compiles.

    It is processor time where the system tells it, so that a busy machine fails nobody; see `PATIENCE`.
    """
    memory: int = 2 * 2**30
    """Bytes of address space, where the system can limit it."""
    total: float = 120.0
    """For the whole file."""


class Gone(BaseException):
    """The student's process has ended, or has to; the message says why in plain words.

    Not an Exception: Hypothesis would take it for one more failure and go on asking for a simpler one.
    """

    def __init__(self, kind: Literal["time", "memory", "ended", "channel"], words: str) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words


@dataclass
class Reply:
    """What came back from one call."""

    result: Any = None
    after: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
    """The arrays and the options as they were after the call."""
    raised: str | None = None
    """The kind of the exception."""
    message: str = ""
    line: int | None = None
    unsendable: str | None = None
    """What it returned, if that was nothing that can be judged."""

    @property
    def error(self) -> str:
        """The exception as a terminal shows it."""
        where = "" if self.line is None else f" (line {self.line})"
        return f"{self.raised}: {self.message}{where}" if self.message else f"{self.raised}{where}"


@dataclass
class Student:
    """One file in a process of its own."""

    source: str
    file: str
    limits: Limits = field(default_factory=Limits)
    forbidden: tuple[str, ...] = ()
    guarded: bool = True
    """Without, it is our own code: the mistakes of a master."""
    loading: Reply | None = None
    """What loading the file raised, if anything."""
    functions: tuple[str, ...] = ()

    def __enter__(self) -> "Student":
        self._folder = tempfile.TemporaryDirectory(prefix="attlas-grade-")
        self._printed: list[str] = []
        self._late = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(HERE / "child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            start_new_session=True,  # so that Ctrl-C ends the grader, which then ends this
        )
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=1)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was written last has nowhere to go
                continue
        self._folder.cleanup()

    @property
    def printed(self) -> str:
        """The beginning of what the code printed."""
        return "".join(self._printed)[:KEPT_OUTPUT]

    def load(self) -> Reply | None:
        """Run the file; return what it raised, if anything."""
        header = self._ask(_order(self), 3 * self.limits.seconds, "Loading the file")
        if header["outcome"] == "raised":
            self.loading = Reply(raised=header["kind"], message=header["message"], line=header["line"])
        else:
            self.functions = tuple(header["functions"])
        return self.loading

    def call(self, function: str, arrays: tuple[Any, ...], options: Mapping[str, Any]) -> Reply:
        """Call a function of the file with copies of the arguments."""
        question = {
            "function": function,
            "arguments": arrays,
            "keywords": list(options),
            "options": list(options.values()),
        }
        header = self._ask(question, self.limits.seconds, "One call")
        try:
            if header["outcome"] == "raised" and header["kind"] == "MemoryError":  # once is enough
                gib = self.limits.memory / 2**30
                raise Gone(
                    "memory", f"One call asks for more memory than it may have ({gib:g} GiB). {header['message']}"
                )
            if header["outcome"] == "raised":
                return Reply(raised=str(header["kind"]), message=str(header["message"]), line=header["line"])
            if header["outcome"] == "unsendable":
                return Reply(unsendable=str(header["what"]))
            after_arrays, after_options = header["after"]
            return Reply(result=header["result"], after=(tuple(after_arrays), tuple(after_options)))
        except (KeyError, TypeError, ValueError):
            raise Gone("channel", CHANNEL) from None

    def _ask(self, question: Mapping[str, Any], seconds: float, what: str) -> dict[str, Any]:
        nonce = secrets.token_bytes(16)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        done, begun = threading.Event(), self.worked()
        threading.Thread(target=self._watch, args=(done, seconds, begun), daemon=True).start()
        try:
            send(stdin, nonce, {}, **question)  # type: ignore[arg-type]
            found, header = receive(stdout)  # type: ignore[arg-type]
        except (EOFError, OSError):
            raise self._gone(what, seconds) from None
        except Broken:
            raise (self._gone(what, seconds) if self._late.is_set() else Gone("channel", CHANNEL)) from None
        finally:
            done.set()
        if found != nonce or "outcome" not in header:
            raise Gone("channel", CHANNEL)
        return header

    def worked(self) -> float | None:
        """The processor time that it has used, in seconds; None where the system does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, AttributeError):
            return None

    def _watch(self, done: threading.Event, seconds: float, begun: float | None) -> None:
        """End the process when a call has had its time."""
        for _ in range(PATIENCE):
            if done.wait(seconds):
                return
            now = self.worked()
            if begun is None or now is None or now - begun >= 0.8 * seconds:
                break
        self._late.set()
        self._process.kill()

    def _gone(self, what: str, seconds: float) -> Gone:
        """Why there is no answer."""
        status = self._process.wait()
        if self._late.is_set() or (hasattr(signal, "SIGXCPU") and status == -signal.SIGXCPU):
            return Gone("time", f"{what} took longer than {seconds:g} seconds. Is there a loop that does not end?")
        if hasattr(signal, "SIGKILL") and status == -signal.SIGKILL:
            return Gone("memory", f"{what} was ended by the system, most likely since memory ran out.")
        if status < 0:
            return Gone("ended", f"{what} crashed Python itself ({signal.Signals(-status).name}): memory was overrun.")
        return Gone("ended", f"{what} ended the process, with status {status}. A function returns its result instead.")

    def _drain(self) -> None:
        """Read all that is printed, however much, and keep the beginning."""
        assert self._process.stderr is not None
        kept = 0
        while chunk := self._process.stderr.read1(2**16):  # type: ignore[attr-defined]
            if kept < KEPT_OUTPUT:
                self._printed.append(chunk.decode("utf-8", "replace"))
                kept += len(chunk)
        self._process.stderr.close()


CHANNEL = "Something else than a result came from the process: the code writes to the grader's own channel."


def _environment(folder: str) -> dict[str, str]:
    """Nothing of ours but what Python needs to start; one thread, and CUDA simulated."""
    ours = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    home = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "NUMBA_CACHE_DIR"), folder)
    return {**ours, **one_thread, **home, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONIOENCODING": "utf-8"}


def _order(student: Student) -> dict[str, Any]:
    """What the process is told first."""
    wanted = [name for name in ON_REQUEST if name in student.source]
    names = [*ALWAYS, *(part for name in wanted for part in ON_REQUEST[name])]
    homes = _homes(names)
    forbidden = [name for name in (*ANSWERS, *student.forbidden) if name.partition(".")[0] in names]
    preload = (
        ["numpy.linalg", "numpy.random"] + ["scipy.special"] * ("scipy" in wanted) + ["numba"] * ("numba" in wanted)
    )
    simulated = "numba" in wanted and "cuda" in student.source
    turns = _homes(["greenlet"]) if simulated else []  # without it the simulator's own threads do, only slower
    library = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")}
    return {
        "source": student.source,
        "file": student.file,
        "paths": [str(home.parent) for home in (*homes, *turns)],
        "preload": [*preload, *["numba.cuda"] * simulated],
        "in_turn": bool(turns),
        "forbidden": forbidden,
        "memory": student.limits.memory,
        "seconds": int(student.limits.total) + 60,
        "guarded": student.guarded,
        "beside": str(HERE),
        "packages": [str(home) + os.sep for home in homes],
        "library": [path + os.sep for path in library],
        "modules": sorted({*(sys.stdlib_module_names - NOT_FOR_STUDENTS), *names}),
    }


def _homes(names: Iterable[str]) -> list[Path]:
    """The folders of some packages."""
    return [Path(spec.origin).parent for name in names if (spec := _spec(name)) and spec.origin]


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


__all__ = ["PATIENCE", "Gone", "Limits", "Reply", "Student", "Unsendable"]
