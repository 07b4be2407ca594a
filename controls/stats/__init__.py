"""Statistics: p-values, intervals, verdicts, many claims at once."""
