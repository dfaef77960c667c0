"""Signal to noise against bytes: one panel a subject, as an SVG file for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup

from benchmarks.quantisers import Outcome, Result
from edgefleet_compiler.report.pictures.svg import element, text, title

_PANEL, _HEIGHT = 300.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 16.0, 56.0, 44.0
_PANELS_A_ROW = 2
_MOST_DB = 40.0
"""What is truer is hardly quantised: it would push all others together."""

_STYLE = """
text { font: 12px sans-serif; fill: #24292f } .soft { fill: #57606a } line { stroke: #8c959f; stroke-width: .6 }
.edgefleet { --c: #0969da } .onnxruntime { --c: #bc4c00 } .ai-edge-quantizer { --c: #1a7f37 }
.TFLiteConverter { --c: #8250df } .magnitude { --c: #cf222e }
circle, rect { stroke: var(--c); fill: var(--c); fill-opacity: .35; stroke-width: 1.6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #9198a1 } line { stroke: #6e7681 }
  .edgefleet { --c: #4493f8 } .onnxruntime { --c: #f0883e } .ai-edge-quantizer { --c: #3fb950 }
  .TFLiteConverter { --c: #ab7df8 } .magnitude { --c: #ff7b72 }
}
"""


def draw(outcomes: Sequence[Outcome]) -> Markup:
    """All panels, with a legend above them."""
    makers = dict.fromkeys(result.contender.maker for outcome in outcomes for result in outcome.results)
    rows = -(-len(outcomes) // _PANELS_A_ROW)
    panels = [
        element(
            "g",
            *_panel(outcome),
            transform=f"translate({index % _PANELS_A_ROW * _PANEL} {index // _PANELS_A_ROW * _HEIGHT + 30})",
        )
        for index, outcome in enumerate(outcomes)
    ]
    width, height = _PANELS_A_ROW * _PANEL, rows * _HEIGHT + 30
    return element(
        "svg",
        element("style", Markup(_STYLE)),  # noqa: S704 - a constant of ours
        *_legend(list(makers)),
        *panels,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        aria_label="signal to noise ratio against bytes of int8 models, by compiler",
    )


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """The picture as a file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{draw(outcomes)}\n")


def _legend(makers: Sequence[str]) -> Iterable[Markup]:
    x = 12.0
    for maker in makers:
        yield element("circle", cx=x, cy=16, r=5, class_=maker)
        yield text(maker, x=x + 10, y=20)
        x += 26 + 7 * len(maker)
    yield text("○ .tflite   □ .onnx", x=x, y=20, class_="soft")


def _panel(outcome: Outcome) -> Iterable[Markup]:
    shown = [(result, ratio) for result in outcome.results if (ratio := result.score.sqnr_db) is not None]
    shown = [(result, ratio) for result, ratio in shown if ratio <= _MOST_DB]
    bytes_, ratios = _Axis([result.bytes for result, _ in shown]), _Axis([ratio for _, ratio in shown])

    def place(result: Result, ratio: float) -> tuple[float, float]:
        x = _LEFT + bytes_.share(result.bytes) * (_PANEL - _LEFT - _RIGHT)
        return x, _TOP + (1 - ratios.share(ratio)) * (_HEIGHT - _TOP - _BOTTOM)

    floor, right = _HEIGHT - _BOTTOM, _PANEL - _RIGHT
    yield text(outcome.subject.name, x=_LEFT, y=_TOP - 22)
    yield text("SQNR c, dB", x=_LEFT, y=_TOP - 8, class_="soft")
    yield element("line", x1=_LEFT, x2=right, y1=floor, y2=floor)
    yield element("line", x1=_LEFT, x2=_LEFT, y1=_TOP, y2=floor)
    for value, y in ((ratios.low, floor), (ratios.high, _TOP)):
        yield text(f"{value:.0f}", x=_LEFT - 6, y=y + 4, text_anchor="end", class_="soft")
    for value, x, anchor in ((bytes_.low, _LEFT, "start"), (bytes_.high, right, "end")):
        yield text(f"{value / 1000:.0f} kB", x=x, y=floor + 18, text_anchor=anchor, class_="soft")
    for result, ratio in shown:
        yield _mark(result, *place(result, ratio), ratio)
    beyond = [result.contender for result in outcome.results if result.contender.is_ours]
    beyond = [each for each in beyond if each not in [result.contender for result, _ in shown]]
    if beyond:
        names = ", ".join(dict.fromkeys(each.setting for each in beyond))
        yield text(f"not shown: {names}, hardly quantised", x=right, y=_TOP - 8, text_anchor="end", class_="soft")


def _mark(result: Result, x: float, y: float, ratio: float) -> Markup:
    told = title(f"{result.contender.name}, .{result.contender.format}: {result.bytes:,} bytes, {ratio:.1f} dB")
    if result.contender.format == "tflite":
        return element("circle", told, cx=x, cy=y, r=5, class_=result.contender.maker)
    return element("rect", told, x=x - 4.5, y=y - 4.5, width=9, height=9, class_=result.contender.maker)


class _Axis:
    """A scale with room at both ends."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        room = 0.08 * (high - low) or 1.0
        self.low, self.high = low - room, high + room

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)
