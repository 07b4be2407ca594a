"""Networks: every control's verdict on five of them, a frozen twin, and attention heads."""

from controls.testing.suite import networks_causal, networks_data, networks_weights, trained

CASES = (*networks_data.CASES, *networks_weights.CASES, *networks_causal.CASES, *trained.CASES)
