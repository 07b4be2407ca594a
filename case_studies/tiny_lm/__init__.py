"""A tiny language model trained on the standard library's source, six times over."""
