"""The suite: every world with a known answer, with the control or probe that must find that answer."""
