"""What TFLite Micro's structures take on a 32-bit processor.

A layout names the fields of a C structure in order: ``b`` one byte (also bool and enumerations, which arm-none-eabi-gcc
makes as short as they go), ``h`` two, ``i`` four (also float, pointers and size_t), ``d`` eight (also int64).
Sizes and alignments follow the procedure call standard for Arm (AAPCS32, section 5); Xtensa's are the same but for
enumerations.
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
EVAL_TENSOR: Final = "iib"
TENSOR: Final = "bi" + "ii" + "i" + "i" + "i" + "b" + "b" + "b"
AFFINE_QUANTIZATION: Final = "iii"
NODE_AND_REGISTRATION: Final = "iiiiiii" + "i"


def sizeof(layout: str) -> int:
    """Bytes of a structure, padding included."""
    size = 0
    for field in layout:
        size = align(size, _WIDTHS[field]) + _WIDTHS[field]
    return align(size, alignof(layout))


def alignof(layout: str) -> int:
    """The alignment of a structure: that of its widest field."""
    return max(_WIDTHS[field] for field in layout)
