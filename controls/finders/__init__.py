"""Finders: trainers whose findings are dictionaries; SAEs and their relatives, and adapters for those of others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controls.finders.autoencoder import SparseAutoencoder as SparseAutoencoder
    from controls.finders.decompositions import ICA as ICA
    from controls.finders.decompositions import NMF as NMF
    from controls.finders.decompositions import PCA as PCA
    from controls.finders.from_dictionary_learning import DictionaryLearning as DictionaryLearning
    from controls.finders.from_function import Function as Function
    from controls.finders.from_pretrained import Pretrained as Pretrained
    from controls.finders.from_saelens import SAELens as SAELens
    from controls.finders.from_sparsify import Sparsify as Sparsify
    from controls.finders.sae import SAE as SAE
    from controls.finders.sae import train_many as train_many
    from controls.finders.seeds import Seeds as Seeds
    from controls.finders.streams import train_stream as train_stream

_HOME = {
    "DictionaryLearning": "from_dictionary_learning",
    "Function": "from_function",
    "ICA": "decompositions",
    "NMF": "decompositions",
    "PCA": "decompositions",
    "Pretrained": "from_pretrained",
    "SAE": "sae",
    "SAELens": "from_saelens",
    "Seeds": "seeds",
    "SparseAutoencoder": "autoencoder",
    "Sparsify": "from_sparsify",
    "train_many": "sae",
    "train_stream": "streams",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a finder when it is first used, so that torch is not loaded before."""
    if name not in _HOME:
        raise AttributeError(f"module 'controls.finders' has no attribute {name!r}")
    value = getattr(import_module(f"controls.finders.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
