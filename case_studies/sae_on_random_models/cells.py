"""One cell of the table: a model, a text, and what two SAEs find in it, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import controls as ct
from case_studies.sae_on_random_models.plan import MODELS, REAL, TEXTS, TRAINED, Plan
from controls.core.rng import stream

SAES = 2  # seeds of each
_HELD_OUT = 4  # every fourth window is scored, the others train


def problem_of(model: Any, tokens: np.ndarray, plan: Plan) -> ct.Problem:
    """Return a model's activations at several layers, a row a token; windows are the unit."""
    return ct.from_model(model, tokens, layers=list(plan.layers), pooling="token")


def cell(
    problem: ct.Problem, model: str, text: str, seed: int, sae: ct.finders.SAE, decoders: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the scores of one cell, a record for each layer.

    Parameters
    ----------
    problem : Problem
        The trained model on the real text.
    model, text : str
        Names of ``MODELS`` and ``TEXTS``: what is drawn anew, once for this cell.
    seed : int
        Which trained model, or draw, it is, and the seed of all that is drawn.
    sae : SAE
        What is trained, twice.
    decoders : dict of str to array
        The decoders that the trained model's SAEs found on the real text, by layer: written in their own cell.
    """
    drawn = problem
    for kind, control in (("text", TEXTS[text]), ("model", MODELS[model])):
        if control is not None:
            drawn = control.draw(drawn, stream(seed, "sae_on_random_models", kind, model, text))
    held_out = drawn.codes(drawn.unit or "sequence") % _HELD_OUT == 0
    records = []
    for layer in problem.sites:
        at = drawn.at(layer)
        train, test = at.take(np.flatnonzero(~held_out)), at.take(np.flatnonzero(held_out))
        rngs = [stream(seed, "sae_on_random_models", "sae", model, text, layer, each) for each in range(SAES)]
        found = ct.finders.train_many([sae] * SAES, [train] * SAES, rngs)
        if (model, text) == (TRAINED, REAL):
            decoders[layer] = found[0].decoder
        records.append(
            {"model": model, "text": text, "layer": layer, "seed": seed, **_scores(found, test, decoders[layer])}
        )
    return records


def _scores(found: list[Any], test: ct.Problem, trained: np.ndarray) -> dict[str, float]:
    """Return the scores of a cell: means over its SAEs, and what they have in common."""
    each = [_of_one(one, test) for one in found]
    scores = {name: float(np.mean([of_one[name] for of_one in each])) for name in each[0]} | {
        "stability": ct.metrics.SeedStability()(found, test),
        # Of the trained cell itself, its second seed: what another seed of the same SAE agrees by.
        "like_trained": ct.metrics.MMCS(trained)(found[1], test),
    }
    return {name: round(float(score), 5) for name, score in scores.items()}


def _of_one(found: Any, test: ct.Problem) -> dict[str, float]:
    entropy = ct.metrics.TokenEntropy()(found, test)
    excess = ct.metrics.TokenEntropy(correction="shuffle", draws=2)(found, test)
    return {
        "explained": ct.metrics.explained_variance(found, test),
        "entropy": entropy,
        "excess": excess,
        "share": entropy / (entropy - excess),  # of the entropy that the same activations have on other rows
        "alive": 1 + ct.metrics.neg_dead_share(found, test),
    }
