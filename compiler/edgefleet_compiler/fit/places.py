"""What speaks for the device, an edge server or a cloud endpoint: sentences that follow from the model's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from edgefleet_compiler.fit.record import Place, TargetFit
from edgefleet_compiler.fit.words import milliseconds, span
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_hardware.speeds import LatencyEstimate
from edgefleet_hardware.units import format_bytes

_SECONDS_PER_DAY = 86_400
_HOURS_PER_DAY = 24
_RADIO_LINK = 1e6  # bit/s, as a poor mobile network gives
_LOCAL_LINK = 1e8  # bit/s, as a wired local network gives
_MANY_MACS = 1_000_000_000  # ten times what fills a second of the fastest microcontrollers


@dataclass(frozen=True)
class ModelFigures:
    """What the places are weighed by.

    Attributes:
        input_bytes, output_bytes: Of one inference.
        macs: Of one inference; None where they cannot be counted.
        takes_images: Whether an input is an image.
    """

    input_bytes: int
    output_bytes: int
    macs: int | None
    takes_images: bool

    @classmethod
    def of(cls, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], macs: int | None) -> ModelFigures:
        """The figures of a model that takes and gives these."""
        return cls(
            input_bytes=sum(_bytes(tensor) for tensor in inputs),
            output_bytes=sum(_bytes(tensor) for tensor in outputs),
            macs=macs,
            takes_images=any(tensor.is_image for tensor in inputs),
        )


def weigh_places(targets: Sequence[TargetFit], model: ModelFigures) -> list[Place]:
    """The three places, each with its reasons.

    Args:
        targets: The answers for the targets, smallest first.
        model: What goes in, comes out and is computed.
    """
    fitting = [fit for fit in targets if fit.fits]
    return [
        Place("device", list(_for_device(fitting, targets, model))),
        Place("edge server", list(_for_edge(targets, model))),
        Place("cloud endpoint", list(_for_cloud(fitting, model))),
    ]


def _for_device(fitting: Sequence[TargetFit], targets: Sequence[TargetFit], model: ModelFigures) -> list[str]:
    if not fitting:
        return ["None of these targets holds the model as it is: it would have to be smaller first."]
    smallest = fitting[0]
    room = ""
    if smallest.cost is not None and smallest.cost.ram_bytes is not None and smallest.ram_limit_bytes:
        share = 100 * smallest.cost.ram_bytes / smallest.ram_limit_bytes
        room = f", where an inference takes {share:.0f} % of {format_bytes(smallest.ram_limit_bytes)} RAM"
    what = "images" if model.takes_images else "raw inputs"
    out, back = format_bytes(model.input_bytes), format_bytes(model.output_bytes)
    return [
        f"{len(fitting)} of {len(targets)} targets hold the model; the smallest is {smallest.target}{room}.",
        _latency_against_link(fitting, model),
        f"Privacy: {what} stay on the device; {back} of results leave it"
        + (f" instead of {out} an inference." if model.output_bytes < model.input_bytes else "."),
        "Connectivity: results come without a network.",
    ]


def _latency_against_link(fitting: Sequence[TargetFit], model: ModelFigures) -> str:
    sending = f"sending an input over 1 Mbit/s takes {milliseconds(_sending(model, _RADIO_LINK))}"
    timed = _timed(fitting)
    if not timed:
        return f"Latency: nobody published figures to estimate it from here; {sending}."
    name, estimate = timed[0]
    return f"Latency: an estimated {span(estimate)} on {name}; {sending}, and the result has to come back."


def _for_edge(targets: Sequence[TargetFit], model: ModelFigures) -> list[str]:
    outside = [fit.target for fit in targets if not fit.fits]
    room = (
        f"Targets that do not hold the model can send their inputs to one that does: {', '.join(outside)}."
        if outside
        else "For want of room no target needs one: each of them holds the model."
    )
    return [
        room,
        f"Latency: over 100 Mbit/s an input takes {milliseconds(_sending(model, _LOCAL_LINK))} to get there.",
        "Privacy: inputs leave the device and stay on the site. Connectivity: the local network has to stand.",
        "Cost: one machine serves many sensors, and one model is updated instead of one a device.",
    ]


def _for_cloud(fitting: Sequence[TargetFit], model: ModelFigures) -> list[str]:
    daily = model.input_bytes * _SECONDS_PER_DAY
    hourly = model.input_bytes * _HOURS_PER_DAY
    reasons = []
    if not fitting:
        reasons.append("Room: as none of these targets holds the model, a server is where it runs.")
    if model.macs is not None:
        much = "that is much for a device" if model.macs >= _MANY_MACS else "that does not take a data centre"
        reasons.append(f"Work: {model.macs / 1e6:,.3g} million multiply-accumulates an inference; {much}.")
    reasons.append(
        f"Cost: a device sends {format_bytes(daily)} a day at an inference a second, and {format_bytes(hourly)} at one "
        "an hour; fewer a day speak for it."
    )
    for name, estimate in _timed(fitting)[:1]:
        reasons.append(
            f"Latency: it is no faster than {name} unless sending, waiting and computing together stay below "
            f"{milliseconds(estimate.high_ms)}."
        )
    what = "images" if model.takes_images else "raw inputs"
    reasons.append(f"Privacy and connectivity speak against it: {what} leave the site, and no network is no result.")
    return reasons


def _timed(fitting: Sequence[TargetFit]) -> list[tuple[str, LatencyEstimate]]:
    """Targets with an estimate, the one with the least memory first."""
    return [(fit.target, fit.cost.latency) for fit in fitting if fit.cost is not None and fit.cost.latency is not None]


def _bytes(tensor: TensorInfo) -> int:
    return prod(tensor.shape) * tensor.dtype.itemsize


def _sending(model: ModelFigures, bits_per_second: float) -> float:
    return model.input_bytes * 8 / bits_per_second * 1000
