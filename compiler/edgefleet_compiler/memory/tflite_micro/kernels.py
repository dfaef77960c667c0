"""What the kernels of TFLite Micro keep: parsed options and data of their own, a row for each operator.

The structures are those of tensorflow/tflite-micro at 90b983c2, for int8 and float32 models:
options from ``compiler/mlir/lite/core/c/builtin_op_data.h`` where ``lite/core/api/flatbuffer_conversions.cc`` allocates
them, data from ``micro/kernels/*.h`` and ``micro/kernels/cmsis_nn/*.cc``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from edgefleet_hardware.profile import Kernels


@dataclass(frozen=True)
class Build:
    """How TFLite Micro is built.

    Attributes:
        kernels: Which kernels; those of CMSIS-NN are built for speed (TFLite Micro's default).
        vectors: The widest instructions that CMSIS-NN is compiled for: none, the DSP extension, or MVE (Helium).
        enum_bytes: What the compiler makes of enumerations: 1 for Arm without an operating system, 4 elsewhere.
    """

    kernels: Kernels
    vectors: Literal["none", "dsp", "mve"] = "none"
    enum_bytes: Literal[1, 4] = 1


@dataclass(frozen=True)
class Kernel:
    """The structures of one operator, as layouts (see ``structures``); "" where it has none.

    Attributes:
        options: What is parsed from the operator's options table.
        data: What the reference kernel keeps.
        cmsis_nn: What CMSIS-NN's kernel keeps; None where it is the reference kernel.
    """

    options: str = ""
    data: str = ""
    cmsis_nn: str | None = None

    def data_in(self, build: Build) -> str:
        """The layout of what the kernel keeps."""
        return self.data if build.kernels == "reference" or self.cmsis_nn is None else self.cmsis_nn


_CONVOLUTION = Kernel("eiieiie", "i" * 14, "i" * 15)
_POOL = Kernel("eiiiieiiii", "i" * 8, "i" * 9)
_REDUCTION = Kernel("b", "i" * 11)
_COMPARISON = Kernel("", "iiiiiiib")
_PLAIN = Kernel()
_SOFTMAX_DATA = "d" + "i" * 12
_TRANSPOSE_CONV_DATA = "b" + "h" * 8 + "i" * 9

KERNELS: Final[Mapping[str, Kernel]] = {
    "ABS": Kernel("", "iiiibee"),
    "ADD": Kernel("eb", "b" + "i" * 14),
    "ARG_MAX": Kernel("e"),
    "ARG_MIN": Kernel("e"),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": Kernel("bbb", "iiibbb", "iiibbb" + "iiii" + "i"),
    "BATCH_TO_SPACE_ND": _PLAIN,
    "BROADCAST_TO": _PLAIN,
    "CAST": Kernel("ee"),
    "CEIL": _PLAIN,
    "CONCATENATION": Kernel("ie", "iiiiii"),
    "CONV_2D": _CONVOLUTION,
    "COS": _PLAIN,
    "CUMSUM": Kernel("bb"),
    "DEPTHWISE_CONV_2D": Kernel("eiiieii", _CONVOLUTION.data, _CONVOLUTION.cmsis_nn),
    "DEPTH_TO_SPACE": Kernel("i"),
    "DEQUANTIZE": Kernel("", "di" + "iii"),
    "DIV": Kernel("e", "i" * 7),
    "ELU": Kernel("", "b" * 256),
    "EQUAL": _COMPARISON,
    "EXP": _PLAIN,
    "EXPAND_DIMS": _PLAIN,
    "FILL": _PLAIN,
    "FLOOR": _PLAIN,
    "FLOOR_DIV": _PLAIN,
    "FLOOR_MOD": _PLAIN,
    "FULLY_CONNECTED": Kernel("eebbe", "i" * 11 + "b", "i" * 11 + "b" + "i" * 6),
    "GATHER": Kernel("ii"),
    "GATHER_ND": _PLAIN,
    "GREATER": _COMPARISON,
    "GREATER_EQUAL": _COMPARISON,
    "HARD_SWISH": Kernel("", "hhhihi"),
    "L2_NORMALIZATION": Kernel("e", "i"),
    "L2_POOL_2D": Kernel(_POOL.options),
    "LEAKY_RELU": Kernel("i", "i" * 6),
    "LESS": _COMPARISON,
    "LESS_EQUAL": _COMPARISON,
    "LOG": _PLAIN,
    "LOGICAL_AND": _PLAIN,
    "LOGICAL_NOT": _PLAIN,
    "LOGICAL_OR": _PLAIN,
    "LOGISTIC": Kernel("", "i" * 4),
    "LOG_SOFTMAX": Kernel("", "i" * 7),
    "MAXIMUM": _PLAIN,
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCTION,
    "MINIMUM": _PLAIN,
    "MIRROR_PAD": Kernel("e", "i" * 5),
    "MUL": Kernel("e", "i" * 9),
    "NEG": _PLAIN,
    "NOT_EQUAL": _COMPARISON,
    "PACK": Kernel("ii"),
    "PAD": Kernel("", "biiiiibiiiiib" + "i"),
    "PADV2": Kernel("", "biiiiibiiiiib" + "i"),
    "PRELU": Kernel("", "i" * 7),
    "QUANTIZE": Kernel("", "id" + "iii"),
    "REDUCE_ALL": _REDUCTION,
    "REDUCE_MAX": _REDUCTION,
    "REDUCE_MIN": _REDUCTION,
    "RELU": Kernel("", "bii" + "iiii"),
    "RELU6": Kernel("", "ii"),
    "RESHAPE": Kernel("i" * 9),
    "RESIZE_BILINEAR": Kernel("bb"),
    "RESIZE_NEAREST_NEIGHBOR": Kernel("bb"),
    "REVERSE_V2": _PLAIN,
    "ROUND": _PLAIN,
    "RSQRT": Kernel("", "iiiibee"),
    "SELECT_V2": Kernel("", "b"),
    "SHAPE": Kernel("e"),
    "SIN": _PLAIN,
    "SLICE": _PLAIN,
    "SOFTMAX": Kernel("i", _SOFTMAX_DATA, _SOFTMAX_DATA + "ii"),
    "SPACE_TO_BATCH_ND": Kernel("", "i"),
    "SPACE_TO_DEPTH": Kernel("i"),
    "SPLIT": Kernel("i"),
    "SPLIT_V": Kernel("i"),
    "SQRT": _PLAIN,
    "SQUARE": _PLAIN,
    "SQUARED_DIFFERENCE": Kernel("", "d" + "b" + "i" * 14 + "dd" + "hh" + "i" * 5),
    "SQUEEZE": Kernel("i" * 9),
    "STRIDED_SLICE": Kernel("iiiiib", ("b" + "i" * 5) * 3 + "h" * 5 + "b"),
    "SUB": Kernel("eb", "b" + "i" * 12),
    "SUM": _REDUCTION,
    "SVDF": Kernel("ieb", "i" * 9, "i" * 10),
    "TANH": Kernel("", "i" * 4),
    "TRANSPOSE": _PLAIN,
    "TRANSPOSE_CONV": Kernel("eiiee", _TRANSPOSE_CONV_DATA + "iiii", _TRANSPOSE_CONV_DATA + "iiiii"),
    "UNPACK": Kernel("ii"),
    "ZEROS_LIKE": _PLAIN,
}
