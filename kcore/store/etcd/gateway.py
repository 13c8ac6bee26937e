"""JSON over HTTP under /v3: etcd's gRPC gateway. A path stands for a method, bodies are protobuf's JSON.

Unary methods only; a watch over this door is not offered.
"""

from typing import Any, Final

import orjson
from google.protobuf import json_format

from kcore.http.message import Request, Response
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.answers import JSON, TEXT, page_answer
from kcore.store.etcd.rpc import Context, Method

PREFIX: Final = "/v3/"
# the status that grpc-gateway gives each code; 500 for all others
STATUS: Final = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
# etcd's paths (the annotations of its rpc.proto) to methods
PATHS: Final = {
    "kv/range": "etcdserverpb.KV/Range",
    "kv/put": "etcdserverpb.KV/Put",
    "kv/deleterange": "etcdserverpb.KV/DeleteRange",
    "kv/txn": "etcdserverpb.KV/Txn",
    "kv/compaction": "etcdserverpb.KV/Compact",
    "lease/grant": "etcdserverpb.Lease/LeaseGrant",
    "lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "kv/lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "kv/lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "kv/lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "cluster/member/add": "etcdserverpb.Cluster/MemberAdd",
    "cluster/member/remove": "etcdserverpb.Cluster/MemberRemove",
    "cluster/member/update": "etcdserverpb.Cluster/MemberUpdate",
    "cluster/member/list": "etcdserverpb.Cluster/MemberList",
    "cluster/member/promote": "etcdserverpb.Cluster/MemberPromote",
    "maintenance/alarm": "etcdserverpb.Maintenance/Alarm",
    "maintenance/status": "etcdserverpb.Maintenance/Status",
    "maintenance/defragment": "etcdserverpb.Maintenance/Defragment",
    "maintenance/hash": "etcdserverpb.Maintenance/HashKV",
    "maintenance/transfer-leadership": "etcdserverpb.Maintenance/MoveLeader",
    "maintenance/downgrade": "etcdserverpb.Maintenance/Downgrade",
    "auth/enable": "etcdserverpb.Auth/AuthEnable",
    "auth/disable": "etcdserverpb.Auth/AuthDisable",
    "auth/status": "etcdserverpb.Auth/AuthStatus",
    "auth/authenticate": "etcdserverpb.Auth/Authenticate",
    "auth/user/add": "etcdserverpb.Auth/UserAdd",
    "auth/user/get": "etcdserverpb.Auth/UserGet",
    "auth/user/list": "etcdserverpb.Auth/UserList",
    "auth/user/delete": "etcdserverpb.Auth/UserDelete",
    "auth/user/changepw": "etcdserverpb.Auth/UserChangePassword",
    "auth/user/grant": "etcdserverpb.Auth/UserGrantRole",
    "auth/user/revoke": "etcdserverpb.Auth/UserRevokeRole",
    "auth/role/add": "etcdserverpb.Auth/RoleAdd",
    "auth/role/get": "etcdserverpb.Auth/RoleGet",
    "auth/role/list": "etcdserverpb.Auth/RoleList",
    "auth/role/delete": "etcdserverpb.Auth/RoleDelete",
    "auth/role/grant": "etcdserverpb.Auth/RoleGrantPermission",
    "auth/role/revoke": "etcdserverpb.Auth/RoleRevokePermission",
    "lock/lock": "v3lockpb.Lock/Lock",
    "lock/unlock": "v3lockpb.Lock/Unlock",
    "election/campaign": "v3electionpb.Election/Campaign",
    "election/proclaim": "v3electionpb.Election/Proclaim",
    "election/leader": "v3electionpb.Election/Leader",
    "election/resign": "v3electionpb.Election/Resign",
}


class Gateway:
    """The methods by path, called with JSON."""

    def __init__(self, methods: dict[bytes, Method]) -> None:
        self.methods: dict[str, tuple[Method, Any]] = {}
        for path, full in PATHS.items():
            service, _, name = full.partition("/")
            described = next(each for each in messages.service(service).methods if each.name == name)
            request = messages.message(described.input_type.full_name)
            self.methods[PREFIX + path] = (methods[f"/{full}".encode()], request)

    async def answer(self, request: Request) -> Response:
        """The method's answer as JSON, or its error as grpc-gateway gives it."""
        found = self.methods.get(request.path.decode(errors="replace"))
        if found is None:
            return page_answer(404, JSON, orjson.dumps({"code": Code.NOT_FOUND, "message": "Not Found"}))
        if request.method != b"POST":
            return page_answer(405, TEXT, b"Method Not Allowed\n")
        method, kind = found
        token = request.header(b"authorization")
        headers = {b"authorization": token} if token else {}
        # a certificate shown here says nothing of who asks: in etcd it is the gateway's own
        context = Context(method.path, headers, request.peer._replace(common_name=None))
        try:
            message = kind()
            if request.body.strip():
                json_format.Parse(request.body, message, descriptor_pool=messages.pool())
            response = await method.call(message, context)
        except (json_format.ParseError, UnicodeDecodeError) as error:
            return refusal(StoreError(Code.INVALID_ARGUMENT, str(error)))
        except StoreError as error:
            return refusal(error)
        told = json_format.MessageToDict(
            response, preserving_proto_field_name=True, descriptor_pool=messages.pool()
        )
        return page_answer(200, JSON, orjson.dumps(told))


def refusal(error: StoreError) -> Response:
    """The error as JSON."""
    body = orjson.dumps({"code": int(error.code), "message": error.text, "details": []})
    return page_answer(STATUS.get(error.code, 500), JSON, body)
