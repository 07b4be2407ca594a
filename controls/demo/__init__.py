"""The demo: probes on a real language model and real text, beside their controls. Start at ``run.run``."""
