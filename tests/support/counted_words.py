"""Runs machine code in the emulated Pi between marks: each list of A64 words as a function of its own.

Called with a JSON file: the number of the first mark, and the lists. Region ``i`` lies between the marks 2 i and
2 i + 1.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

RET = 0xD65F03C0
_ROUNDS = 12  # CPython is steady after eight


def executable(words: list[int]) -> mmap.mmap:
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(struct.pack(f"<{len(words) + 1}I", *words, RET))
    return memory


def function(memory: mmap.mmap) -> Callable[[], object]:
    return ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    null = os.open(os.devnull, os.O_RDONLY)
    for index, words in enumerate(job["functions"]):
        memory = executable(words)
        call = function(memory)
        for number in [0] * _ROUNDS + [job["mark"] + 2 * index]:
            os.lseek(null, number, os.SEEK_SET)
            call()
            os.lseek(null, number + 1, os.SEEK_SET)


if __name__ == "__main__":
    main()
