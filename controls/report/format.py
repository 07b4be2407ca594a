"""How numbers are written: the only file in which a number of a record becomes text."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "not available"
_SMALLEST_P = 1e-6


def decimals_for(values: Iterable[float]) -> int:
    """Return how many decimals to show: three, more where all values are small, one where they are large.

    Examples
    --------
    >>> decimals_for([0.912, 0.5]), decimals_for([0.004, -0.001]), decimals_for([5210.4])
    (3, 5, 1)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest == 0.0:
        return 3
    return 1 if largest >= 1000 else min(9, max(3, 2 - math.floor(math.log10(largest))))


def number(value: float, decimals: int = 3) -> str:
    """Return a score with fixed decimals and a true minus sign; words where it is not a number.

    Examples
    --------
    >>> number(0.91234), number(-0.5), number(float("nan"))
    ('0.912', '−0.500', 'not available')
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{decimals}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return text.lstrip("-") if is_zero else text.replace("-", "−")


def exact(value: float) -> str:
    """Return a number for programs: every digit, so that reading it back gives the same number.

    Examples
    --------
    >>> exact(1 / 3), exact(199)
    ('0.3333333333333333', '199')
    """
    return repr(value if isinstance(value, int) else float(value))


def interval(low: float, high: float, decimals: int = 3, *, approximate: bool = False) -> str:
    """Return an interval in brackets, with ≈ where it is approximate; words where the design allows none.

    Examples
    --------
    >>> interval(0.38, 0.44), interval(float("nan"), float("nan")), interval(0.1, 0.2, approximate=True)
    ('[0.380, 0.440]', 'not available', '≈[0.100, 0.200]')
    """
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{'≈' if approximate else ''}[{number(low, decimals)}, {number(high, decimals)}]"


def probability(value: float) -> str:
    """Return a probability with three significant digits, never 0; trailing zeros only where it was rounded.

    Examples
    --------
    >>> probability(0.005), probability(0.050041), probability(1 / 3), probability(1.0), probability(1e-9)
    ('.005', '.0500', '.333', '1', '<.000001')
    """
    if math.isnan(value):
        return MISSING
    if value < _SMALLEST_P:
        return "<.000001"
    if value >= 0.9995:
        return "1" if value >= 1.0 else ">.999"
    text = f"{value:.{2 - math.floor(math.log10(value))}f}"
    if math.isclose(float(text), value, rel_tol=1e-9):
        text = text.rstrip("0")
    return text.lstrip("0")


def probability_range(low: float, high: float) -> str:
    """Return an interval of a probability, whose lower end may be 0."""
    return f"[{'0' if low == 0.0 else probability(low)}, {probability(high)}]"


def percent(share: float) -> str:
    """Return a level such as 0.95 as ``95%``.

    Examples
    --------
    >>> percent(0.95), percent(1 - 2 * 0.05), percent(0.998)
    ('95%', '90%', '99.8%')
    """
    return f"{100 * share:.4g}%"


def count(value: float) -> str:
    """Return a whole number with separators.

    Examples
    --------
    >>> count(21148)
    '21,148'
    """
    return f"{value:,.0f}"


def count_of_log(log_value: float) -> str:
    """Return a count given by its natural logarithm: in full up to a million, then as a power of ten.

    Examples
    --------
    >>> count_of_log(math.log(20)), count_of_log(1000.0)
    ('20', 'about 10^434')
    """
    if log_value <= math.log(1e6):
        return count(round(math.exp(log_value)))
    return f"about 10^{log_value / math.log(10):.0f}"


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours.

    Examples
    --------
    >>> duration(0.42), duration(75.0), duration(7300.0)
    ('0.4 s', '1.2 min', '2.0 h')
    """
    if math.isnan(seconds):
        return MISSING
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
