"""The training loop of SAEs: what it starts from, its steps, and what it returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from controls.core.dictionary import side_by_side
from controls.core.errors import InputError, TrainerError
from controls.core.key import content_key
from controls.core.problem import Problem
from controls.core.validate import as_activations, random_generator, read_only
from controls.finders._batches import Batches, Rows, Stream
from controls.finders._checkpoint import Checkpoint
from controls.finders._stack import Rule, Stack
from controls.finders.autoencoder import SparseAutoencoder
from controls.finders.sae import SAE, HeldSAE, UntrainedSAE, settings_of, shared_settings
from controls.finders.streams import ran_dry

_FALLING = 0.2  # share of the steps in which lr falls to 0
_RISING = 0.1  # share of the steps in which the penalty rises from 0
_LEAST_SPREAD = 1e-24  # mean variance, and its inverse the largest, of activations in float32
_ROUNDING = 1e-6  # of float32, relative
_CHECKED = 100  # steps between looks at whether parameters are finite
AnySAE = SAE | HeldSAE | UntrainedSAE


@dataclass(frozen=True, eq=False)
class Scale:
    """How activations are scaled in training, each SAE's in its own way: x · factor."""

    read: Tensor  # (S, d_in)
    written: Tensor  # (S, d_out)


@dataclass(frozen=True, eq=False)
class Data:
    """Activations of one problem: what is read, and what it should give."""

    read: Tensor  # (n, d_in)
    written: Tensor  # (n, d_out); the same object where they are the same
    widths: tuple[int, ...]  # of the sites written
    read_widths: tuple[int, ...]


def train(
    trainers: Sequence[AnySAE], problems: Sequence[Problem | np.ndarray], rngs: Sequence[np.random.Generator]
) -> list[SparseAutoencoder]:
    """Train several SAEs side by side on activations in memory."""
    if not trainers or not len(trainers) == len(problems) == len(rngs):
        raise InputError(
            f"trainers, problems and rngs must be as many, and at least one, got {len(trainers)}, {len(problems)} "
            f"and {len(rngs)}."
        )
    if len({isinstance(trainer, UntrainedSAE) for trainer in trainers}) > 1:
        raise InputError("trainers must all take steps to be trained together, or none must.")
    shared = shared_settings([settings_of(trainer) for trainer in trainers])
    _require_device(shared.device)
    distinct = {id(problem): problem for problem in problems}
    known = {name: _data(shared, problem) for name, problem in distinct.items()}
    data = [known[id(problem)] for problem in problems]
    if len({(part.widths, part.read_widths) for part in data}) > 1:
        raise InputError("problems must have activations of one width to be trained on together, got several.")
    generators = [torch.Generator().manual_seed(int(random_generator(rng).integers(2**63))) for rng in rngs]
    with torch.no_grad():
        means, scale = _moments(shared, data)
        stack = start(trainers, data[0], generators, means, scale)
        scaled = _scaled(data, scale)
        batches = Rows([part[0] for part in scaled], [part[1] for part in scaled], shared.batch_size)
        if not isinstance(trainers[0], UntrainedSAE):
            run(shared, stack, batches, generators)
        elif shared.activation == "batchtopk":
            stack.look(batches.next(generators)[0])  # so that as many latents are active as in training
        return finished(shared, stack, scale)


def train_on_stream(
    trainers: Sequence[SAE | HeldSAE],
    source: Iterator[Any],
    rngs: Sequence[np.random.Generator],
    *,
    checkpoint: str | PathLike[str] | None,
    every: int,
) -> list[SparseAutoencoder]:
    """Train SAEs side by side on rows that are read once."""
    shared = settings_of(trainers[0])
    _require_device(shared.device)
    generators = [torch.Generator().manual_seed(int(random_generator(rng).integers(2**63))) for rng in rngs]
    with torch.no_grad():
        stream = Stream(source, shared.batch_size, shared.device, len(trainers))
        first = stream.first()
        data = [Data(first, first, (first.shape[1],), (first.shape[1],))] * len(trainers)
        _require_spread(first, (first.shape[1],))
        means, scale = _moments(shared, data)
        stream.scale = scale.read[0]
        stack = start(trainers, data[0], generators, means, scale)
        key = content_key([*map(_content, trainers), first.cpu().numpy()]) if checkpoint else ""
        kept = None if checkpoint is None else Checkpoint.at(checkpoint, f"{key}/{_seeds(generators)}", every)
        step = run(shared, stack, stream, generators, kept=kept)
        return finished(shared, stack, scale, ran_dry(step, shared.steps, shared.batch_size))


def _require_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"device must be one that torch has here, such as 'cpu', got {name!r} ({said}).") from None


def _content(trainer: AnySAE) -> Any:
    return (trainer, trainer.directions) if isinstance(trainer, HeldSAE) else trainer


def _seeds(generators: Sequence[torch.Generator]) -> str:
    return content_key([generator.initial_seed() for generator in generators])


def _data(sae: SAE, problem: Problem | np.ndarray) -> Data:
    """Return a problem's activations as tensors."""
    if not isinstance(problem, Problem):
        problem = Problem(as_activations(problem))
    rows = np.arange(problem.n)

    def tensor(sites: tuple[str, ...]) -> Tensor:
        return torch.tensor(side_by_side(problem, sites, rows), dtype=torch.float32, device=sae.device)

    def widths(sites: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(problem.array_at(site).shape[1] for site in sites) if sites else (problem.X.shape[1],)

    read = tensor(sae.reads)
    written = read if sae.writes == sae.reads else tensor(sae.writes)
    data = Data(read, written, widths(sae.writes), widths(sae.reads))
    _require_spread(read, data.read_widths, sae.reads)
    _require_spread(written, data.widths, sae.writes)
    return data


def _require_spread(rows: Tensor, widths: Sequence[int], sites: Sequence[str] = ()) -> None:
    for site, part in zip(sites or ("",), rows.split(tuple(widths), dim=1), strict=True):
        if bool((part == part[0]).all()):
            where = f" at site {site!r}" if site else ""
            raise InputError(
                f"activations must vary for an SAE to be trained on, got {len(rows)} rows that are all alike{where}."
            )


def _moments(sae: SAE, data: Sequence[Data]) -> tuple[tuple[Tensor, Tensor], Scale]:
    """Return the means of what is read and written (S, d), scaled, and the scales."""
    read = torch.stack([_factor(part.read, part.read_widths, sae.normalize) for part in data])
    written = torch.stack([_factor(part.written, part.widths, sae.normalize) for part in data])
    means = (
        torch.stack([part.read.mean(dim=0) for part in data]) * read,
        torch.stack([part.written.mean(dim=0) for part in data]) * written,
    )
    return means, Scale(read, written)


def _factor(rows: Tensor, widths: Sequence[int], normalize: bool) -> Tensor:
    """Return by what columns are multiplied (d,): each site's rows about their mean get mean square length d."""
    factors = [_factor_of(part, normalize) for part in rows.split(tuple(widths), dim=1)]
    return torch.cat([rows.new_full((width,), factor) for factor, width in zip(factors, widths, strict=True)])


def _factor_of(rows: Tensor, normalize: bool) -> float:
    """Return by what a site's rows are multiplied; refuse those whose variance float32 cannot hold."""
    spread, largest = float(rows.var(dim=0, unbiased=False).mean()), float(rows.mean(dim=0).abs().max())
    if not _LEAST_SPREAD < spread < 1 / _LEAST_SPREAD:
        raise InputError(
            f"activations must have a mean variance between {_LEAST_SPREAD:g} and {1 / _LEAST_SPREAD:g} at each site, "
            f"to be trained on in float32, got {spread:.3g}; scale them."
        )
    if normalize and spread <= (_ROUNDING * largest) ** 2:
        raise InputError(
            f"activations must vary for an SAE to be trained on, got a site whose mean is {largest:.3g} and whose "
            f"variance, {spread:.3g}, is rounding; take its mean away in float64, or leave the site out."
        )
    return spread**-0.5 if normalize else 1.0


def _scaled(data: Sequence[Data], scale: Scale) -> list[tuple[Tensor, Tensor]]:
    """Return each SAE's rows, scaled; those that several share once."""
    known: dict[int, tuple[Tensor, Tensor]] = {}
    for part, read, written in zip(data, scale.read, scale.written, strict=True):
        if id(part) not in known:
            inputs = part.read * read
            known[id(part)] = (inputs, inputs if part.written is part.read else part.written * written)
    return [known[id(part)] for part in data]


def start(
    trainers: Sequence[AnySAE],
    data: Data,
    generators: Sequence[torch.Generator],
    means: tuple[Tensor, Tensor],
    scale: Scale,
) -> Stack:
    """Return the stack that training starts from."""
    saes = [settings_of(trainer) for trainer in trainers]
    shared, S, m = saes[0], len(saes), saes[0].n_latents
    d_in, d_out, tied = sum(data.read_widths), sum(data.widths), data.written is data.read
    device = data.read.device
    decoder = torch.stack([_unit(torch.randn(m, d_out, generator=each)) for each in generators]).to(device)
    encoder = decoder.clone() if tied else torch.stack([_unit(torch.randn(m, d_in, generator=g)) for g in generators])
    parameters = {
        "encoder": encoder.to(device),
        "encoder_bias": torch.zeros((S, m), device=device),
        "input_bias": means[0].clone(),
        "decoder": decoder,
        "output_bias": means[1].clone(),
        "threshold": torch.full((S, m), shared.bandwidth, device=device),
    }
    rule = Rule(
        activation=shared.activation,
        k=tuple(sae.k for sae in saes),
        sparsity=tuple(sae.sparsity for sae in saes),
        bandwidth=shared.bandwidth,
        widths=data.widths,
        tied=tied,
    )
    held = _hold(trainers, parameters, scale, tied)
    since = torch.zeros((S, m), dtype=torch.int64, device=device)
    return Stack(rule, parameters, held, since, torch.zeros(S, device=device))


def _hold(
    trainers: Sequence[AnySAE], parameters: dict[str, Tensor], scale: Scale, tied: bool
) -> dict[str, tuple[Tensor, float]]:
    """Put held directions in their places; return them, by part, with how near rows must stay."""
    first = trainers[0]
    if not any(isinstance(trainer, HeldSAE) for trainer in trainers):
        return {}
    ways = {(each.part, each.least_cosine) if isinstance(each, HeldSAE) else None for each in trainers}
    if len(ways) > 1 or not isinstance(first, HeldSAE):
        raise InputError("trainers must all hold the same part to be trained together, or none must.")
    directions = torch.stack([torch.tensor(each.directions) for each in trainers])  # type: ignore[union-attr]
    own = parameters[first.part]
    if directions.shape != own.shape:
        raise InputError(
            f"directions of the {first.part} must have shape {tuple(own.shape[1:])}, got {tuple(directions.shape[1:])}."
        )
    factor = scale.written if first.part == "decoder" else 1 / scale.read
    rows = _unit(directions.to(own) * factor[:, None])
    own.copy_(rows)
    if tied:  # as where nothing is held: the encoder starts as the decoder's transpose
        parameters["encoder" if first.part == "decoder" else "decoder"].copy_(rows)
    return {first.part: (rows.clone(), first.least_cosine)}


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def run(
    sae: SAE,
    stack: Stack,
    batches: Batches,
    generators: Sequence[torch.Generator],
    *,
    kept: Checkpoint | None = None,
) -> int:
    """Take all steps that are not yet taken; return how many were, of which a stream that runs dry has fewer."""
    total = sae.steps
    first = 0 if kept is None else kept.restore(stack, batches, generators)
    for step in range(first, total):
        rows = batches.next(generators)
        if rows is None:
            return step
        penalty = min(1.0, (step + 1) / (_RISING * total))
        error = stack.step(*rows, sae.lr * _pace(step, total, sae.warmup), penalty)
        if sae.dead_after and not stack.held and (step + 1) % sae.dead_after == 0 and step < total // 2:
            stack.revive(*rows, sae.dead_after, generators)
        if (step + 1) % _CHECKED == 0 or step + 1 == total:
            _check(error, stack, step)
        if kept is not None and ((step + 1) % kept.every == 0 or step + 1 == total):
            kept.keep(step + 1, stack, batches, generators)
    return total


def _check(error: Tensor, stack: Stack, step: int) -> None:
    if not bool(torch.isfinite(error).all()):
        raise TrainerError(f"training diverged: the loss is not finite at step {step}; lower lr=.")
    stack.check_finite(step)


def _pace(step: int, total: int, warmup: float) -> float:
    """Return the share of lr at a step: it rises, stays, and falls to 0 at the end."""
    rise = min(1.0, (step + 1) / (warmup * total)) if warmup else 1.0
    return rise * min(1.0, (total - step) / (_FALLING * total))


def finished(sae: SAE, stack: Stack, scale: Scale, notes: Sequence[str] = ()) -> list[SparseAutoencoder]:
    """Return what was trained, for activations as they are: scales folded into weights."""
    stack.check_finite(-1)
    found = []
    for s in range(len(scale.read)):
        parts = {name: parameter[s] for name, parameter in stack.parameters.items()}
        decoder = parts["decoder"] / scale.written[s]
        length = decoder.norm(dim=1).mean()  # one for all latents, so that the largest stay the largest
        threshold = _threshold(sae, stack, s)
        looked = min(_CHECKED, stack.steps)
        dead = float((stack.since[s] >= max(looked, 1)).float().mean())
        found.append(
            SparseAutoencoder(
                encoder_matrix=_array(parts["encoder"] * scale.read[s] * length),
                encoder_bias=_array(parts["encoder_bias"] * length),
                input_bias=_array(parts["input_bias"] / scale.read[s]),
                decoder_matrix=_array(decoder / length),
                output_bias=_array(parts["output_bias"] / scale.written[s]),
                k=stack.rule.k[s] if sae.activation == "topk" else None,
                threshold=None if threshold is None else _array(threshold * length),
                site_names=sae.reads,
                target_names=sae.writes,
                notes=(*notes, *_of_dead(dead, looked)),
            )
        )
    return found


def _threshold(sae: SAE, stack: Stack, s: int) -> Tensor | None:
    if sae.activation == "jumprelu":
        return stack.parameters["threshold"][s]
    if sae.activation == "batchtopk":
        return stack.least[s].expand(sae.n_latents)
    return None


def _of_dead(share: float, steps: int) -> tuple[str, ...]:
    return (f"{share:.0%} of the latents were not active in the last {steps} steps",) if share > 0.5 else ()


def _array(tensor: Tensor) -> np.ndarray:
    return read_only(tensor.detach().cpu().contiguous().clone().numpy())
