"""Figures show the numbers of their record, and leave the caller's settings alone."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np

from controls import report
from controls.report import palette


def test_the_figure_shows_every_draw_the_score_and_the_selectivity(build: Any) -> None:
    result = build.result()
    figure = report.plot(result)
    panels = [axes for axes in figure.axes if axes.lines]
    assert len(panels) == len(result.comparisons)
    for axes, comparison in zip(panels, result.comparisons, strict=True):
        drawn = [np.sort(np.asarray(line.get_xdata(), dtype=float)) for line in axes.lines]
        mean, estimate = comparison.control_mean, comparison.selectivity
        wanted = [
            np.sort(comparison.control_scores),
            [result.score],
            [result.score_estimate.low, result.score_estimate.high],
            [mean, mean],
            [mean + result.smallest_effect] * 2,
            [mean + estimate.low, mean + estimate.high],
            mean + np.array(comparison.bounds),
        ]
        for values in wanted:
            assert any(len(x) == len(values) and np.allclose(x, values) for x in drawn), values
        low, high = axes.get_xlim()
        assert low < min(map(np.min, drawn))
        assert high > max(map(np.max, drawn))
        (below,) = axes.child_axes
        np.testing.assert_allclose(np.array(below.get_xlim()) + mean, (low, high))


def test_dots_that_share_a_place_do_not_cover_one_another(build: Any) -> None:
    same = build.comparison(control_scores=np.repeat([0.5, 0.6], [30, 3]), draws=33)
    (axes,) = (axes for axes in report.plot(build.result(same)).axes if axes.lines)
    (dots,) = (line for line in axes.lines if len(np.asarray(line.get_xdata())) == 33)
    assert len({(x, y) for x, y in dots.get_xydata()}) == 33
    assert np.abs(np.asarray(dots.get_ydata()) - 1.0).max() < 0.5


def test_a_sweep_figure_shows_scores_means_and_ranges(build: Any) -> None:
    sweep = build.sweep()
    figure = report.plot(sweep)
    assert len(figure.axes) == 2
    for axes, control in zip(figure.axes, ("ShuffleLabels", "ControlTask"), strict=True):
        drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
        pairs = [(result.score, result[control].control_mean) for result in sweep.results.values()]
        for values in zip(*pairs, strict=True):
            assert any(len(y) == 5 and np.allclose(y, values) for y in drawn)
        filled = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 1]
        passed = [line.get_markerfacecolor() == palette.LIGHT.observed for line in filled]
        assert passed == [p <= 0.05 for p in sweep.adjusted_p[control].values()]


def test_plots_leave_the_settings_of_the_caller_alone(build: Any) -> None:
    before = dict(mpl.rcParams.copy())
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is untouched is the point
    report.plot(build.result())
    report.as_html(build.sweep())
    assert dict(mpl.rcParams.copy()) == before
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
