"""How figures look: quiet axes, a colour-blind safe palette, and colours that follow the page's light or dark theme.

matplotlib cannot draw with CSS variables, so every colour is drawn as a key colour of its own and replaced by its
variable in the SVG. The palette is Okabe and Ito's (2008), lightened for dark pages in `style.css`. A notebook has no
such variables: there a figure shows itself in the light colours of that file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# key colour -> CSS variable
_VARIABLES = {
    "#010101": "--ink", "#020202": "--soft", "#030303": "--grid", "#040404": "--wash",
    "#111101": "--c0", "#111102": "--c1", "#111103": "--c2", "#111104": "--c3", "#111105": "--c4", "#111106": "--c5",
    "#111107": "--c6", "#111108": "--c7", "#121201": "--pretrained", "#121202": "--control", "#121203": "--hand",
    "#121204": "--prior",
}  # fmt: skip
INK, SOFT, GRID, WASH = list(_VARIABLES)[:4]
CLASSES = tuple(key for key in _VARIABLES if key.startswith("#1111"))
MODELS = {
    "pretrained": "#121201",
    "random-init": "#121202",
    "scratch": "#121202",
    "hand-features": "#121203",
    "covariates": "#121204",
    "prior": "#121204",
}

WIDE = 9.7  # inches of a figure as wide as the page's column

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 10.0, "axes.titlesize": 10.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.labelsize": 9.5, "axes.labelcolor": SOFT, "axes.edgecolor": GRID,
    "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none",
    "axes.titlecolor": INK, "text.color": INK, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0, "xtick.major.size": 0, "ytick.major.size": 0, "axes.grid": True, "grid.color": GRID,
    "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 9.0,
    "legend.handlelength": 1.2, "lines.linewidth": 1.6, "lines.solid_capstyle": "round", "figure.facecolor": "none",
    "svg.fonttype": "none", "figure.constrained_layout.use": True,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """matplotlib with the page's look; the caller's settings come back afterwards."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that no window system needs to know about."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure


def class_colour(i: int) -> str:
    """Key colour of class `i`; after eight classes they repeat."""
    return CLASSES[i % len(CLASSES)]


def signed_colours() -> Colormap:
    """Red below zero, blue above; zero is transparent, so that a picture follows the page's theme."""
    from matplotlib.colors import LinearSegmentedColormap

    red, blue = (0.78, 0.27, 0.17), (0.0, 0.45, 0.70)
    stops = [(0.0, (*red, 1.0)), (0.5, (*red, 0.0)), (0.5, (*blue, 0.0)), (1.0, (*blue, 1.0))]
    return LinearSegmentedColormap.from_list("signed", stops)


class Drawing(str):
    """Inline SVG of a page. As the value of a notebook cell it is shown as a picture."""

    def __repr__(self) -> str:  # a notebook keeps it beside the picture
        label = re.search(r'aria-label="([^"]*)"', self)
        return f"<figure: {label[1] if label else ''}>"

    def _repr_svg_(self) -> str:
        """A picture of its own: of a fixed size, on white, in the light theme."""
        text = re.sub(r"var\((--\w+)\)", lambda name: _light_theme()[name[1]], self)
        size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
        width, height = (round(float(points) * 96 / 72) for points in size.groups()) if size else (900, 300)
        frame = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        text = text.replace("<svg ", frame, 1).replace('style="', 'style="background:#ffffff;', 1)
        # a notebook keeps every space and digit of it
        text = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), text)
        return re.sub(r">\s+<", "><", text)


@cache
def _light_theme() -> dict[str, str]:
    """CSS variable -> colour, as the page has them before any media query."""
    text = files(__package__ or "").joinpath("style.css").read_text(encoding="utf-8")
    return dict(re.findall(r"(--\w+): (#[0-9a-f]{6})", text[: text.index("@media")]))


def to_svg(figure: Figure, label: str, dots: int = 100) -> Drawing:
    """Inline SVG that names no address, scales with the page and follows its theme.

    dots: an inch, of pictures inside the figure; smooth ones need few.
    """
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": label}):
        unsaid = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(stream, format="svg", dpi=dots, metadata=unsaid)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    width = 96 * figure.get_size_inches()[0]
    text = re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" style="max-width:{width:.0f}px" ', 1)
    # a hundredth of a point is finer than anything shown, and most of a file is digits
    text = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+|\s*\n", r"\1", path[0]), text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", text)  # the page chooses the font
    text = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", text)
    # what is unique in a figure must be unique in the page; what nothing refers to needs no name
    known = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    known = {one or two for one, two in known}
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in known else "", text)
    prefix = re.sub(r"\W+", "-", label.lower())
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    for key, variable in _VARIABLES.items():
        text = text.replace(key, f"var({variable})")
    return Drawing(text)
