"""A downloader for pooch that goes on where it was cut off, and says in words why it could not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__, _files
from .._hash import file_hash

PARTIAL = ".partial"  # the end of the name of what was fetched of a file so far
CHUNK = 2**18  # bytes


class Net(NamedTuple):
    """How things are fetched."""

    timeout: float = 30.0  # seconds without an answer, or without a byte, after which a place is given up
    progress: Callable[[int, int | None], None] = lambda done, total: None  # bytes so far, and of all if that is known


class Broken(Exception):
    """A place did not give the file; the message says why, after the place.  `again`: a part from before was used."""

    again = False


class Resuming:
    """Fetches a URL for `pooch.retrieve`, with what was fetched before beside `target`.

    A part is used only where a published hash will say whether the whole is right, and thrown away when it is not.
    """

    def __init__(self, target: Path, known_hash: str, size: int, net: Net):
        self.partial = target.with_name(f".{target.name.lstrip('.')}{PARTIAL}")
        self.known_hash, self.size, self.net = known_hash, size, net

    def __call__(self, url: str, output_file: Any, pooch: Any = None, check_only: bool = False) -> None:
        """Put what is at `url` into `output_file`.  Raises `Broken`."""
        with _files.explained(self.partial):
            had = self._had()
            if not (had and had == self.size):
                had = self._fetch(url, had)
            self._check(had)
            os.replace(self.partial, output_file)

    def _had(self) -> int:
        """Bytes that are there from before."""
        with suppress(FileNotFoundError):
            had = self.partial.lstat().st_size
            plain = self.partial.is_file() and not self.partial.is_symlink()
            if self.known_hash and plain and (not self.size or had <= self.size):
                return had
            self.partial.unlink()
        return 0

    def _fetch(self, url: str, had: int) -> int:
        """Fetch what is not there yet; returns how much of what was there was used."""
        import requests
        from urllib3.exceptions import HTTPError

        headers = {"Accept-Encoding": "identity", "User-Agent": f"rdu-bench/{__version__}"}
        if had:
            headers["Range"] = f"bytes={had}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.net.timeout) as response:
                used = self._usable(response, had)
                if used is None:  # of another length than the part: begin anew
                    self.partial.unlink()
                    return self._fetch(url, 0)
                self._copy(response, used)
                return used
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise Broken(f"sent nothing for {self.net.timeout:g} s") from error
        except (requests.exceptions.RequestException, HTTPError) as error:
            slow = "timed out" in str(error).lower()
            said = f"sent nothing for {self.net.timeout:g} s" if slow else f"broke off ({_reason(error)})"
            raise Broken(said) from error

    def _usable(self, response: Any, had: int) -> int | None:
        """Bytes of the part that the answer goes on from; None where it cannot."""
        if response.status_code == 416 and had:
            return None
        if response.status_code == 206 and had:
            span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            return had if span and int(span[1]) == had else None
        if response.status_code != 200:
            raise Broken(f"answers {response.status_code} {response.reason}".rstrip())
        return 0  # it has not heard of ranges

    def _copy(self, response: Any, done: int) -> None:
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        if self.size and total is not None and total != self.size:
            raise Broken(f"would send {total:,} bytes, and {self.size:,} were published")
        with self.partial.open("ab" if done else "wb") as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                done += len(chunk)
                if self.size and done > self.size:
                    raise Broken(f"sent more than the {self.size:,} bytes that were published")
                file.write(chunk)
                self.net.progress(done, total or self.size or None)
        if done < (total or self.size):
            raise Broken(f"broke off after {done:,} of {total or self.size:,} bytes")

    def _check(self, used: int) -> None:
        """Raises `Broken`, and throws away what was fetched, where its hash is another than the published one."""
        if not self.known_hash:
            return
        found = file_hash(self.partial, self.known_hash.partition(":")[0])
        if found != self.known_hash:
            self.partial.unlink()
            broken = Broken(f"sent {found}")
            broken.again = used > 0
            raise broken


def _reason(error: BaseException) -> str:
    """The innermost reason of an error of the network, in a few words."""
    while inner := getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, Exception)), None):
        if not isinstance(inner, BaseException):
            break
        error = inner
    said = getattr(error, "strerror", None) or str(error).rpartition(": ")[2] or type(error).__name__
    return " ".join(str(said).split())[:120]
