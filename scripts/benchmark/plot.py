"""A plot of rate against p99, beside Kamailio's; with matplotlib, which is in the extra `bench`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.rig import BenchError

COLOURS = {"compiled": "tab:blue", "interpreted": "tab:cyan", "kamailio": "tab:orange"}


def draw(points: dict[str, list[list[float]]], machine: str, file: Path) -> None:
    """A PNG. Points are rate, p99 in ms and the share of clean rounds; what was not clean is drawn hollow. Raises
    BenchError."""
    try:
        figures, agg = import_module("matplotlib.figure"), import_module("matplotlib.backends.backend_agg")
    except ImportError:
        raise BenchError("a plot needs matplotlib: pip install sipgw[bench]") from None
    figure = figures.Figure(figsize=(8, 5), dpi=120)
    canvas, axes = agg.FigureCanvasAgg(figure), figure.add_subplot()
    for name, line in points.items():
        _draw_line(axes, name, line)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set(xlabel="calls a second, on one core", ylabel="p99 of INVITE to 200, ms", title=f"UDP\n{machine}")
    axes.title.set_fontsize(8)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    canvas.print_png(str(file))


def _draw_line(axes: Any, name: str, line: list[list[float]]) -> None:
    rates, delays = [point[0] for point in line], [max(point[1], 0.01) for point in line]
    colour = COLOURS.get(name)
    axes.plot(rates, delays, color=colour, label=name, linewidth=1.2)
    for is_clean in (True, False):
        kept = [at for at, point in enumerate(line) if (point[2] > 0.5) is is_clean]
        face = colour if is_clean else "none"
        axes.scatter(
            [rates[at] for at in kept], [delays[at] for at in kept], edgecolors=colour, facecolors=face, zorder=3
        )
