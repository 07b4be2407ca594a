"""The error figure: how far the outputs of networks are from what they should be, zeros and ones apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from controls.core.errors import InputError
from controls.ground_truth.networks import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def error_figure(networks: Mapping[str, Network]) -> Figure:
    """Return a figure of the share of outputs whose error is at least so large, zeros and ones in panels of their own.

    Parameters
    ----------
    networks : mapping of name to Network
        A line each.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig(path)``. Made without pyplot.

    Notes
    -----
    Zeros are many and ones few: together, the errors of the ones would not be seen.

    Examples
    --------
    >>> from controls.ground_truth import AllPairs, Descent
    >>> task = AllPairs(16, m=6, descent=Descent(p=4, equal_mass=True, steps=50))
    >>> figure = error_figure({"trained": task.trained(0), "frozen": task.frozen(0)})
    >>> [axes.get_title() for axes in figure.axes]
    ['targets of 0', 'targets of 1']
    """
    from matplotlib.figure import Figure

    if not networks:
        raise InputError("networks must hold at least one network, got none.")
    figure = Figure(figsize=(7.0, 2.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    found = {name: network.errors() for name, network in networks.items()}
    for which, (axes, title) in enumerate(zip(panels, ("targets of 0", "targets of 1"), strict=True)):
        for name, errors in found.items():
            sizes = np.sort(np.abs(errors[which]))
            axes.step(sizes, 1 - np.arange(len(sizes)) / len(sizes), where="pre", label=name)
        axes.set(title=title, xlabel="absolute error", yscale="log", xlim=(0, None))
    panels[0].set_ylabel("share of outputs at least so far off")
    panels[0].legend(frameon=False)
    return figure
