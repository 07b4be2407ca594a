"""Controls on weights, put to networks whose answer is known: verdicts, sizes, and the laws of their draws."""

from controls.testing.suite import weights_sizes, weights_verdicts

CASES = (*weights_verdicts.CASES, *weights_sizes.CASES)
