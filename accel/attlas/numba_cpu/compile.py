"""The two ways in which Python becomes machine code here, and how it is kept for the next process.

A `kernel` is what a host function launches: compiled at its first call, kept on disk under its name, loaded in
milliseconds by the next process. A `part` is built into kernels, and can only be called from compiled code. The
function itself stays a plain Python function.

Numba's own disk cache notices a change in the file of the kernel alone, not in the files that it is built from. Here
the folder of the cache is named after everything that the machine code depends on: the sources of this package, the
versions of Python, Numba and LLVM, and the processor. A kernel is never stale, and nothing of the user's Numba
configuration is touched.

Numba names a compiled function after its Python name, its argument types and a running number. That number differs
between processes, and where two pieces of machine code bring a function of one name, the linker takes either. So two
different functions must never share a name, or a kernel from the disk would run parts of another one: names are made
unique here, and a second use is an error.
"""

import contextlib
import gc
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
from numba import _dynfunc, types
from numba.core import serialize
from numba.core.caching import _Cache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering

from ..threads import undisturbed
from .turns import CHUNK, INSIDE, TAKEN, TASKS, add


class _WideLower(Lower):
    """Writes a function for LLVM, and asks it to take the widest vectors that there are.

    It would halve them on many processors, for the sake of programs that use wide ones now and then and pay for the
    lower clock all the time; here the tile uses them anyway.
    """

    def setup_function(self, fndesc: Any) -> None:
        """Begin the function."""
        super().setup_function(fndesc)
        # llvmlite knows no attributes with values, but prints what stands there.
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


@register_pass(mutates_CFG=True, analysis_only=False)
class _WideLowering(BaseNativeLowering):
    _name = "attlas_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        return _WideLower


class _LinkedLibrary(JITCodeLibrary):
    """Code that other code is linked with.

    Each function is simplified, but not what they are together, and no machine code is made: the kernel is optimized
    whole, with all that was linked into it. To do so for parts too would take a third of the time.
    """

    def _optimize_final_module(self) -> None:
        """Leave it as it is."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _AloneLower(_WideLower):
    """Asks that a function is called where it is used, not copied there."""

    def setup_function(self, fndesc: Any) -> None:
        """Begin the function."""
        super().setup_function(fndesc)
        self.function.attributes.add("noinline")


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(_WideLowering):
    """Stops short of machine code: only kernels are called."""

    _name = "attlas_part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower a part, and make it known to its callers."""
        context = state.targetctx
        state.library = _LinkedLibrary(context.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered, state.flags.no_compile = state["cr"], False
        described = lowered.fndesc
        # What callers know it by: a function that Python cannot call, as without a wrapper it never can.
        known = _dynfunc.make_function(
            described.lookup_module(), described.qualname.split(".")[-1], "", 0, lowered.env, (state.library,)
        )
        context.insert_user_function(known, described, [state.library])
        state["cr"] = lowered._replace(cfunc=known)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _AloneLowering(_PartLowering):
    _name = "attlas_alone_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        return _AloneLower


def _compiler(lowering: type[BaseNativeLowering]) -> type[CompilerBase]:
    """Numba's compiler, but for the last step."""

    class Compiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes.passes = [
                (lowering, text) if step is NativeLowering else (step, text) for step, text in passes.passes
            ]
            return [passes]

    return Compiler


OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": {"contract"},
}
"""Contract: a * b + c may be one rounding instead of two. Nothing that assumes finite numbers, and no reordering: the
kernels fix the order of their sums, and the exponential relies on (x + big) - big."""

SIGNATURE = types.void(*[types.int64[::1]] * 4)
"""Of every kernel: the turns it takes, and the tables of operands, scratch and results."""

_KERNELS, _PARTS, _ALONE = (_compiler(step) for step in (_WideLowering, _PartLowering, _AloneLowering))

_names: set[str] = set()


def kernel(function: Callable[..., Any], name: str) -> Any:
    """Compile function(start, stop, operands, scratch, results), the tasks from `start` to `stop`.

    What is returned is called from Python, with turns instead of `start` and `stop`: it takes one after the other until
    none is left. `name` is unique in the engine.
    """
    tasks = part(function, name)

    def all_turns(turns, operands, scratch, results):
        add(turns, INSIDE, 1)
        while True:
            start = add(turns, TAKEN, 1) * turns[CHUNK]
            if start >= turns[TASKS]:
                break
            tasks(start, min(start + turns[CHUNK], turns[TASKS]), operands, scratch, results)
        add(turns, INSIDE, -1)

    return entry(all_turns, name)


def entry(function: Callable[..., Any], name: str) -> Any:
    """Compile a function that is called from Python; it releases the GIL. `name` is unique in the engine."""
    options = {"pipeline_class": _KERNELS, **OPTIONS}
    dispatcher = numba.njit(nogil=True, no_cfunc_wrapper=True, **options)(_named(function, name))
    dispatcher._cache = DiskCache(name)
    return dispatcher


def ready(entry: Any, signature: Any = SIGNATURE) -> Any:
    """Return a kernel, or what else is called from Python, compiled or loaded."""
    if not entry.overloads:
        undisturbed(_compile, entry, signature)
    return entry


def _compile(entry: Any, signature: Any) -> None:
    """Compile or load. To search for garbage meanwhile would take a tenth of the time: a compiler makes much."""
    collects = gc.isenabled()
    gc.disable()
    try:
        entry.compile(signature)
    finally:
        if collects:
            gc.enable()


def part(
    function: Callable[..., Any], of: str = "", inline: bool = False, alone: bool = False, reassociate: bool = False
) -> Any:
    """Compile a function that is called from compiled code.

    Parameters
    ----------
    function : callable
        What Numba can compile. Divisions by zero give infinity or NaN, as in NumPy.
    of : str
        What tells a function that a factory made from others of its name: all that the factory was given.
    inline : bool
        Build the function into its callers: for the few operations that stand in an inner loop.
    alone : bool
        Never do so: for a loop over arrays of which the compiler cannot see in the callers that they are apart, and so
        would not take vectors of numbers.
    reassociate : bool
        Let the compiler choose the order of a sum, so that it can take vectors of numbers at once.
    """
    options = {"pipeline_class": _ALONE if alone else _PARTS, **OPTIONS}
    if reassociate:
        options["fastmath"] = OPTIONS["fastmath"] | {"reassoc"}
    named = _named(function, f"{function.__qualname__}[{of}]") if of or function.__closure__ else function
    return numba.njit(forceinline=inline, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(named)


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    unique = f"{function.__module__}.{name}"
    if unique in _names:
        raise ValueError(f"two compiled functions are named {unique}")
    _names.add(unique)
    function.__qualname__ = name
    return function


WITHOUT_EFFECT = (
    "NUMBA_CUDA_",
    "NUMBA_ENABLE_CUDASIM",
    "NUMBA_NUM_THREADS",
    "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING",
)
"""How the names begin of Numba's settings that leave the machine code for this processor as it is."""


@cache
def cache_folder() -> Path | None:
    """Where machine code is kept, or None if no folder can be written; made at the first call.

    ``ATTLAS_CACHE_DIR`` if it is set, else the user's cache folder.
    """
    chosen = os.environ.get("ATTLAS_CACHE_DIR")
    root = Path(chosen).expanduser() if chosen else _user_cache() / "attlas"
    folder = root / f"numba-{FINGERPRINT}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _fingerprint() -> str:
    """A hash of all that the machine code of this package depends on."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in sorted(here.rglob("*.py")):
        digest.update(source.relative_to(here).as_posix().encode())
        digest.update(source.read_bytes())
    processor = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()
    settings = sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith("NUMBA_") and not name.startswith(WITHOUT_EFFECT)
    )
    for part in (sys.version, numba.__version__, llvmlite.__version__, *processor, repr(settings)):
        digest.update(part.encode())
    return digest.hexdigest()[:20]


FINGERPRINT = _fingerprint()
"""Taken when the package is imported: an edit while the process runs is not yet what it compiles."""


class DiskCache(_Cache):
    """Keeps the machine code of one kernel: a file per signature. A file that cannot be read or written is no error:
    the kernel is compiled instead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = True

    @property
    def cache_path(self) -> str | None:
        """The folder as Numba asks for it."""
        folder = cache_folder()
        return None if folder is None else str(folder)

    def _file(self, signature: Any) -> Path | None:
        folder = cache_folder()
        if folder is None or not self.enabled:
            return None
        return folder / f"{self.name}-{hashlib.sha256(str(signature).encode()).hexdigest()[:16]}.bin"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for a signature, or None."""
        target_context.refresh()
        file = self._file(sig)
        try:
            payload = None if file is None else pickle.loads(file.read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        return None if payload is None else CompileResult._rebuild(target_context, *payload)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel."""
        file = self._file(sig)
        if file is None or data.library.has_dynamic_globals:
            return
        payload = serialize.dumps(data._reduce())
        with contextlib.suppress(OSError), _replacing(file) as temporary:
            temporary.write_bytes(payload)

    def enable(self) -> None:
        """Use the disk."""
        self.enabled = True

    def disable(self) -> None:
        """Leave the disk alone."""
        self.enabled = False

    def flush(self) -> None:
        """Forget what is kept of this kernel."""
        folder = cache_folder()
        for file in folder.glob(f"{self.name}-*.bin") if folder else ():
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """Give a file beside the named one that takes its place at the end: no other process sees half of it."""
    temporary = file.with_suffix(f".{os.getpid()}.{os.urandom(4).hex()}")
    try:
        yield temporary
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
