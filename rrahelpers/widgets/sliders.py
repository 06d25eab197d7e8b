"""What every explorer is made of: controls beside the figures that a plain function draws."""

import html
from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from rrahelpers.widgets.points import Points

WIDTH = "15rem"  # of a control


class Explorer(ipywidgets.HBox):
    """Controls, and beside them the figures that ``draw`` returns for their values.

    Above the figures stands the call that draws them, to be copied into another cell.

    Parameters
    ----------
    draw: a plain function of the controls' values that returns figures.
    controls: {name of its parameter: widget}; a widget's description, else the name, stands above it.
    note: a line below the controls.
    points: a function of the first figure and of the controls' values that returns a table of points to be clicked:
        ``x``, ``y`` as shares of the figure, and a column for each control that a click sets.
    """

    def __init__(self, draw: Callable[..., Iterable[Figure]], controls: dict[str, ipywidgets.ValueWidget],
                 note: str = "", points: Callable[..., pd.DataFrame] | None = None) -> None:
        self.draw, self.controls, self.points, self.waiting = draw, controls, points, False
        self.call, self.picture = ipywidgets.HTML(), Points(self.choose)
        column = []
        for name, control in controls.items():
            column += [ipywidgets.Label(control.description or name), control]
            control.tooltip, control.description = control.description or name, ""
            control.continuous_update = False  # a figure takes longer than a mouse's move
            control.layout.width = WIDTH
            control.add_class(f"control-{name}")
        column.append(ipywidgets.HTML(f'<div style="font-size: 85%; line-height: 1.3">{html.escape(note)}</div>'))
        shown = ipywidgets.VBox([self.call, self.picture, ipywidgets.interactive_output(self.show, controls)],
                                layout={"flex": "1 1 30rem", "min_width": "0"})
        super().__init__([ipywidgets.VBox(column, layout={"flex": f"0 0 {WIDTH}"}), shown],
                         layout={"flex_flow": "row wrap"})

    def show(self, **values: Any) -> None:
        """Draw the figures, with a bar for as long as that takes."""
        if self.waiting:
            return
        call = html.escape(f"explorer.draw({', '.join(f'{name}={value!r}' for name, value in values.items())})")
        text = f'<code style="user-select: all; line-height: 1.4" title="a click selects it">{call}</code>'
        self.call.value = f"{text} <progress></progress>"
        try:
            for number, figure in enumerate(self.draw(**values)):
                if number == 0 and self.points:
                    self.picture.show(figure, self.points(figure, **values))
                else:
                    display(figure)
                plt.close(figure)
        finally:
            self.call.value = text

    def choose(self, **values: Any) -> None:
        """Set several controls, and draw once."""
        changed = [name for name, value in values.items() if self.controls[name].value != value]
        for name in changed:
            self.waiting = name != changed[-1]
            self.controls[name].value = values[name]
