"""The error tree.

::

    ControlsError
    ├── InputError (ValueError)       an argument is wrong; nothing was computed
    │   ├── NameNotFound (KeyError)   a group, site, scorer or control that is not there
    │   └── InputTypeError (TypeError) an object of the wrong kind
    ├── CannotControl (ValueError)    the control can do nothing on this problem
    ├── TrainerError (RuntimeError)   the trainer, or its prediction, failed midway
    ├── StoreError (OSError)          a store cannot be used, or holds another study
    └── ControlsCheckError (AssertionError)  a control or trainer does not do what it claims
    ControlsWarning (UserWarning)     something to know that does not stop the work
    Interrupted (KeyboardInterrupt)   Ctrl-C, with what is kept and how to go on

Every sentence says which argument, what is allowed, what was got and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ControlsError(Exception):
    """Root of the error tree."""


class InputError(ControlsError, ValueError):
    """An argument is wrong; nothing was computed."""


class InputTypeError(InputError, TypeError):
    """An argument is an object of the wrong kind."""


class NameNotFound(InputError, KeyError):
    """A name that is not there."""

    def __str__(self) -> str:
        """Return the sentence itself (KeyError would quote it)."""
        return str(self.args[0])


class CannotControl(ControlsError, ValueError):
    """The control can do nothing but the identity on this problem."""


class TrainerError(ControlsError, RuntimeError):
    """The trainer, or a prediction of what it returned, failed midway."""


class StoreError(ControlsError, OSError):
    """A store cannot be used: it is damaged, something else, not writable, or holds a study with other settings."""


class ControlsCheckError(ControlsError, AssertionError):
    """A control or a trainer does not do what it claims; raised by ``controls.testing``."""


class ControlsWarning(UserWarning):
    """Something to know that does not stop the work."""


class Interrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C; says what is kept and how to go on. No ``except Exception`` catches it."""


def unknown_name(what: str, name: object, allowed: Iterable[str], *, advice: str = "") -> NameNotFound:
    """Return the error for a name that is not there, with the nearest name that is."""
    names = sorted(map(str, allowed))
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    there = f"there are: {shown}" if names else "there are none"
    return NameNotFound(f"{what} {name!r} is not known; {there}.{hint}{' ' + advice if advice else ''}")
