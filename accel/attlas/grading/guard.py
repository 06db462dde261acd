"""What a student's code may not do in its process: import other packages, read files, start programs.

An audit hook is asked by the interpreter itself and cannot be taken off. It is no prison: somebody who knows CPython
well finds a way around it, and then finds nothing, since the expected results are in another process.
"""

import sys
from typing import Any

DENIED = (
    *("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "pty."),
    *("os.kill", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chdir"),
    *("os.chmod", "os.chown", "shutil.", "tempfile.", "socket.", "urllib.", "http.", "ftplib.", "smtplib.", "ssl."),
    *("resource.", "mmap.", "winreg.", "_winapi.", "gc.get_", "sys.settrace", "sys.setprofile", "webbrowser."),
)
"""The first letters of events that are no part of computing an array."""
WRITES = 0b11
"""The bits of the flags of `open` that are not 0 unless a file is opened for reading alone."""


SITE = ("/site-packages/", "/dist-packages/")
"""Where other packages are, which may be a folder inside of the standard library's."""


def guard(packages: tuple[str, ...], library: tuple[str, ...], modules: frozenset[str]) -> None:
    """From now on only these folders can be read, and only these packages imported.

    Parameters
    ----------
    packages, library : tuples of str
        The folders of the allowed packages and of the standard library, each ending with its separator.
    modules : frozenset of str
        The modules that the student may import.

    Notes
    -----
    What an allowed package does inside itself (Numba compiles by way of ctypes) is its own affair.
    """

    def of_library(file: str) -> bool:
        return file.startswith(library) and not any(site in file.replace("\\", "/") for site in SITE)

    def by_package(frame: Any) -> bool:
        """Whether an allowed package asks, by itself or through the standard library."""
        while frame is not None:
            file = frame.f_code.co_filename
            if not (file.startswith("<frozen ") or of_library(file)):
                return bool(file.startswith(packages))
            frame = frame.f_back
        return False

    def may_open(path: Any, flags: Any) -> bool:
        if isinstance(path, bytes):
            path = path.decode("utf-8", "replace")
        if not isinstance(path, str) or ".." in path or not isinstance(flags, int) or flags & WRITES:
            return False
        return path.startswith(packages) or of_library(path)

    def hook(event: str, details: tuple[Any, ...], frame_of: Any = sys._getframe) -> None:
        if event == "import":
            top = details[0].partition(".")[0]
            if top not in modules and not by_package(frame_of(1)):
                raise ImportError(f"{top} may not be imported here")
        elif event == "open":
            if not may_open(details[0], details[2]):
                if frame_of(1).f_code.co_filename.startswith("<frozen importlib"):  # as if it were not installed
                    raise ImportError("this package may not be imported here")
                raise PermissionError(f"files may not be opened here: {details[0]}")
        elif event.startswith("ctypes."):
            if not by_package(frame_of(1)):
                raise PermissionError("ctypes may not be used here")
        elif event == "compile":  # a name of a package's file would let code pass for that package
            asking = frame_of(1)
            named = str(details[1]).startswith(packages)
            if named and not asking.f_code.co_filename.startswith("<frozen ") and not by_package(asking):
                raise PermissionError("code may not be given the name of a package's file")
        elif event.startswith(denied):
            raise PermissionError(f"{event} may not be used here")

    denied = DENIED
    sys.addaudithook(hook)
