"""The parts of a run: each is done once, kept as a file of figures, and read from there the next time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import controls as ct
from case_studies import smollm2
from case_studies.files import kept
from case_studies.part_of_speech import plan as planned
from case_studies.part_of_speech import readers
from case_studies.part_of_speech.plan import LABEL_CONTROLS, LADDER, RUNGS, UNTRAINED, Plan
from case_studies.part_of_speech.text import Sentence
from controls.probes.from_torch import TorchTrainer

PROBE = ct.probes.RidgeProbe(alpha=100.0, dtype="float32")
_FOLDS = 3  # of the probes that are trained by Adam
_SMOL_RUNGS = ("initialised", "spectrum")


def parts_of(plan: Plan, sentences: Sequence[Sentence], folder: Path) -> dict[str, Callable[[], Any]]:
    """Return every part of a run by its name, in the order in which they are done."""
    parts: dict[str, Callable[[], Any]] = {"labels": lambda: _swept(plan.layers, sentences, LABEL_CONTROLS, plan.draws)}
    for name, control in (LADDER | {name: RUNGS[name] for name in plan.rungs}).items():
        draws = plan.draws if name in LADDER else plan.few
        layers = plan.layers[1:] if name in planned.ABOVE_EMBEDDINGS else plan.layers
        parts[f"weights/{name}"] = functools.partial(_swept, layers, sentences, (control,), draws)
    for name, hidden in {"linear": 0, **{f"MLP {size}": size for size in plan.hidden}}.items():
        parts[f"probes/{name}"] = functools.partial(_probed, plan, sentences, hidden)
    for name in UNTRAINED:
        parts[f"difference/{name}"] = functools.partial(_difference, plan, sentences, name)
    parts["difference/MLP"] = functools.partial(_difference, plan, sentences, "all but the embeddings", mlp=True)
    if plan.smol_sentences and smollm2.is_installed():
        parts["smollm2"] = lambda: _smollm2(plan, sentences, folder)
    return parts


def run_parts(parts: Mapping[str, Callable[[], Any]], folder: Path) -> dict[str, Any]:
    """Do what the folder does not have yet, and return the figures of all parts by name."""
    done = {}
    for number, (name, work) in enumerate(parts.items(), 1):
        print(f"{number} of {len(parts)}: {name}", flush=True)
        path = folder / "parts" / f"{name.replace('/', '_').replace(' ', '_')}.json"
        done[name] = kept(path, lambda work=work: {"figures": work()})
    return done


def _swept(
    layers: Sequence[str], sentences: Sequence[Sentence], controls: Sequence[ct.Control], draws: int
) -> dict[str, Any]:
    """Return what a probe reads at every layer beside controls, by task, layer and control."""
    return _sweep_all(readers.read_minilm(sentences, layers), controls, draws)


def _sweep_all(problems: Mapping[str, ct.Problem], controls: Sequence[ct.Control], draws: int) -> dict[str, Any]:
    found = {}
    for task, problem in problems.items():
        swept = ct.sweep(PROBE, problem, controls=controls, scoring="accuracy", draws=draws)
        found[task] = {site: _figures(swept[site], swept.adjusted_p, site) for site in swept}
    return found


def _figures(result: ct.Result, adjusted: Mapping[str, Mapping[str, float]], site: str) -> dict[str, Any]:
    """Return a result's figures: the score, and per control its mean, the selectivity and the p-values."""
    controls = {
        c.description: {
            "mean": c.control_mean,
            "draws": [round(float(score), 5) for score in c.control_scores],
            "selectivity": [c.selectivity.value, c.selectivity.low, c.selectivity.high],
            "p": c.p_value,
            "p_floor": c.p_floor,
            "p_adjusted": adjusted.get(c.control, {}).get(site, c.p_value),
            "verdict": str(c.verdict.value),
        }
        for c in result.comparisons
    }
    made = result.provenance
    return {"score": result.score, "rows": made.n, "units": made.n_units, "controls": controls}


def _trainer(hidden: int, epochs: int) -> TorchTrainer:
    """Return a linear softmax probe (0) or one with a hidden layer, both trained in the same way."""
    return TorchTrainer(functools.partial(_module, hidden), epochs=epochs, lr=1e-3, loss="cross_entropy")


def _module(hidden: int, d: int, outputs: int) -> Any:
    import torch

    scaled = torch.nn.LayerNorm(d, elementwise_affine=False)
    if not hidden:
        return torch.nn.Sequential(scaled, torch.nn.Linear(d, outputs))
    layers = (torch.nn.Linear(d, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))
    return torch.nn.Sequential(scaled, *layers)


def _probed(plan: Plan, sentences: Sequence[Sentence], hidden: int) -> dict[str, Any]:
    """Return what one trained probe reads beside control tasks, by task and layer."""
    found: dict[str, Any] = {}
    for task, problem in readers.read_minilm(sentences, plan.probe_layers).items():
        swept = ct.sweep(
            _trainer(hidden, plan.epochs), problem, controls=LABEL_CONTROLS[:1], scoring="accuracy", draws=plan.few,
            cv=_FOLDS,
        )  # fmt: skip
        found[task] = {site: _figures(swept[site], {}, site) for site in swept}
    return found


def _difference(plan: Plan, sentences: Sequence[Sentence], against: str, mlp: bool = False) -> dict[str, Any]:
    """Return how much more selective MiniLM is than untrained ones at the last of the probes' layers, by task."""
    layer = plan.probe_layers[-1]
    found = {}
    for task, problem in readers.read_minilm(sentences, (layer,)).items():
        few = plan.few if mlp else plan.draws
        trainer, cv = (_trainer(plan.hidden[0], plan.epochs), _FOLDS) if mlp else (PROBE, None)
        made = ct.difference_in_differences(
            trainer, problem.at(layer), labels=LABEL_CONTROLS[0], against=UNTRAINED[against], scoring="accuracy",
            draws=few, model_draws=few, cv=cv,
        )  # fmt: skip
        found[task] = {
            "layer": layer,
            "estimate": [made.estimate.value, made.estimate.low, made.estimate.high],
            "trained": list(made.trained_scores),
            "redrawn": list(made.redrawn_scores),
            "redrawn_selectivities": [round(float(value), 5) for value in made.redrawn],
            "p": made.p_value,
            "p_floor": made.p_floor,
            "verdict": str(made.verdict.value),
            "components": cast(Any, made.components_frame()).to_dict("records"),
        }
    return found


def _smollm2(plan: Plan, sentences: Sequence[Sentence], folder: Path) -> dict[str, Any]:
    problems = readers.read_smollm2(sentences[: plan.smol_sentences], planned.SMOL_LAYERS, folder)
    controls = [*LABEL_CONTROLS, *(LADDER[name] for name in _SMOL_RUNGS)]
    return _sweep_all(problems, controls, plan.few)
