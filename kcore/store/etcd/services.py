"""Which services the client port has."""

from typing import Final

from kcore.store.etcd import rpc
from kcore.store.etcd.access import Access
from kcore.store.etcd.keys import KeyService
from kcore.store.etcd.leases import LeaseService
from kcore.store.etcd.locks import ElectionService, LockService
from kcore.store.etcd.maintenance import MaintenanceService
from kcore.store.etcd.members import MemberService
from kcore.store.etcd.probes import HealthService, ReflectionService
from kcore.store.etcd.rpc import Method
from kcore.store.etcd.users import UserService
from kcore.store.etcd.watches import PROGRESS_SECONDS, WatchService
from kcore.store.face import Store
from kcore.store.passwords import COST_DEFAULT

REQUEST_BYTES_MAX: Final = 3 << 19  # 1.5 MiB, etcd's --max-request-bytes
GRPC_OVERHEAD_BYTES: Final = 512 << 10  # what a message may be larger than a request


class Services:
    """Every service over one store, and the table of their methods."""

    def __init__(
        self,
        store: Store,
        access: Access,
        *,
        request_bytes_max: int = REQUEST_BYTES_MAX,
        progress_seconds: float = PROGRESS_SECONDS,
        bcrypt_cost: int = COST_DEFAULT,
    ) -> None:
        self.message_bytes_max = request_bytes_max + GRPC_OVERHEAD_BYTES
        self.watches = WatchService(
            store, access, message_bytes_max=self.message_bytes_max, progress_seconds=progress_seconds
        )
        guarded: list[tuple[str, object]] = [
            ("etcdserverpb.KV", KeyService(store, access)),
            ("etcdserverpb.Watch", self.watches),
            ("etcdserverpb.Lease", LeaseService(store, access)),
            ("etcdserverpb.Cluster", MemberService(store, access)),
            ("etcdserverpb.Maintenance", MaintenanceService(store, access)),
            ("etcdserverpb.Auth", UserService(store, access, bcrypt_cost=bcrypt_cost)),
            ("v3lockpb.Lock", LockService(store, access)),
            ("v3electionpb.Election", ElectionService(store, access)),
        ]
        names = [name for name, _ in guarded]
        probes: list[tuple[str, object]] = [
            ("grpc.health.v1.Health", HealthService(store, names)),
            ("grpc.reflection.v1.ServerReflection", ReflectionService(names)),
        ]
        self.methods: dict[bytes, Method] = access.guarded(rpc.table([*guarded, *probes]))
