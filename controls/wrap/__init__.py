"""Ways to put controls around what a user already has: an estimator in a pipeline, a training function."""
