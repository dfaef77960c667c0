"""Asking for blocks: so many at a time, again when they do not come, and only for what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edgefleet_agent.clock import Clock
from edgefleet_agent.download import Download, Downloads
from edgefleet_agent.jitter import Backoff
from edgefleet_contract import blocks
from edgefleet_contract.blocks import Block
from edgefleet_contract.errors import HashMismatch
from edgefleet_contract.trust import FileReference

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_MOST_PATIENCE_S = 60.0
_WHOLE_TRIES = 3  # downloads of a file whose blocks come in the wrong form, before it is given up


class Fetcher:
    """Fetches the files of one assignment, one after the other.

    Args:
        downloads: Where they go.
        ask: Sends a request for blocks of a file; it may get lost.
        clock: For the patience with blocks that do not come.
    """

    def __init__(self, downloads: Downloads, ask: Callable[[str, list[int]], None], clock: Clock) -> None:
        self._downloads = downloads
        self._ask = ask
        self._clock = clock
        self._backoff = Backoff(_PATIENCE_S, _MOST_PATIENCE_S)
        self._waiting: list[FileReference] = []
        self._current: Download | None = None
        self._outstanding: set[int] = set()
        self._deadline = 0.0
        self._tries = 0

    def begin(self, references: list[FileReference]) -> bool:
        """Fetch these files, and no others.

        Returns:
            Whether all of them are here already.

        Raises:
            DiskFailed: The disk does not take them.
        """
        self._downloads.keep_only(references)
        self._waiting = [reference for reference in references if self._downloads.finished(reference) is None]
        return self._next_file()

    def keep_only(self, references: list[FileReference]) -> None:
        """Fetch nothing any more, and remove whatever belongs to other files.

        Raises:
            DiskFailed: Something cannot be removed.
        """
        self._waiting, self._current = [], None
        self._downloads.keep_only(references)

    def finished(self, reference: FileReference) -> Path | None:
        """The whole file, if it is here."""
        return self._downloads.finished(reference)

    def take(self, block: Block) -> bool:
        """Take a block that came.

        Returns:
            Whether with it the last file became whole.

        Raises:
            HashMismatch: A file came wrong more often than chance explains.
            DiskFailed: The disk does not take it.
        """
        if self._current is None or not self._current.take(block):
            return False
        self._outstanding.discard(block.index)
        self._backoff.reset()
        if self._current.is_complete:
            return self._finish_file(self._current)
        if len(self._outstanding) <= blocks.WINDOW // 2:
            self._ask_for_more()
        return False

    def ask_again(self) -> None:
        """Take everything asked for as lost, and ask anew."""
        self._outstanding.clear()
        self._ask_for_more()

    def tick(self) -> None:
        """Ask again when patience is at its end."""
        if self._current is not None and self._clock.monotonic() >= self._deadline:
            self._current.flush()
            self.ask_again()

    def _next_file(self) -> bool:
        if not self._waiting:
            self._current = None
            return True
        reference = self._waiting[0]
        self._current = self._downloads.begin(reference)
        self._tries = 0
        log.info("download begins sha256=%s bytes=%d", reference.sha256, reference.bytes)
        if self._current.is_complete:
            return self._finish_file(self._current)
        self.ask_again()
        return False

    def _finish_file(self, download: Download) -> bool:
        try:
            download.finish()
        except HashMismatch:
            self._tries += 1
            if self._tries >= _WHOLE_TRIES:
                raise
            log.warning("download damaged sha256=%s tries=%d", download.reference.sha256, self._tries)
            self.ask_again()
            return False
        log.info("download complete sha256=%s", download.reference.sha256)
        self._waiting.pop(0)
        return self._next_file()

    def _ask_for_more(self) -> None:
        if self._current is None:
            return
        credit = blocks.WINDOW - len(self._outstanding)
        wanted = [i for i in self._current.missing(blocks.WINDOW) if i not in self._outstanding][:credit]
        if wanted:
            self._outstanding.update(wanted)
            self._ask(self._current.reference.sha256, wanted)
        self._deadline = self._clock.monotonic() + self._backoff.next()
