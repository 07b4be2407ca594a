"""train_stream: SAEs on activations that are read once, as they come."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from controls.core.errors import ControlsWarning, InputError, InputTypeError
from controls.core.validate import whole_number
from controls.finders.sae import SAE, HeldSAE, UntrainedSAE, shared_settings

if TYPE_CHECKING:
    from controls.finders.autoencoder import SparseAutoencoder


def train_stream(
    trainers: SAE | HeldSAE | Sequence[SAE | HeldSAE],
    batches: Iterable[Any],
    rngs: np.random.Generator | Sequence[np.random.Generator],
    *,
    checkpoint: str | PathLike[str] | None = None,
    every: int = 500,
) -> SparseAutoencoder | list[SparseAutoencoder]:
    """Train an SAE, or several side by side, on a stream of activations.

    Parameters
    ----------
    trainers : SAE, or sequence of SAE
        Several see the same rows; they may differ in ``k`` and ``sparsity``.
    batches : iterable of array or tensor of shape (any number, d)
        Read as training goes on, and never twice. Rows are mixed among four training batches. A stream that ends
        before ``steps`` are taken ends the training, with a warning and a remark in the finding.
    rngs : numpy.random.Generator, or one for each trainer
    checkpoint : path, optional
        A file that keeps the training as it goes. The same call, with the same stream from its beginning,
        goes on from there, to the same numbers; items that were read are passed over. A stream of other first rows is
        refused; one that differs later is not noticed.
    every : int
        Steps between checkpoints.

    Returns
    -------
    SparseAutoencoder, or list of them

    Raises
    ------
    InputError
        A stream of less than one batch, items of another width, settings that differ.
    TrainerError
        NaN or infinite values midway; training diverged.
    StoreError
        A checkpoint that is damaged, or of another training.

    Notes
    -----
    Scales, means and starts are taken from the first rows, as many as four training batches have. Memory:
    those rows, beside the SAEs.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> stream = (rng.normal(size=(100, 4)) for _ in range(10))
    >>> ct.finders.train_stream(ct.finders.SAE(8, k=2, steps=20, batch_size=32), stream, rng).decoder.shape
    (8, 4)
    """
    from controls.finders._training import train_on_stream

    if isinstance(trainers, UntrainedSAE):
        raise InputError("trainers must take steps to read a stream; fit an untrained SAE to some rows.")
    several = not isinstance(trainers, (SAE, HeldSAE))
    listed = tuple(trainers) if several else (trainers,)  # type: ignore[arg-type]
    own = tuple(rngs) if isinstance(rngs, Sequence) else (rngs,)
    if not listed or len(own) != len(listed):
        raise InputError(f"rngs must be as many as trainers ({len(listed)}), and at least one, got {len(own)}.")
    shared = shared_settings([each if isinstance(each, SAE) else each.sae for each in listed])
    if shared.reads or shared.writes:
        raise InputError("trainers must name no sites where activations are a stream, which has one only.")
    whole_number(every, "every", low=1)
    found = train_on_stream(listed, _iterator(batches), own, checkpoint=checkpoint, every=every)
    return found if several else found[0]


def _iterator(batches: Any) -> Iterator[Any]:
    try:
        return iter(batches)
    except TypeError:
        raise InputTypeError(
            f"batches must be an iterable of activations (rows, d), got {type(batches).__name__}."
        ) from None


def ran_dry(step: int, steps: int, batch_size: int) -> tuple[str, ...]:
    """Return what to say of a stream that ended before the training did, and warn; refuse one without a step."""
    if step >= steps:
        return ()
    if step == 0:
        raise InputError(f"batches must give at least batch_size = {batch_size} rows, ran dry before; give more rows.")
    words = f"the stream of activations ran dry after {step} of {steps} steps, before lr had fallen"
    warnings.warn(f"{words}; give more rows, or fewer steps.", ControlsWarning, stacklevel=3)
    return (words,)
