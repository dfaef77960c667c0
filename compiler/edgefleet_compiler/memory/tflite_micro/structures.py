"""What TFLite Micro's structures take on a 32-bit processor.

A layout names the fields of a C structure in order: ``b`` one byte (also bool), ``h`` two, ``i`` four (also float,
pointers and size_t), ``d`` eight (also int64), ``e`` an enumeration: one byte where the compiler makes them as short as
they go, as arm-none-eabi-gcc does (AAPCS32, section 5.3), else four. Every field is aligned to its own width.
"""

from __future__ import annotations

from typing import Final

from edgefleet_compiler.memory.greedy import align

_WIDTHS: Final = {"b": 1, "h": 2, "i": 4, "d": 8}

# micro/arena_allocator, micro/memory_planner, micro/micro_allocator.{h,cc}; the first field is the table of virtual
# functions, of which SingleArenaBufferAllocator has two.
SINGLE_ARENA_BUFFER_ALLOCATOR: Final = "iiiiiiiii"
GREEDY_MEMORY_PLANNER: Final = "iiiiiiiiiib"
MICRO_ALLOCATOR: Final = "iiiiibiii"
BUILTIN_DATA_ALLOCATOR: Final = "ii"
SUBGRAPH_ALLOCATIONS: Final = "ii"
SCRATCH_BUFFER_REQUEST: Final = "iii"
SCRATCH_BUFFER_HANDLE: Final = "i"
ALLOCATION_INFO: Final = "iiiiib"
# What GreedyMemoryPlanner::per_buffer_size() adds up: requirements, two sorted lists, a list entry and an offset.
PLANNED_BUFFER: Final = "iiii" + "i" + "i" + "iii" + "i"
# lite/core/c/common.h under TF_LITE_STATIC_MEMORY.
EVAL_TENSOR: Final = "iie"
TENSOR: Final = "ei" + "ii" + "i" + "i" + "i" + "e" + "e" + "b"
AFFINE_QUANTIZATION: Final = "iii"
NODE_AND_REGISTRATION: Final = "iiiiiii" + "i"


def sizeof(layout: str, enum_bytes: int) -> int:
    """Bytes of a structure, padding included.

    Args:
        layout: Its fields.
        enum_bytes: Of an enumeration: 1 or 4.
    """
    size = 0
    for field in layout:
        width = _width(field, enum_bytes)
        size = align(size, width) + width
    return align(size, alignof(layout, enum_bytes))


def alignof(layout: str, enum_bytes: int) -> int:
    """The alignment of a structure: that of its widest field."""
    return max(_width(field, enum_bytes) for field in layout)


def _width(field: str, enum_bytes: int) -> int:
    return enum_bytes if field == "e" else _WIDTHS[field]
