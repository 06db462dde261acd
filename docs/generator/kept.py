"""What takes long to make is kept in `.docs_cache/`, under a hash of all that it depends on.

So the tests and the documentation of one state execute each lesson and draw each figure once.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".docs_cache"
LIBRARIES = ("ipykernel", "matplotlib", "numba", "numpy", "scipy", "sympy")
"""What results and figures depend on besides this repository."""


def kept(name: str, key: str, make: Callable[[], str]) -> str:
    """Return a text from the cache, or make it and keep it; what was kept under that name before is dropped."""
    file = CACHE / f"{name}-{key}"
    if not file.exists():
        text = make()
        CACHE.mkdir(exist_ok=True)
        for outdated in CACHE.glob(f"{name}-{'?' * len(key)}"):
            outdated.unlink(missing_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)  # another process never sees half a text
    return file.read_text(encoding="utf-8")


def key_of(files: Iterable[Path]) -> str:
    """Return a hash of some files, both packages and the libraries."""
    digest = hashlib.sha256(packages())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def packages() -> bytes:
    """Return a hash of both packages and of the libraries."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in LIBRARIES).encode())
    for folder in (ROOT / "ref" / "attlas_ref", ROOT / "accel" / "attlas"):
        for source in sorted([*folder.rglob("*.py"), *folder.rglob("*.npz")]):
            digest.update(str(source.relative_to(folder)).encode() + source.read_bytes())
    return digest.digest()
