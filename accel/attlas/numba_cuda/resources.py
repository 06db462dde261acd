"""What a kernel takes of a GPU, found where there is none: compiled, linked for a generation, and the linker's word.

NVIDIA's linker (nvJitLink) makes machine code of PTX without a driver and says how many registers each thread has, how
much shared memory each block, and how many bytes of a thread had no place in registers and stand in memory instead.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from numba.cuda.compiler import _compile_pyfunc_with_fixup

from .lanes import Lane, pretended_device

Capability = tuple[int, int]

CAPABILITIES: tuple[Capability, ...] = ((7, 5), (8, 0), (9, 0), (10, 0))
"""Turing, Ampere, Hopper, Blackwell."""

REGISTERS = 2**16
"""Registers that one block may have, on every generation."""
REGISTERS_TOGETHER = 8
"""A thread is given registers in portions."""
SHARED_MEMORY = 48 * 1024
"""Bytes of shared memory that every GPU grants a block without being asked."""
THREADS = 1024
"""Threads that one block may have."""


@dataclass(frozen=True)
class Resources:
    """What one kernel takes on one generation of GPUs."""

    registers: int
    """Of a thread."""
    shared: int
    """Bytes of a block; on 9.0 the linker adds the 1024 that the system keeps."""
    spilled: int
    """Bytes of a thread that stand in memory."""

    def fits(self, threads: int) -> bool:
        """Whether a block of so many threads can be launched."""
        given = -(-self.registers // REGISTERS_TOGETHER) * REGISTERS_TOGETHER
        return threads <= THREADS and given * threads <= REGISTERS and self.shared <= SHARED_MEMORY


def resources(lane: Lane, capabilities: Collection[Capability] = CAPABILITIES) -> dict[Capability, Resources]:
    """Compile a kernel for several compute capabilities and return what it takes of each."""
    with pretended_device(CAPABILITIES[0]):
        # Types and LLVM code are made once: kernels do not ask for the capability.
        library, _ = _compile_pyfunc_with_fixup(
            lane.kernel.py_func, lane.signature, device=False, abi="numba", cc=CAPABILITIES[0]
        )
    return {capability: linked(library.get_asm_str(cc=capability), capability) for capability in capabilities}


def linked(ptx: str, capability: Capability) -> Resources:
    """Make machine code of PTX and return what the linker says of it."""
    from cuda.bindings import nvjitlink

    handle = nvjitlink.create(2, [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose"])
    try:
        code = ptx.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), "kernel.ptx")
        nvjitlink.complete(handle)
        said = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, said)
    finally:
        nvjitlink.destroy(handle)
    return _read(said.decode())


def _read(said: str) -> Resources:
    """Read the linker's line; what it does not name is not used.

    >>> _read("info    : used 40 registers, used 1 barriers, 0 stack, 2048 bytes smem, 16 bytes lmem")
    Resources(registers=40, shared=2048, spilled=16)
    """
    [line] = [line for line in said.splitlines() if re.search(r"used \d+ registers", line)]
    found = (re.search(what, line) for what in (r"used (\d+) registers", r"(\d+) bytes smem", r"(\d+) bytes lmem"))
    return Resources(*(int(number[1]) if number else 0 for number in found))
