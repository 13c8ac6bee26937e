"""The compiled half of kcore: which Cython modules there are and how they are compiled. All else is pyproject.toml.

``KCORE_CYTHON_DEBUG=1`` builds with checks of bounds, None and uninitialised memory, unoptimised. It never
changes a result that was right: wraparound and division have one meaning in both builds.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("KCORE_CYTHON_DEBUG", "0") not in ("", "0")

MODULES = sorted(".".join(path.with_suffix("").parts) for path in Path("kcore_native").rglob("*.pyx"))

DIRECTIVES = {
    "language_level": 3,
    "embedsignature": True,
    "wraparound": False,
    "cdivision": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
}

setup(
    ext_modules=cythonize(
        [
            Extension(
                name,
                [name.replace(".", "/") + ".pyx"],
                extra_compile_args=["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O3"],
            )
            for name in MODULES
        ],
        compiler_directives=DIRECTIVES,
        force=DEBUG,
    )
)
