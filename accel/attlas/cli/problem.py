"""Errors that a user of the command line can mend: one clear line on stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

UNUSABLE = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What the parser raises: an unknown command, a missing argument, a value of the wrong type."""

WRONG_USE = 2
FAILED = 1


class Problem(Exception):
    """Something that the user can mend; the message is the whole output."""

    def __init__(self, message: str, code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def as_problem(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the errors of the contract, whose messages name the argument and the need, into problems."""
    try:
        yield
    except kinds as error:
        raise Problem(str(error)) from error


class OneLineErrors(TyperGroup):
    """A group of commands whose errors are one line each and never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; exit with its status."""
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except Problem as problem:
            _leave(str(problem), problem.code)
        except typer.Abort:
            _leave("interrupted", 130)
        except BrokenPipeError:  # the reader has seen enough, as in `attlas list | head`; rich ends the same way
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        except Exception as error:
            if isinstance(error, UNUSABLE):
                _leave(error.format_message(), WRONG_USE)  # type: ignore[attr-defined]
            if os.environ.get("ATTLAS_DEBUG"):
                raise
            kind = type(error).__name__
            _leave(f"{kind}: {error} (a fault of attlas; ATTLAS_DEBUG=1 shows where)", FAILED)
        sys.exit(status if isinstance(status, int) else 0)


def _leave(message: str, code: int) -> NoReturn:
    if message:  # `attlas` alone has printed its help and has nothing to add
        print("attlas: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
