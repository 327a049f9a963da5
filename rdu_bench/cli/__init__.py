"""The command line: how it starts, how it ends, and what it says then.  The verbs are loaded when they are needed.

Exit codes: 0 all fine, 1 some points failed, are invalid or are missing, or the machine stands in the way, 2 usage or
nothing selected, 130 interrupted.  With RDU_BENCH_DEBUG set, every error is followed by its traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

# errors that users can mend, by name: importing the classes would import torch
MENDABLE = (
    "SuiteError",
    "PluginError",
    "DataError",
    "ScaffoldError",
    "CheckError",
    "LookupError",
    "ArchiveError",
    "TableError",
    "SubmissionError",
    "VectorsError",
)
PLACES = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)  # so are wrong places
MACHINE = ("EngineError", "MemoryError")  # exit code 1, as for other trouble of the system: what is finished is kept


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, by default that of this process, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # none, or none of a file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with _signals() as stopped:
        code = _outcome(args, stopped)
    sys.exit(code)


def _outcome(args: Sequence[str] | None, stopped: list[int]) -> int:
    try:
        from .app import app

        code = app(args=None if args is None else list(args), prog_name="rdu-bench", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return _interrupted() if stopped or code == 130 else code if isinstance(code, int) else 0
    except BrokenPipeError:  # `rdu-bench models | head`
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:  # in the middle of an import, an interrupt may look like anything
        return _interrupted() if stopped else _explain(error)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Ctrl-C, SIGTERM and SIGHUP raise `KeyboardInterrupt`; gives the list of those that came.

    What the caller ignores, as `nohup` does SIGHUP, stays ignored.
    """
    stopped: list[int] = []

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        raise KeyboardInterrupt

    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        with suppress(ValueError):  # not in the main thread
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted() -> int:
    _tell("interrupted; every finished point is kept, and the same command goes on from here")
    return 130


def _explain(error: BaseException) -> int:
    """Say what users can mend, and what the system refused, in a sentence; all else with its traceback."""
    kind = type(error).__name__
    if isinstance(error, KeyboardInterrupt) or kind == "Abort":
        return _interrupted()
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if os.environ.get("RDU_BENCH_DEBUG"):
        _traceback(error)
    if hasattr(error, "format_message"):  # typer's own: a wrong option or argument
        text = error.format_message()
        if "extra argument" in text and getattr(getattr(error, "ctx", None), "info_name", "") == "run":
            text += "; name a suite with --suite"
        _tell(text if text.startswith("Usage") else f"rdu-bench: {text}")
        return 2
    if kind in MENDABLE or isinstance(error, PLACES):
        said = _words(error)
        _tell(f"rdu-bench: {' '.join(said.splitlines()) if kind == 'DataError' else said}")  # names hold line breaks
        return 2
    if kind in MACHINE or isinstance(error, OSError):
        _tell(f"rdu-bench: {_words(error)}")
        return 1
    if not os.environ.get("RDU_BENCH_DEBUG"):
        _traceback(error)
    _tell(f"rdu-bench: this is a fault of the program ({kind}); please report it with what `rdu-bench doctor` prints")
    return 1


def _words(error: BaseException) -> str:
    """An error as a sentence: those of the system name the file and what is wrong with it."""
    if isinstance(error, MemoryError):
        return "memory ran out; every finished point is kept. Try fewer workers (-j)"
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename is not None else error.strerror


def _tell(text: str) -> None:
    from .._text import one_line, say

    with suppress(OSError, ValueError):  # nobody listens any more
        for line in text.splitlines():
            indent = line[: len(line) - len(line.lstrip(" "))]
            say(indent + one_line(line), sys.stderr)


def _traceback(error: BaseException) -> None:
    import traceback

    with suppress(OSError, ValueError):
        traceback.print_exception(error)
