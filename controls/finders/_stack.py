"""A stack of SAEs of one shape, trained side by side: parameters, one step, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from controls.core.errors import TrainerError
from controls.finders._codes import Codes, DenseCodes, batch_top_k, top_k

_BETAS, _EPS = (0.9, 0.999), 1e-8
_RECENT = 10  # a running mean looks back over the last tenth of the steps taken, and over _STEPS_BACK at most
_STEPS_BACK = 100


@dataclass(frozen=True)
class Rule:
    """What all SAEs of a stack share, and what each has of its own."""

    activation: str  # topk, batchtopk, jumprelu, relu
    k: tuple[int, ...]  # one for each SAE; 0 where latents are not counted
    sparsity: tuple[float, ...]  # weight of the penalty on latents
    bandwidth: float
    widths: tuple[int, ...]  # of the sites written, side by side
    tied: bool  # whether what is read is what is written: one bias for both

    def select(self, before: Tensor, threshold: Tensor) -> tuple[Codes, Tensor | None]:
        """Return the active latents, and the least active one of each SAE where it is kept track of."""
        if self.activation == "topk":
            return top_k(before, self.k), None
        if self.activation == "batchtopk":
            return batch_top_k(before, self.k)
        if self.activation == "jumprelu":
            return DenseCodes(torch.where(before > threshold[:, None], before.relu(), 0.0)), None
        return DenseCodes(before.relu()), None


@dataclass(eq=False)
class Stack:
    """S SAEs while they are trained. ``parameters`` have S first; what is held has no gradient."""

    rule: Rule
    parameters: dict[str, Tensor]
    held: dict[str, tuple[Tensor, float]]  # part: where its rows started, and the least cosine with that
    since: Tensor  # (S, m), steps since each latent was active
    least: Tensor  # (S,), running mean of BatchTopK's least active latent
    steps: int = 0
    optimizer: Any = field(init=False)
    _before: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        free = [self.parameters[name] for name in self.free]
        device = self.parameters["decoder"].device
        self.optimizer = torch.optim.Adam(free, lr=1.0, betas=_BETAS, eps=_EPS, fused=device.type in ("cpu", "cuda"))

    @property
    def free(self) -> list[str]:
        """The names of the parameters that are trained."""
        still = {part for part, (_, cosine) in self.held.items() if cosine == 1}
        unused = {"threshold"} if self.rule.activation != "jumprelu" else set()
        return [name for name in self.parameters if name not in still | unused]

    def step(self, rows: Tensor, targets: Tensor, lr: float, penalty: float) -> Tensor:
        """Take one step on rows (S, B, d_in) and targets (S, B, d_out); return the squared error of each SAE (S,)."""
        parameters, rule = self.parameters, self.rule
        centred = rows - parameters["input_bias"][:, None]
        before = self._encoded(centred)
        codes, least = rule.select(before, self.parameters["threshold"])
        left = codes.reconstruct(parameters["decoder"])
        left += parameters["output_bias"][:, None]
        left -= targets
        error = left.square().sum(dim=2).mean(dim=1)
        left *= 2 / rows.shape[1]
        self._write_gradients(codes, before, centred, left, penalty)
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()
        self._constrain()
        self._follow(codes, least)
        return error

    def look(self, rows: Tensor) -> None:
        """Take BatchTopK's least active latent of rows (S, B, d_in) for its threshold, and no step."""
        before = self._encoded(rows - self.parameters["input_bias"][:, None])
        _, least = self.rule.select(before, self.parameters["threshold"])
        if least is not None:
            self.least.copy_(least)

    def _encoded(self, centred: Tensor) -> Tensor:
        """Return latents before selection (S, B, m), written where those of the last step were."""
        bias, encoder = self.parameters["encoder_bias"][:, None], self.parameters["encoder"]
        shape = (*centred.shape[:2], encoder.shape[1])
        if self._before is None or self._before.shape != shape:
            self._before = centred.new_empty(shape)
        return torch.baddbmm(bias, centred, encoder.transpose(1, 2), out=self._before)

    def _write_gradients(self, codes: Codes, before: Tensor, centred: Tensor, left: Tensor, penalty: float) -> None:
        """Set the gradients of all free parameters: squared error, and the penalty on latents."""
        parameters = self.parameters
        values = codes.values
        pulled = codes.pulled_back(left, parameters["decoder"])
        gradients = {"output_bias": left.sum(dim=1)}
        if "decoder" not in self.held or self.held["decoder"][1] < 1:
            gradients["decoder"] = codes.summed(values, left)
        if penalty and self.rule.activation == "relu":
            pulled = pulled + self._l1(codes, gradients, penalty)
        if self.rule.activation == "jumprelu":
            gradients["threshold"] = self._of_threshold(before, pulled, penalty)
        pulled = pulled * (values > 0)
        totals = codes.totals(pulled)
        gradients["encoder_bias"] = totals
        if "encoder" not in self.held or self.held["encoder"][1] < 1:
            gradients["encoder"] = codes.summed(pulled, centred)
        into = -torch.bmm(totals[:, None], parameters["encoder"])[:, 0]
        if self.rule.tied:
            gradients["output_bias"] = gradients["output_bias"] + into
        else:
            gradients["input_bias"] = into
        for name in self.free:
            if name in gradients:
                parameters[name].grad = gradients[name]
        self._level(parameters["decoder"])

    def _l1(self, codes: Codes, gradients: dict[str, Tensor], penalty: float) -> Tensor:
        """Return the gradient of the L1 penalty by latents, and add that by the decoder's lengths at each site.

        The weight of a latent is the sum of its decoder's lengths over the sites written (Lindsey et al. 2024).
        """
        B = codes.values.shape[1]
        weight = codes.values.new_tensor(self.rule.sparsity)[:, None] * penalty / B
        parts = self.parameters["decoder"].split(self.rule.widths, dim=2)
        lengths = [part.norm(dim=2) for part in parts]
        if len(parts) > 1 and "decoder" in gradients:
            by_length = (weight * codes.totals(codes.values))[:, :, None]
            gradients["decoder"] += by_length * torch.cat(
                [part / length.clamp_min(1e-12)[:, :, None] for part, length in zip(parts, lengths, strict=True)], dim=2
            )
        return (weight * torch.stack(lengths).sum(dim=0))[:, None]

    def _of_threshold(self, before: Tensor, pulled: Tensor, penalty: float) -> Tensor:
        """Return the straight-through gradient by thresholds, of the error and of the L0 penalty.

        A rectangle of the rule's bandwidth stands for the jump (Rajamanoharan et al. 2024).
        """
        threshold, B = self.parameters["threshold"], before.shape[1]
        near = ((before - threshold[:, None]).abs() < self.rule.bandwidth / 2).to(before.dtype) / self.rule.bandwidth
        of_error = -(near * pulled * threshold[:, None]).sum(dim=1)
        weight = before.new_tensor(self.rule.sparsity)[:, None] * penalty / B
        return of_error - weight * near.sum(dim=1)

    def _level(self, decoder: Tensor) -> None:
        """Take out of the decoder's gradient what would change the lengths of its rows."""
        if decoder.grad is not None:
            decoder.grad -= (decoder.grad * decoder).sum(dim=2, keepdim=True) * decoder

    def _constrain(self) -> None:
        """Give decoder rows length 1 again, and turn back what may turn so far only."""
        if self.parameters["decoder"].grad is not None:
            decoder = self.parameters["decoder"]
            decoder /= decoder.norm(dim=2, keepdim=True).clamp_min(1e-12)
        for part, (start, cosine) in self.held.items():
            if cosine < 1:
                _turn_back(self.parameters[part], start, cosine)
        self.parameters["threshold"].clamp_(min=0)
        if self.rule.tied:
            self.parameters["input_bias"].copy_(self.parameters["output_bias"])

    def _follow(self, codes: Codes, least: Tensor | None) -> None:
        """Count the steps since each latent was active, and BatchTopK's least active one."""
        self.steps += 1
        self.since += 1
        self.since *= codes.totals((codes.values > 0).to(codes.values.dtype)) == 0
        if least is not None:
            self.least += max(1 / _STEPS_BACK, _RECENT / (self.steps + _RECENT - 1)) * (least - self.least)

    def revive(self, rows: Tensor, targets: Tensor, after: int, generators: Sequence[torch.Generator]) -> None:
        """Start latents that were silent for ``after`` steps anew, at rows that are explained badly.

        As in Bricken et al. (2023): rows are drawn in proportion to their squared error. The decoder points along
        what is left of the row, the encoder too (where what is read is what is written, else along the row itself)
        at a fifth of the others' mean length. Adam's moments are zero.
        """
        dead, parameters = self.since >= after, self.parameters
        centred = rows - parameters["input_bias"][:, None]
        before = self._encoded(centred)
        codes, _ = self.rule.select(before, self.parameters["threshold"])
        left = targets - codes.reconstruct(parameters["decoder"]) - parameters["output_bias"][:, None]
        weights = left.square().sum(dim=2).clamp_min(1e-30).cpu()
        drawn = zip(weights, generators, strict=True)
        chosen = torch.stack([torch.multinomial(w, dead.shape[1], True, generator=g) for w, g in drawn])
        chosen = chosen.to(left.device)[:, :, None]
        written = _of_length_one(torch.take_along_dim(left, chosen, dim=1))
        read = written if self.rule.tied else _of_length_one(torch.take_along_dim(centred, chosen, dim=1))
        lengths = parameters["encoder"].norm(dim=2)
        length = (lengths * ~dead).sum(dim=1) / (~dead).sum(dim=1).clamp_min(1)
        self._put("decoder", dead, written)
        self._put("encoder", dead, 0.2 * length.clamp_min(1e-3)[:, None, None] * read)
        self._put("encoder_bias", dead, torch.zeros_like(parameters["encoder_bias"]))
        self.since *= ~dead

    def _put(self, name: str, where: Tensor, values: Tensor) -> None:
        parameter = self.parameters[name]
        mask = where if parameter.dim() == 2 else where[:, :, None]
        parameter.copy_(torch.where(mask, values, parameter))
        for moment in ("exp_avg", "exp_avg_sq"):
            if moment in self.optimizer.state[parameter]:
                self.optimizer.state[parameter][moment] *= ~mask

    def check_finite(self, step: int) -> None:
        """Refuse to go on with parameters that are not finite."""
        for name, parameter in self.parameters.items():
            if not bool(torch.isfinite(parameter).all()):
                raise TrainerError(
                    f"training diverged: the {name.replace('_', ' ')} is not finite after step {step}; "
                    "lower lr, or scale the activations (normalize=True)."
                )

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        return {
            "parameters": self.parameters,
            "since": self.since,
            "least": self.least,
            "steps": self.steps,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
        self.since.copy_(state["since"])
        self.least.copy_(state["least"])
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])


def _of_length_one(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _turn_back(rows: Tensor, start: Tensor, cosine: float) -> None:
    """Turn rows back to the cone of this cosine about where they started; lengths stay."""
    lengths = rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    along = (rows * start).sum(dim=-1, keepdim=True) / lengths
    across = rows / lengths - along * start
    across /= across.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    edge = lengths * (cosine * start + (1 - cosine**2) ** 0.5 * across)
    rows.copy_(torch.where(along < cosine, edge, rows))
