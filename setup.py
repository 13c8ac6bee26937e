"""The compiled parts of kcore: Cython modules, etcd's messages, Kubernetes' schemas. All else is pyproject.toml.

``KCORE_CYTHON_DEBUG=1`` builds with checks of bounds, None and uninitialised memory, unoptimised. It never
changes a result that was right: wraparound and division have one meaning in both builds.
"""

import json
import os
import zlib
from importlib.util import find_spec
from pathlib import Path

from Cython.Build import cythonize
from grpc_tools import protoc
from setuptools import Extension, setup

DEBUG = os.environ.get("KCORE_CYTHON_DEBUG", "0") not in ("", "0")
OPTIMIZE = os.environ.get("KCORE_CYTHON_OPTIMIZE", "-O3")  # -O1 compiles in a third of the time

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

# folders whose *.proto become messages.binpb beside them, which the package ships
MESSAGES = (Path("kcore/store/etcd"), Path("kcore/api/schema"))


def compile_messages(folder: Path) -> None:
    """``messages.binpb`` is the FileDescriptorSet of all .proto files; made anew only where one of them is newer."""
    sources, made = sorted(folder.glob("*.proto")), folder / "messages.binpb"
    if made.exists() and made.stat().st_mtime >= max(source.stat().st_mtime for source in sources):
        return
    arguments = [
        "protoc",
        f"-I{folder}",
        f"--descriptor_set_out={made}",
        *(str(source) for source in sources),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit(f"kcore: protoc refused {folder}/*.proto")


KUBERNETES = "v1.36.0-local"
SCHEMA = Path(
    "kcore/api/schema"
)  # go_types.txt here, with kubernetes-validate's definitions, becomes built.bin beside it


def go_types() -> dict[str, list[list[str]]]:
    """Of each definition its fields in Go's order: name, Go type, flags, and the embedded struct if it is in one."""
    types: dict[str, list[list[str]]] = {}
    fields: list[list[str]] = []
    for line in (SCHEMA / "go_types.txt").read_text().splitlines():
        if line.startswith(" "):
            fields.append(line.split())
        elif not line.startswith("#"):
            fields = types[line] = []
    return types


def split_descriptions(schema: dict, path: str, found: dict[str, str]) -> dict:
    """The schema without its descriptions, which go to ``found`` by their path, and without ``null`` among the types."""
    made = {}
    for key, value in schema.items():
        if key == "description":
            found[path] = value
        elif key == "type" and isinstance(value, list):
            (made["type"],) = (each for each in value if each != "null")
        elif key == "properties":
            made[key] = {
                name: split_descriptions(each, f"{path}.{name}", found) for name, each in value.items()
            }
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = split_descriptions(value, f"{path}[]", found)
        elif key == "$ref":
            made[key] = value.removeprefix("#/$defs/")
        elif key == "oneOf":
            made[key] = [split_descriptions(each, path, {}) for each in value]
        else:
            made[key] = value
    return made


def section(documents: dict[str, object]) -> bytes:
    """Documents that can be read one at a time, compressed: a line of their places, then one after the other."""
    texts = {name: json.dumps(each, separators=(",", ":")).encode() for name, each in documents.items()}
    places, offset = {}, 0
    for name, text in texts.items():
        places[name] = [offset, len(text)]
        offset += len(text)
    head = json.dumps(places, separators=(",", ":")).encode()
    return zlib.compress(head + b"\n" + b"".join(texts.values()), 9)


def compile_schemas() -> None:
    """``built.bin`` has all definitions, their descriptions apart; made anew only where an input is newer."""
    package = find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        raise SystemExit("kcore: building needs kubernetes-validate, which has Kubernetes' schemas")
    source = Path(package.origin).parent / "kubernetes-json-schema" / KUBERNETES / "_definitions.json"
    made = SCHEMA / "built.bin"
    if not source.exists():
        raise SystemExit(f"kcore: kubernetes-validate has no schemas of {KUBERNETES}; 1.36 or newer has")
    metrics = SCHEMA / "metrics_definitions.json"  # of metrics.k8s.io, which that package has not
    inputs = (source, metrics, SCHEMA / "go_types.txt", Path("setup.py"))
    if made.exists() and made.stat().st_mtime >= max(each.stat().st_mtime for each in inputs):
        return
    go = go_types()
    schemas, descriptions = {}, {}
    definitions = json.loads(source.read_text())["$defs"] | json.loads(metrics.read_text())
    for name, schema in sorted(definitions.items()):
        texts: dict[str, str] = {}
        schemas[name] = {"schema": split_descriptions(schema, "", texts), "go": go.get(name)}
        descriptions[name] = texts
    first, second = section(schemas), section(descriptions)
    made.write_bytes(b"KCS1" + len(first).to_bytes(4, "little") + first + second)


for folder in MESSAGES:
    compile_messages(folder)
compile_schemas()
setup(
    ext_modules=cythonize(
        [
            Extension(
                name,
                [name.replace(".", "/") + ".pyx"],
                extra_compile_args=["-O0", "-g", "-UNDEBUG"] if DEBUG else [OPTIMIZE],
            )
            for name in MODULES
        ],
        compiler_directives=DIRECTIVES,
        force=DEBUG,
        nthreads=CORES,
    ),
    options={"build_ext": {"parallel": CORES}},
)
