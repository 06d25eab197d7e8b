"""A picture whose points can be clicked, or reached by the Tab key and chosen by Enter."""

import io
from collections.abc import Callable, Sequence

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

STYLE = """<style>
.rra-picture { position: relative; overflow: visible; }
.rra-picture > img { display: block; width: 100%; height: auto; }
.rra-picture > .rra-point { position: absolute; width: 14px; height: 14px; min-width: 0; margin: -7px 0 0 -7px;
  padding: 0; border-radius: 50%; background: transparent; }
.rra-picture > .rra-point:hover, .rra-picture > .rra-point:focus { outline: 2px solid currentColor; }
</style>"""


class Points(ipywidgets.Box):
    """Shows a figure with a button on each of its points; ``choose(**values)`` is called with the values of a point."""

    children: Sequence[ipywidgets.Widget]  # of the box

    def __init__(self, choose: Callable[..., object]) -> None:
        self.choose = choose
        self.buttons: dict[tuple, ipywidgets.Button] = {}  # by the point's values
        self.image = ipywidgets.Image(format="png", layout={"display": "none"})
        super().__init__([ipywidgets.HTML(STYLE), self.image])
        self.add_class("rra-picture")

    def show(self, figure: Figure, points: pd.DataFrame) -> None:
        """``points``: a table with ``x``, ``y`` as shares of the figure, from below; its other columns are values."""
        file = io.BytesIO()
        figure.savefig(file, dpi=100)
        self.image.value, self.image.layout.display = file.getvalue(), "block"
        self.image.layout.width = f"{figure.get_size_inches()[0] * 100:.0f}px"
        self.layout.width = self.image.layout.width
        chosen = points.drop(columns=["x", "y"]).to_dict("records")
        known = len(self.buttons)
        for place, values in zip(zip(points["x"], points["y"]), chosen):
            button = self._button(values)
            button.layout.left, button.layout.top = f"{100 * place[0]:.2f}%", f"{100 * (1 - place[1]):.2f}%"
        if len(self.buttons) > known:
            self.children = [*self.children[:2], *self.buttons.values()]

    def _button(self, values):
        key = tuple(values.items())
        if key not in self.buttons:
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            self.buttons[key] = ipywidgets.Button(tooltip=told)
            self.buttons[key].add_class("rra-point")
            self.buttons[key].on_click(lambda _: self.choose(**values))
        return self.buttons[key]
