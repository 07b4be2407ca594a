"""Runner: makes the plan, runs it, and hands back what every draw scored."""
