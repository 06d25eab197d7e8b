"""What every explorer is made of: sliders over a function that draws figures."""

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display


def explorer(draw, controls):
    """Sliders above the figures that ``draw(**values)`` returns."""
    for name, control in controls.items():
        control.description = control.description or name
        control.continuous_update = False  # a figure takes longer than a mouse's move
        if not isinstance(control, ipywidgets.ToggleButtons):
            control.layout.width = "32rem"  # for the names of networks and layers

    def show(**values):
        for figure in draw(**values):
            display(figure)
            plt.close(figure)

    return ipywidgets.VBox([*controls.values(), ipywidgets.interactive_output(show, controls)])
