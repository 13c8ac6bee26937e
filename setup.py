"""The compiled parts of kcore: Cython modules, and the description of etcd's messages. All else is pyproject.toml.

``KCORE_CYTHON_DEBUG=1`` builds with checks of bounds, None and uninitialised memory, unoptimised. It never
changes a result that was right: wraparound and division have one meaning in both builds.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from grpc_tools import protoc
from setuptools import Extension, setup

DEBUG = os.environ.get("KCORE_CYTHON_DEBUG", "0") not in ("", "0")

MODULES = sorted(".".join(path.with_suffix("").parts) for path in Path("kcore_native").rglob("*.pyx"))

CORES = os.cpu_count() or 1

DIRECTIVES = {
    "language_level": 3,
    "embedsignature": True,
    "wraparound": False,
    "cdivision": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
}

MESSAGES = Path("kcore/store/etcd")  # *.proto here become messages.binpb beside them, which the package ships


def compile_messages() -> None:
    """``messages.binpb`` is the FileDescriptorSet of all .proto files; made anew only where one of them is newer."""
    sources, made = sorted(MESSAGES.glob("*.proto")), MESSAGES / "messages.binpb"
    if made.exists() and made.stat().st_mtime >= max(source.stat().st_mtime for source in sources):
        return
    arguments = [
        "protoc",
        f"-I{MESSAGES}",
        f"--descriptor_set_out={made}",
        *(str(source) for source in sources),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("kcore: protoc refused kcore/store/etcd/*.proto")


compile_messages()
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
        nthreads=CORES,
    ),
    options={"build_ext": {"parallel": CORES}},
)
