"""Ctrl-C and SIGTERM: the first asks the run to stop in order, the second stops it at once.

The handler never raises while the coordinator touches the journal or the contract's names; it
raises only where the run says that it may, around what can be thrown away whole.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

EXIT = 130


class Interrupted(KeyboardInterrupt):
    """The user or the system asked the run to stop; only the runner catches it."""


class Stop:
    """Whether the run was asked to stop; `watching` installs the handlers.

    Examples
    --------
    >>> stop = Stop(lambda: None)
    >>> stop.asked
    False
    """

    def __init__(self, at_once: Callable[[], None]) -> None:
        self.asked = False
        self._may_raise = False
        self._at_once = at_once

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block (main thread only, as Python demands)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that may be left at any instruction, because nothing of it is kept."""
        if self.asked:
            raise Interrupted
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise = False

    def check(self) -> None:
        """Raise `Interrupted` if the run was asked to stop."""
        if self.asked:
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            self._at_once()
            os._exit(EXIT)
        self.asked = True
        if self._may_raise:
            self._may_raise = False
            raise Interrupted
