"""A thread that does one thing again and again, sooner when woken; errors are logged, not fatal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edgefleet_contract.errors import EdgefleetError

_log = logging.getLogger(__name__)


class Worker:
    """Runs ``act`` every ``interval`` seconds, and at once after :meth:`wake`.

    Args:
        name: Of the thread, for logs.
        act: What to do; raising an exception only delays the next time.
        interval: Seconds.
    """

    def __init__(self, name: str, act: Callable[[], object], interval: float) -> None:
        self._act = act
        self._interval = interval
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Do it now."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is being done, then end. Safe to call when it never began."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._act()
            except EdgefleetError as error:
                _log.error("worker=%s will try again: [%s] %s", self._thread.name, error.code, error.text())
            except Exception:  # noqa: BLE001 - the border of the thread: it is logged, and tried again
                _log.exception("worker=%s failed and will try again", self._thread.name)
            self._woken.wait(self._interval)
