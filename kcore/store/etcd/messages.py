"""Message classes and service descriptions of etcd's v3 API, built at run time from ``messages.binpb``.

setup.py compiles ``*.proto`` of this folder into that file. The classes live in a descriptor pool of their own, so
they neither clash with other etcd stubs in the process nor depend on which protobuf made them. ``messages.PutRequest``
is ``etcdserverpb.PutRequest``: every message is an attribute of this module by its last name, and those of packages
that share names (``health``, ``reflection``) are had by ``message(full_name)``.
"""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

BUILT: Final = "messages.binpb"
PACKAGES: Final = ("etcdserverpb", "mvccpb", "authpb", "v3lockpb", "v3electionpb")


@cache
def pool() -> Any:
    """The private DescriptorPool with all our files."""
    built = files("kcore.store.etcd") / BUILT
    if not built.is_file():
        raise ImportError(
            f"kcore/store/etcd/{BUILT} is missing; `make build` or `setup.py build_ext` makes it"
        )
    made = descriptor_pool.DescriptorPool()
    left = list(descriptor_pb2.FileDescriptorSet.FromString(built.read_bytes()).file)
    known: set[str] = set()
    while left:  # a file after those that it imports
        for file in left:
            if known.issuperset(file.dependency):
                made.Add(file)
                known.add(file.name)
        left = [file for file in left if file.name not in known]
    return made


@cache
def message(full_name: str) -> Any:
    """The class of that message; KeyError where there is none."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(full_name))


def service(full_name: str) -> Any:
    """The ServiceDescriptor; its methods know their names, messages and directions. KeyError where there is none."""
    return pool().FindServiceByName(full_name)


def __getattr__(name: str) -> Any:
    for package in PACKAGES:
        try:
            found = message(f"{package}.{name}")
        except KeyError:
            continue
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
