"""The workbench: makes each hub once a scheme and each artifact once a recipe, however many targets ask for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir
from msgspec import structs

from edgefleet_compiler.compress.record import CompressionRecord
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.exports import Exported, export, export_kept, pruned_losslessly
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.passes.record import PassRecord, recorded
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.recipe.form import QUANTISING, STATIC
from edgefleet_compiler.source import Source
from edgefleet_contract.errors import RecipeUnfit

_NARROW = (ir.DataType.INT8, ir.DataType.INT4)


@dataclass(frozen=True)
class Artifact:
    """What came of a recipe.

    Attributes:
        recipe: What was done.
        hub: What was exported; None for a quantised TFLite source that left as TFLite.
        float_hub: What that was made of, node by node; None as above.
        exported: The file, its costs and its needs.
        passes: What was done to the float hub, in order.
        compress: What was taken away of the float model first; None for nothing.
    """

    recipe: Recipe
    hub: ir.Model | None
    float_hub: ir.Model | None
    exported: Exported
    passes: tuple[PassRecord, ...]
    compress: CompressionRecord | None = None

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return self.exported.data

    @property
    def file_name(self) -> str:
        """What the file is called in the output folder and in the bundle."""
        return f"model.{self.recipe.format}"


class Workbench:
    """Makes artifacts of one source model.

    Args:
        source: The model.
        calibration: Typical inputs; only the int8 scheme needs them.
        progress: Told of what takes long.

    Attributes:
        hubs: Makes what is exported.
    """

    def __init__(self, source: Source, calibration: DataSet | None, progress: Progress) -> None:
        self._source = source
        self.hubs = HubMaker(source, calibration, progress)
        self._artifacts: dict[tuple[str, int | None], Artifact] = {}

    @property
    def calibration_warnings(self) -> list[str]:
        """What a person should know of the calibration set; nothing before it was used."""
        return self.hubs.calibrator.warnings

    def build(self, recipe: Recipe, *, max_opset: int | None) -> Artifact:
        """The artifact of a recipe, or the float one where the recipe's scheme changes nothing of the model.

        Args:
            recipe: What to do.
            max_opset: The newest opset that the target's runtime takes; None for other formats than ONNX.

        Raises:
            OperatorUnsupported: The format does not have all operators.
            RecipeUnfit: Integer inputs or outputs were asked for, and one stays in float.
            DataMalformed: A case of the calibration set cannot be used.
        """
        key = (recipe.to_toml(), max_opset)
        if key not in self._artifacts and self._stays_lowered(recipe):
            self._artifacts[key] = self._build_kept(recipe)
        if key not in self._artifacts:
            made = self.hubs.make(recipe)
            if not _is_changed(made.hub, recipe):
                return self._build_unchanged(recipe, max_opset=max_opset)
            records = list(made.passes)
            with recorded(records, f"export {recipe.format}", "the artifact"):
                exported = export(made.hub, recipe, max_opset=max_opset)
            if recipe.lossless and recipe.format == "tflite":
                exported = _pruned(exported, records)
            self._artifacts[key] = Artifact(recipe, made.hub, made.float_hub, exported, tuple(records), made.compress)
        return self._artifacts[key]

    def _stays_lowered(self, recipe: Recipe) -> bool:
        return recipe.scheme == SCHEME and recipe.format == "tflite" and self._source.lowered is not None

    def _build_kept(self, recipe: Recipe) -> Artifact:
        """The artifact of a quantised TFLite source that leaves as TFLite, with nothing lost."""
        assert self._source.lowered is not None
        records: list[PassRecord] = []
        with recorded(records, f"export {recipe.format}", "the artifact, with the source's integers"):
            exported = export_kept(self._source.lowered, recipe.io)
        if recipe.lossless:
            exported = _pruned(exported, records)
        return Artifact(recipe, None, None, exported, tuple(records))

    def build_float(self, like: Recipe, *, max_opset: int | None) -> Artifact:
        """The float model in the format of another recipe, for instance to time that one's artifact against."""
        plain = Recipe(scheme="float", format=like.format, io="float", io_layout=like.io_layout, seed=like.seed)
        return self.build(plain, max_opset=max_opset)

    def _build_unchanged(self, recipe: Recipe, *, max_opset: int | None) -> Artifact:
        if recipe.io == "int8":
            raise RecipeUnfit(
                "No layer of the model has an int8 form, so that its inputs and outputs cannot be int8",
                expected="layers such as convolutions or fully connected ones, with constant weights",
                remedy="Compile it with --recipe float, for a target that runs float32.",
                recipe=recipe.scheme,
            )
        plain = structs.replace(recipe, scheme="float", quantise=None)  # compressed as the recipe says
        return self.build(plain, max_opset=max_opset)


def _pruned(exported: Exported, records: list[PassRecord]) -> Exported:
    """A TFLite artifact without channels that provably never matter; recorded where it has any to look at."""
    own: list[PassRecord] = []
    with recorded(own, "prune losslessly", "no change"):
        exported = pruned_losslessly(exported)
    if exported.pruned is not None:
        lost = len(exported.pruned.removal.kept)
        records += [replace(own[0], effect=f"channels of {lost} activations")] if lost else own
    return exported


def _is_changed(hub: ir.Model, recipe: Recipe) -> bool:
    """Whether anything in the hub is of the scheme that it was made by."""
    if recipe.scheme in STATIC:
        return any(node.op_type == "QuantizeLinear" for node in hub.graph)
    if recipe.scheme in QUANTISING:
        return any(value.dtype in _NARROW for value in hub.graph.initializers.values())
    if recipe.scheme == "fp16":
        return any(value.dtype == ir.DataType.FLOAT16 for value in hub.graph.initializers.values())
    return True
