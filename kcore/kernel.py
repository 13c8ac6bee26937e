"""Kernels: loops over arrays, compiled by Numba where that pays and run as plain Python where it does not.

``@kernel`` leaves the function callable as ordinary Python. ``f.compiled`` is the same function as a Numba
dispatcher, imported and compiled on first use and cached per user; inside compiled code a reference to a kernel
resolves to its dispatcher. So a ten-node question is answered without importing Numba at all, and a second test
run with ``KCORE_JIT=0`` executes every kernel line in the interpreter.

Compiling takes a minute where nothing is cached. Until then the interpreter must do, which a loop over a thousand
nodes takes milliseconds. Such kernels have an *array form* beside them, the same in NumPy's words, which the
interpreter takes where there are many nodes; the loop is its twin.

Compiler flags stand here and nowhere else. ``fastmath`` stays off: results must be kube-scheduler's, bit for bit.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from kcore.references import install

JIT = os.environ.get("KCORE_JIT", "1") != "0"

ARRAYS_FROM = 48
"""Nodes from which the array form of a kernel costs the interpreter less than its loop."""

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
    makers = {package / name for name in ("kernel.py", "references.py", "reference_types.py")}
    for source in sorted(package.rglob("*.py")):
        text = source.read_bytes()
        if source in makers or source.is_relative_to(package / "scheduler") or b"@kernel" in text:
            digest.update(text)
    return root / "kcore" / f"kernels-{digest.hexdigest()[:16]}"


@functools.cache
def _fragment_compiler() -> Any:
    """The compiler of kernels that other kernels call: it stops at LLVM's intermediate form.

    Numba would optimize and assemble every function that compiled code calls, each time with all that it calls in
    turn, although only the outermost is ever entered. Leaving that to the outermost divides the time by four.
    """
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler

    class Fragment(JITCodeLibrary):
        codegen = property(lambda self: self)

        def _optimize_final_module(self) -> None:
            pass

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            return 0

        def set_env(self, name: str, env: Any) -> None:
            pass

    class FragmentCompiler(Compiler):
        def compile_extra(self, func: Any) -> Any:
            self.state.library = Fragment(self.state.targetctx.codegen(), func.__qualname__)
            return super().compile_extra(func)

    return FragmentCompiler


def _one_at_a_time(compile_: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """The same, but of several processes that want the kernel one compiles it, and the others wait and load it."""

    def compile_or_load(signature: Any) -> Any:
        import fcntl

        with ExitStack() as stack:
            with suppress(OSError):  # without a folder to write to, each compiles for itself
                cache_directory().mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((cache_directory() / f"{name}.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (
                gc.isenabled()
            ):  # what compiling makes stays until it is done, and is looked at again and again
                gc.disable()
                stack.callback(gc.enable)
            return compile_(signature)

    return compile_or_load


def _of_one_width(template: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same for 64 bits where a caller has integers of fewer, or a literal: one compilation serves all callers."""
    from numba.core import types

    def widened(one: Any) -> Any:
        one = types.unliteral(one)
        return types.int64 if isinstance(one, types.Integer) and one != types.uint64 else one

    def find(args: Any, kws: Any) -> Any:
        return template(tuple(map(widened, args)), {name: widened(one) for name, one in kws.items()})

    return find


class Kernel:
    """A loop over arrays, callable in the interpreter and, as ``compiled``, in machine code."""

    def __init__(self, function: Callable[..., Any], *, cache: bool = True, inline: bool = False) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._cache = cache
        self._inline = inline
        self._dispatcher: Any = None
        self._inner: Any = None
        self.array_form: Callable[..., Any] | None = None
        self._counted = -1

    def __call__(self, *args: Any) -> Any:
        if self.array_form is None or not JIT:
            return self.__wrapped__(*args)
        if self._counted >= 0:
            counted = args[self._counted]
            shape = getattr(counted, "shape", ())
            if (shape[-1] if shape else counted) < ARRAYS_FROM:
                return self.__wrapped__(*args)
        answer = self.array_form(*args)
        return self.__wrapped__(*args) if answer is NotImplemented else answer

    def over_arrays(self, counted: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The function below is the kernel's array form; the parameter ``counted`` is a number of nodes, or has as many.

        It is not asked where they are few. It answers ``NotImplemented``, and has changed nothing, where it leaves the work to the loop.
        """
        names = self.__wrapped__.__code__.co_varnames[: self.__wrapped__.__code__.co_argcount]
        self._counted = names.index(counted) if counted else -1

        def keep(form: Callable[..., Any]) -> Callable[..., Any]:
            self.array_form = form
            return form

        return keep

    @property
    def compiled(self) -> Any:
        """The Numba dispatcher; with ``KCORE_JIT=0`` the plain function."""
        if not JIT:
            return self.__wrapped__
        if self._dispatcher is None:
            self._dispatcher = self._make_outer()
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:
        # what Numba asks a global for when one kernel calls another
        if self._inner is None:
            self._inner = self._make_inner()
        return self._inner._numba_type_

    def _make_outer(self) -> Any:
        """The function as a dispatcher that Python calls."""
        import numba
        from numba.core import config

        install()
        dispatcher = numba.njit(**_FLAGS, **self._counting(), no_cfunc_wrapper=True)(self.__wrapped__)
        if self._cache:
            before = config.CACHE_DIR
            try:
                config.CACHE_DIR = str(cache_directory())
                dispatcher.enable_caching()
            finally:
                config.CACHE_DIR = before
            dispatcher.compile = _one_at_a_time(dispatcher.compile, self.__name__)
        return dispatcher

    def _make_inner(self) -> Any:
        """The function as a dispatcher for other kernels, which take its code into theirs; it needs no way in."""
        import numba

        install()
        dispatcher = numba.njit(
            **_FLAGS, **self._counting(), no_cpython_wrapper=True, no_cfunc_wrapper=True,
            forceinline=self._inline, pipeline_class=_fragment_compiler(),
        )(self.__wrapped__)  # fmt: skip
        dispatcher.get_call_template = _of_one_width(dispatcher.get_call_template)
        return dispatcher

    def _counting(self) -> dict[str, bool]:
        # in-tree kernels allocate nothing, so they need not count references to the arrays that they pass on
        return {"_nrt": False, "no_rewrites": True} if self._cache else {}


class Instruction:
    """One expression for which Numba has no name: ``plain`` in the interpreter, what ``emit`` builds in machine code.

    Both take and return doubles, and must agree bit for bit. ``emit(builder, arguments)`` gets llvmlite's IRBuilder.
    """

    def __init__(self, plain: Callable[..., float], emit: Callable[[Any, list[Any]], Any]) -> None:
        self._plain = plain
        self._emit = emit
        self._intrinsic: Any = None

    def __call__(self, *args: float) -> float:
        return self._plain(*args)

    @property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        if self._intrinsic is None:
            from numba.core import types
            from numba.extending import intrinsic

            def generate(_: Any, builder: Any, __: Any, arguments: list[Any]) -> Any:
                return self._emit(builder, arguments)

            def typed(_: Any, numerator: Any, denominator: Any, reciprocal: Any) -> Any:
                return types.float64(types.float64, types.float64, types.float64), generate

            self._intrinsic = intrinsic(typed)
            cpu_target.typing_context.refresh()
        return cpu_target.typing_context.resolve_value_type(self._intrinsic)


def compile_for(kernel: Kernel, *args: Any) -> None:
    """Compile the kernel for arguments like these, or load it from the cache, without running it."""
    if JIT:
        import numba

        install()
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
    """Mark a function as a kernel (see the module's docstring); other kernels call it, or LLVM takes it into them."""
    return Kernel(function)


def inner_kernel(function: Callable[..., Any]) -> Kernel:
    """The same for what is done for every node or pod: each caller gets a copy, which takes longer to compile."""
    return Kernel(function, inline=True)
