"""SVG elements as text; every attribute and every text is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, *children: Markup, **attributes: object) -> Markup:
    """One element; ``text_anchor`` becomes ``text-anchor``, ``class_`` becomes ``class``, and None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(children)}</{name}>")  # noqa: S704 - every part of it is escaped


def text(content: str, **attributes: object) -> Markup:
    """A text element."""
    return element("text", escape(content), **attributes)


def title(content: str) -> Markup:
    """What a browser shows over the element that this stands in."""
    return element("title", escape(content))


def picture(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The whole drawing; it shrinks with the page and is described to those who cannot see it."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
