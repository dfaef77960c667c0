"""The arena that a model takes in TFLite Micro: what must be allocated for it, and what is used in the end.

Every allocation that ``MicroInterpreter`` makes from its construction to the end of ``AllocateTensors`` is made here
too, in the same order and with the same alignment: persistent ones from the tail, temporary ones above the head. Then
nothing has to be fitted or added for safety. The source is tensorflow/tflite-micro at 90b983c2 (``micro_allocator.cc``,
``micro_allocation_info.cc``, ``micro_interpreter.cc``, ``arena_allocator/single_arena_buffer_allocator.cc``), built
for a 32-bit processor without compression of weights.

Modelled: the allocator's own objects, evaluation tensors, nodes, parsed options, the data that kernels keep, scratch
buffers, quantisation of inputs and outputs, temporary tensors while kernels prepare, the tables of the planner while
it plans, and the plan itself, its own or the file's. Not modelled: variables (state), several subgraphs, resource
variables, and what kernels listed in ``MicroArena.unmodelled`` keep, as those do whose requests are not known for
int16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.lowered.lifetimes import lifetimes, tensor_bytes
from edgefleet_compiler.memory.greedy import Buffer, align, extent, place
from edgefleet_compiler.memory.tflite_micro import structures
from edgefleet_compiler.memory.tflite_micro.kernels import KERNELS, Build
from edgefleet_compiler.memory.tflite_micro.requests import knows_type, requests_of
from edgefleet_compiler.memory.tflite_micro.structures import alignof, sizeof

ALIGNMENT: Final = 16  # MicroArenaBufferAlignment()
_SCRATCH_BUFFERS_PER_OPERATOR: Final = 12  # kMaxScratchBuffersPerOp: room that is kept for the next kernel's requests


@dataclass(frozen=True)
class MicroArena:
    """What a model takes of a tensor arena that starts at a multiple of 16.

    Attributes:
        bytes: The smallest arena, a multiple of 16, with which AllocateTensors and Invoke succeed.
        used_bytes: What ``arena_used_bytes()`` then reports, which forgets what was needed only while planning.
        planned_bytes: The head: activations and scratch buffers.
        persistent_bytes: The tail: all that stays for the life of the interpreter.
        unmodelled: Kinds of operators whose kernels' own data is not known here, or not for int16, sorted.
    """

    bytes: int
    used_bytes: int
    planned_bytes: int
    persistent_bytes: int
    unmodelled: tuple[str, ...]


class _Arena:
    """The state of ``SingleArenaBufferAllocator``: a head that grows up, temporaries above it, a tail that grows down.

    Attributes:
        head: Bytes of the head.
        tail: Bytes of the tail.
        needed: The smallest arena in which all allocations so far would have succeeded.
    """

    def __init__(self, enum_bytes: int) -> None:
        self._enum_bytes = enum_bytes
        self.head = 0
        self.tail = 0
        self.needed = 0
        self._temporary = 0

    def persistent(self, size: int, alignment: int = ALIGNMENT) -> None:
        self.tail = align(self.tail + size, alignment)
        self._note(self.tail + max(self.head, self._temporary))

    def structure(self, layout: str, count: int = 1) -> None:
        self.persistent(self.sizeof(layout) * count, alignof(layout, self._enum_bytes))

    def sizeof(self, layout: str) -> int:
        return sizeof(layout, self._enum_bytes)

    def temporary_structure(self, layout: str, count: int = 1) -> None:
        self.temporary(self.sizeof(layout) * count, alignof(layout, self._enum_bytes))

    def temporary(self, size: int, alignment: int) -> None:
        self._temporary = align(self._temporary, alignment) + size
        self._note(self.tail + self._temporary)

    def temporary_for_planner(self, size: int) -> None:
        """Both ends of what is left are aligned before the planner gets it."""
        self._note(align(self.tail, ALIGNMENT) + align(self._temporary, ALIGNMENT) + size)

    def resize_head(self, size: int) -> None:
        """Drop the temporaries and set the head."""
        self.head = self._temporary = size
        self._note(self.tail + self.head)

    def _note(self, bytes_in_use: int) -> None:
        self.needed = max(self.needed, bytes_in_use)


def plan_arena(
    graph: LoweredGraph, build: Build, *, backwards: bool = False, offsets: Mapping[str, int] | None = None
) -> MicroArena:
    """Make every allocation that TFLite Micro makes for a model.

    Args:
        graph: As it stands in the ``.tflite`` file: each tensor of the graph is one of the file.
        build: The kernels, and the instructions they are compiled for.
        backwards: Whether the file numbers its tensors in the order opposite to execution.
        offsets: Where all activations lie, if the file says so; scratch buffers are then placed around them.
    """
    arena = _Arena(build.enum_bytes)
    _create_allocator(arena)
    _start_model(arena, graph)
    scratch = _prepare_kernels(arena, graph, build)
    planned = _plan(arena, graph, scratch, backwards=backwards, offsets=offsets)
    for side in (graph.inputs, graph.outputs):
        arena.persistent(4 * len(side))
        for name in side:
            _persistent_tensor(arena, graph.tensors[name])
    return MicroArena(
        bytes=align(arena.needed, ALIGNMENT),
        used_bytes=arena.tail + arena.head,
        planned_bytes=planned,
        persistent_bytes=arena.tail,
        unmodelled=tuple(sorted({operator.kind for operator in graph.operators if not _is_modelled(operator, graph)})),
    )


def _is_modelled(operator: Operator, graph: LoweredGraph) -> bool:
    return operator.kind in KERNELS and knows_type(operator, graph)


def _create_allocator(arena: _Arena) -> None:
    arena.structure(structures.SINGLE_ARENA_BUFFER_ALLOCATOR)
    arena.structure(structures.GREEDY_MEMORY_PLANNER)
    arena.structure(structures.MICRO_ALLOCATOR)


def _start_model(arena: _Arena, graph: LoweredGraph) -> None:
    arena.structure(structures.BUILTIN_DATA_ALLOCATOR)
    _room_for_requests(arena, 0)
    arena.structure(structures.SUBGRAPH_ALLOCATIONS)
    arena.structure(structures.EVAL_TENSOR, len(graph.tensors))
    arena.structure(structures.NODE_AND_REGISTRATION, len(graph.operators))
    for operator in graph.operators:
        kernel = KERNELS.get(operator.kind)
        if kernel is not None and kernel.options:
            arena.structure(kernel.options)


def _prepare_kernels(arena: _Arena, graph: LoweredGraph, build: Build) -> list[Buffer]:
    """Init of all kernels, then Prepare of each; the scratch buffers that they ask for."""
    for operator in graph.operators:
        kernel = KERNELS.get(operator.kind)
        data = "" if kernel is None else kernel.data_in(build)
        if data:
            arena.persistent(arena.sizeof(data))
    scratch: list[Buffer] = []
    for step, operator in enumerate(graph.operators, start=1):
        for name in (*operator.inputs, *operator.outputs):
            if name is not None:
                _temporary_tensor(arena, graph.tensors[name])
        requests = requests_of(operator, graph, build)
        for size in requests.persistent:
            arena.persistent(size)
        scratch += [Buffer(align(size, ALIGNMENT), step, step) for size in requests.scratch]
        _room_for_requests(arena, len(scratch))
    if scratch:
        arena.structure(structures.SCRATCH_BUFFER_HANDLE, len(scratch))
    return scratch


def _room_for_requests(arena: _Arena, made: int) -> None:
    arena.resize_head(arena.sizeof(structures.SCRATCH_BUFFER_REQUEST) * (made + _SCRATCH_BUFFERS_PER_OPERATOR))


def _plan(
    arena: _Arena, graph: LoweredGraph, scratch: list[Buffer], *, backwards: bool, offsets: Mapping[str, int] | None
) -> int:
    """Plan activations and scratch buffers together; how far the plan reaches."""
    entries = len(graph.tensors) + len(scratch)
    arena.temporary_structure("i")  # the offset of the one subgraph's tensors
    arena.temporary_structure(structures.ALLOCATION_INFO, entries)
    for name in graph.states:
        arena.persistent(tensor_bytes(graph.tensors[name]))
    spans = lifetimes(graph)
    buffers = [
        Buffer(align(tensor_bytes(graph.tensors[name]), ALIGNMENT), first, last)
        for name, (first, last) in spans.items()
    ]
    given = [] if offsets is None else [offsets[name] for name in spans]
    if backwards:
        buffers.reverse()
    buffers += scratch
    arena.temporary_for_planner(arena.sizeof(structures.PLANNED_BUFFER) * len(buffers))
    planned = extent(buffers, place(buffers, given))
    arena.resize_head(planned)
    return planned


def _persistent_tensor(arena: _Arena, tensor: Tensor) -> None:
    arena.structure(structures.TENSOR)
    if tensor.quantisation is not None:
        arena.structure(structures.AFFINE_QUANTIZATION)
        arena.structure("i", 1 + tensor.quantisation.scale.size)


def _temporary_tensor(arena: _Arena, tensor: Tensor) -> None:
    arena.temporary_structure(structures.TENSOR)
    if tensor.quantisation is not None:
        arena.temporary_structure(structures.AFFINE_QUANTIZATION)
        arena.temporary_structure("i", 1 + tensor.quantisation.scale.size)
