"""The decorator that compiles the inner loops of signal processing with numba.

Arithmetic is strict (no fast-math, no threads): every operation is rounded as IEEE 754 says and every sum runs in the order of
the code, on every processor. That holds for + - * / and the square root. A compiled function that decides bytes of the store
calls no other mathematical function: those come from the system's library, which picks its code by the processor.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a function on its first call; the code is cached beside the module or in the user's cache folder."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        machine_code: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # No folder can hold the cache, as in a container with a read-only file system: every process compiles.
        machine_code = numba.njit(**options)(function)
    return machine_code
