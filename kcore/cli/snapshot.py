"""``kcore snapshot``: saves the store to a file, says what is in one, and makes a new cluster of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from kcore.store.etcd.saved import SavedStatus

LOCAL = "http://127.0.0.1:2379"
LOCAL_PEER = "http://localhost:2380"

app = typer.Typer(
    help="Snapshots of the store: save, look at, restore.", no_args_is_help=True, rich_markup_mode=None
)

SnapshotFile = Annotated[str, typer.Argument(metavar="FILE", help="The snapshot's file.")]
Form = Annotated[
    Literal["table", "json"], typer.Option("-o", "--output", "-w", help="How the answer is printed.")
]
SkipHashCheck = Annotated[
    bool,
    typer.Option(
        "--skip-hash-check", help="Read a file without its checksum, as one copied from a data directory."
    ),
]


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a cluster."""

    endpoints: tuple[str, ...]
    cacert: str
    cert: str
    key: str
    user: str
    password: str


@app.command("save")
def save(
    file: SnapshotFile,
    endpoints: Annotated[
        str, typer.Option(help="The member to ask; a snapshot is of one.", envvar="ETCDCTL_ENDPOINTS")
    ] = LOCAL,
    cacert: Annotated[
        str, typer.Option(help="Whose certificates members may show.", envvar="ETCDCTL_CACERT")
    ] = "",
    cert: Annotated[str, typer.Option(help="Certificate to show.", envvar="ETCDCTL_CERT")] = "",
    key: Annotated[str, typer.Option(help="Its key.", envvar="ETCDCTL_KEY")] = "",
    user: Annotated[str, typer.Option(help="name:password", envvar="ETCDCTL_USER")] = "",
    password: Annotated[str, typer.Option(help="If not in --user.", envvar="ETCDCTL_PASSWORD")] = "",
    data_dir: Annotated[
        str | None, typer.Option(help="The data directory of a member that is down, in place of --endpoints.")
    ] = None,
    form: Form = "table",
) -> None:
    """Saves the state of a member that runs, or of one that is down, to FILE."""
    from kcore.store.etcd.saved import load, status, stored, write

    path = Path(file)
    if data_dir is not None:
        machine = stored(data_dir)
        reader = machine.snapshot()
        size = write(reader, path)
        reader.close()
        _print(status(machine, size), form)
        return
    access = Access(tuple(endpoints.split(",")), cacert, cert, key, user, password)
    if len(access.endpoints) != 1:
        raise InputError("a snapshot is of one member", field="--endpoints", expected="one endpoint")
    _download(access, path)
    from kcore.store.etcd.saved import body

    _print(status(load(body(path, check=True), file), path.stat().st_size), form)


def _download(access: Access, path: Path) -> None:
    import asyncio

    from kcore.store.errors import StoreError

    temporary = path.with_name(path.name + ".part")
    try:
        asyncio.run(_fetch(access, temporary))
        temporary.replace(path)
    except StoreError as error:
        raise InputError(error.text, field="--endpoints", expected="a member that answers") from None
    finally:
        temporary.unlink(missing_ok=True)


async def _fetch(access: Access, path: Path) -> None:
    from kcore.store.remote import Credentials, connect

    name, _, password = access.user.partition(":")
    files = [Path(each).read_bytes() if each else None for each in (access.cacert, access.cert, access.key)]
    credentials = Credentials(*files, username=name, password=password or access.password)
    client = await connect(access.endpoints, credentials)
    try:
        with path.open("wb") as file:
            async for blob in client.snapshot():
                file.write(blob)
    finally:
        await client.close()


@app.command("status")
def show_status(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The snapshot's file.")] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="The data directory of a member that is down, in place of FILE.")
    ] = None,
    skip_hash_check: SkipHashCheck = False,
    form: Form = "table",
) -> None:
    """Says what is in a snapshot, or in the data directory of a member that is down."""
    from kcore.store.etcd.saved import body, load, status, stored

    if (file is None) == (data_dir is None):
        raise InputError(
            "one of them is to be given", field="FILE, --data-dir", expected="a file or a data directory"
        )
    if data_dir is not None:
        machine = stored(data_dir)
        _print(status(machine, machine.size_bytes), form)
    else:
        path = Path(str(file))
        _print(status(load(body(path, check=not skip_hash_check), str(file)), path.stat().st_size), form)


@app.command("restore")
def restore(
    file: SnapshotFile,
    data_dir: Annotated[
        str | None, typer.Option(help="The new data directory; NAME.etcd if not given.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the member.")] = "default",
    initial_cluster: Annotated[
        str | None, typer.Option(help="All members: name=URL,name=URL; this one alone if not given.")
    ] = None,
    initial_cluster_token: Annotated[
        str, typer.Option(help="Tells clusters apart that were begun alike.")
    ] = "etcd-cluster",
    initial_advertise_peer_urls: Annotated[
        str, typer.Option(help="Where the other members reach this one.")
    ] = LOCAL_PEER,
    skip_hash_check: SkipHashCheck = False,
    bump_revision: Annotated[
        int, typer.Option(min=0, help="How much higher the revision becomes; needs --mark-compacted.")
    ] = 0,
    mark_compacted: Annotated[
        bool,
        typer.Option(
            "--mark-compacted", help="What was before counts as compacted: watches must begin anew."
        ),
    ] = False,
    form: Form = "table",
) -> None:
    """Makes the data directory of one member of a new cluster; run it once for each member."""
    from kcore.store.etcd import flags
    from kcore.store.etcd.saved import Target, body, load, status
    from kcore.store.etcd.saved import restore as restored

    if bool(bump_revision) != mark_compacted:
        raise InputError("--mark-compacted and --bump-revision go together", field="--bump-revision")
    urls = flags.read(
        flags.BY_NAME["initial-advertise-peer-urls"],
        initial_advertise_peer_urls,
        "--initial-advertise-peer-urls",
    )
    cluster = {name: urls}
    if initial_cluster is not None:
        cluster = flags.read(flags.BY_NAME["initial-cluster"], initial_cluster, "--initial-cluster")
    path = Path(file)
    machine = load(body(path, check=not skip_hash_check), file)
    told = status(machine, path.stat().st_size)
    target = Target(data_dir or f"{name}.etcd", name, cluster, initial_cluster_token, urls)
    cluster_id, member_id = restored(machine, target, bump_revision=bump_revision)
    _print(
        told,
        form,
        {"data_dir": target.directory, "cluster_id": f"{cluster_id:x}", "member_id": f"{member_id:x}"},
    )


def _print(status: SavedStatus, form: str, more: dict[str, Any] | None = None) -> None:
    from kcore.cli.output import print_plain
    from kcore.cli.text import size_text, table_lines

    if form == "json":
        row = {
            "hash": int(status.hash, 16),
            "revision": status.revision,
            "totalKey": status.total_key,
            "totalSize": status.total_size,
            "version": status.version,
        }
        print_plain({**row, **(more or {})}, "json", sys.stdout)
        return
    header = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION", *(key.upper() for key in more or {})]
    cells = [
        status.hash,
        f"{status.revision:,}",
        f"{status.total_key:,}",
        size_text(status.total_size),
        status.version,
    ]
    for line in table_lines(header, [[*cells, *map(str, (more or {}).values())]]):
        print(line)
