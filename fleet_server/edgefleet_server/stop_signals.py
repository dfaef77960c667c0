"""Wait for the signal that ends a process, and never miss it."""

from __future__ import annotations

import os
import signal

STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """From its making on, SIGTERM and SIGINT are kept until somebody waits for them. For the main thread.

    A signal's Python handler runs between two bytecodes of whatever the main thread does. So a handler that sets a
    ``threading.Event`` can find the event's lock held by the very wait that it should end; and a signal that comes
    just before a blocking call would be seen only after it. The descriptor of ``signal.set_wakeup_fd`` is written by
    the C handler itself, hence a read of it returns whenever the signal comes.
    """

    def __init__(self) -> None:
        self._read, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written)
        for number in STOPPING:
            signal.signal(number, lambda *_: None)

    def wait(self) -> signal.Signals:
        """Block until one of the signals came, then tell which."""
        while (number := os.read(self._read, 1)[0]) not in STOPPING:
            pass
        return signal.Signals(number)
