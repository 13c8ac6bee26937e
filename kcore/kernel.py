"""Kernels: loops over arrays, compiled by Numba where that pays and run as plain Python where it does not.

``@kernel`` leaves the function callable as ordinary Python. ``f.compiled`` is the same function as a Numba
dispatcher, imported and compiled on first use and cached per user; inside compiled code a reference to a kernel
resolves to its dispatcher. So a ten-node question is answered without importing Numba at all, and a second test
run with ``KCORE_JIT=0`` executes every kernel line in the interpreter.

Compiler flags stand here and nowhere else. ``fastmath`` stays off: results must be kube-scheduler's, bit for bit.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

JIT = os.environ.get("KCORE_JIT", "1") != "0"

_FLAGS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "fastmath": False}


@functools.cache
def cache_directory() -> Path:
    """The per-user folder of compiled kernels; its name changes with the kernels' source and the interpreter.

    Numba checks only the file of the function that it loads, not of those it calls; hashing all sources into the
    name is what keeps a changed callee from being served stale.
    """
    root = Path(
        os.environ.get("KCORE_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    )
    digest = hashlib.sha256(sys.version.encode())
    package = Path(__file__).parent
    for source in [Path(__file__), *sorted((package / "scheduler").rglob("*.py"))]:
        digest.update(source.read_bytes())
    return root / "kcore" / f"kernels-{digest.hexdigest()[:16]}"


class Kernel:
    """A loop over arrays, callable in the interpreter and, as ``compiled``, in machine code."""

    def __init__(self, function: Callable[..., Any], *, cache: bool = True) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._cache = cache
        self._dispatcher: Any = None
        self._inner: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.__wrapped__(*args)

    @property
    def compiled(self) -> Any:
        """The Numba dispatcher; with ``KCORE_JIT=0`` the plain function."""
        if not JIT:
            return self.__wrapped__
        if self._dispatcher is None:
            self._dispatcher = self._make_dispatcher("outer", no_cfunc_wrapper=True)
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:
        # what Numba asks a global for when one kernel calls another; such calls need no way in from Python, and
        # leaving out the wrappers that unpack some hundred arrays saves a third of the compilation
        if self._inner is None:
            self._inner = self._make_dispatcher(
                "inner", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
            )
        return self._inner._numba_type_

    def _make_dispatcher(self, form: str, **flags: bool) -> Any:
        """The function as a dispatcher; each form has a cache of its own, as Numba's does not tell them apart."""
        import numba
        from numba.core import config

        if self._cache:
            # in-tree kernels allocate nothing, so they need not count references to the arrays that they pass on
            flags["_nrt"] = False
        dispatcher = numba.njit(**_FLAGS, **flags)(self.__wrapped__)
        if self._cache:
            before = config.CACHE_DIR
            try:
                config.CACHE_DIR = str(cache_directory() / form)
                dispatcher.enable_caching()
            finally:
                config.CACHE_DIR = before
        return dispatcher


def compile_for(kernel: Kernel, *args: Any) -> None:
    """Compile the kernel for arguments like these, or load it from the cache, without running it."""
    if JIT:
        import numba

        kernel.compiled.compile(tuple(numba.typeof(arg) for arg in args))


_COMPLETE = "complete"


def is_cached() -> bool:
    """True when all kernels of this source have been compiled on this machine before."""
    return (cache_directory() / _COMPLETE).exists()


def mark_cached() -> None:
    """Remember that all kernels are in the cache now."""
    with suppress(OSError):  # a cache that cannot be written is only slow
        (cache_directory() / _COMPLETE).touch()


def kernel(function: Callable[..., Any]) -> Kernel:
    """Mark a function as a kernel (see the module's docstring)."""
    return Kernel(function)
