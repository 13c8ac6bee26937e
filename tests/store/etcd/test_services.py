"""Every service through gRPC's own client: answers, refusals and headers as etcd's sources have them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from kcore.store.etcd import messages as pb
from kcore.store.etcd.saved import BLOCK_BYTES, DIGEST_BYTES
from kcore.store.face import AlarmType
from tests.store.etcd.ports import Client, Port, connect, open_port, refused

KV = "etcdserverpb.KV/"
LEASE = "etcdserverpb.Lease/"
CLUSTER = "etcdserverpb.Cluster/"
MAINTENANCE = "etcdserverpb.Maintenance/"
AUTH = "etcdserverpb.Auth/"
LOCK = "v3lockpb.Lock/"
ELECTION = "v3electionpb.Election/"


def served(test: Callable[[Port, Client], Awaitable[None]]) -> Callable[[], None]:
    """The test with a fresh port and a client."""

    def run() -> None:
        async def body() -> None:
            async with open_port() as port, connect(port) as client:
                await test(port, client)

        asyncio.run(body())

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    return run


async def put(client: Client, key: bytes, value: bytes = b"v", **options: Any) -> Any:
    return await client.call(KV + "Put", pb.PutRequest(key=key, value=value, **options))


@served
async def test_a_transaction_answers_each_operation(port: Port, client: Client) -> None:
    await put(client, b"a", b"1")
    inner = pb.TxnRequest(success=[pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))])
    request = pb.TxnRequest(
        compare=[pb.Compare(key=b"a", target=pb.Compare.VALUE, result=pb.Compare.EQUAL, value=b"1")],
        success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"2", prev_kv=True)),
            pb.RequestOp(request_range=pb.RangeRequest(key=b"a")),
            pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"b")),
            pb.RequestOp(request_txn=inner),
        ],
        failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"3"))],
    )
    answer = await client.call(KV + "Txn", request)
    assert answer.succeeded
    written, read, deleted, nested = answer.responses
    assert written.response_put.prev_kv.value == b"1"
    assert read.response_range.kvs[0].value == b"2"
    assert deleted.response_delete_range.deleted == 0
    assert nested.response_txn.responses[0].response_range.kvs[0].value == b"2"
    assert answer.header.revision == written.response_put.header.revision == 3
    assert written.response_put.header.member_id == 0, "etcd fills the outer header alone"


@served
async def test_requests_are_refused_as_etcd_does(port: Port, client: Client) -> None:
    op = pb.RequestOp
    twice = [op(request_put=pb.PutRequest(key=b"a")), op(request_put=pb.PutRequest(key=b"a"))]
    many = [op(request_range=pb.RangeRequest(key=b"a"))] * 129
    for method, request, expected in (
        ("Put", pb.PutRequest(), ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
        ("Range", pb.RangeRequest(), ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
        ("Range", pb.RangeRequest(key=b"a", sort_order=9), ("INVALID_ARGUMENT", "etcdserver: invalid sort option")),
        ("Put", pb.PutRequest(key=b"a", value=b"v", ignore_value=True), ("INVALID_ARGUMENT", "etcdserver: value is provided")),
        ("Put", pb.PutRequest(key=b"a", lease=1, ignore_lease=True), ("INVALID_ARGUMENT", "etcdserver: lease is provided")),
        ("Put", pb.PutRequest(key=b"a", lease=99), ("NOT_FOUND", "etcdserver: requested lease not found")),
        ("DeleteRange", pb.DeleteRangeRequest(), ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
        ("Txn", pb.TxnRequest(success=twice), ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")),
        ("Txn", pb.TxnRequest(success=many), ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request")),
        ("Txn", pb.TxnRequest(success=[op()]), ("INVALID_ARGUMENT", "etcdserver: key not found")),
        ("Range", pb.RangeRequest(key=b"a", revision=99), ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")),
        ("Compact", pb.CompactionRequest(revision=99), ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")),
    ):  # fmt: skip
        assert await refused(client.call(KV + method, request)) == expected, (method, request)


@served
async def test_leases(port: Port, client: Client) -> None:
    granted = await client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=7))
    assert (granted.ID, granted.TTL) == (7, 100)
    again = client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=7))
    assert await refused(again) == ("FAILED_PRECONDITION", "etcdserver: lease already exists")
    await put(client, b"a", lease=7)
    left = await client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=7, keys=True))
    assert (left.grantedTTL, list(left.keys)) == (100, [b"a"])
    assert 98 <= left.TTL <= 100
    stream = client.stream(LEASE + "LeaseKeepAlive")
    for lease, ttl in ((7, 100), (8, 0)):
        await stream.write(pb.LeaseKeepAliveRequest(ID=lease))
        answer = await stream.read()
        assert (lease, ttl) == (answer.ID, answer.TTL)
    await stream.done_writing()
    listed = await client.call(LEASE + "LeaseLeases", pb.LeaseLeasesRequest())
    assert [each.ID for each in listed.leases] == [7]
    for lease, seconds in ((9, 300), (10, 50), (11, 300)):
        await client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=lease, TTL=seconds))
    listed = await client.call(LEASE + "LeaseLeases", pb.LeaseLeasesRequest())
    assert [each.ID for each in listed.leases] == [10, 7, 9, 11], "the next to expire first"
    left = await client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=11))
    assert left.TTL < left.grantedTTL == 300, "rounded down"
    await client.call(LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=7))
    gone = await client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=7))
    assert (gone.ID, gone.TTL) == (7, -1)
    found = await client.call(KV + "Range", pb.RangeRequest(key=b"a"))
    assert found.count == 0


@served
async def test_members(port: Port, client: Client) -> None:
    (only,) = (await client.call(CLUSTER + "MemberList", pb.MemberListRequest(linearizable=True))).members
    assert port.store.member_id == only.ID
    for urls in ([], ["foo"], ["http://h"], ["http://h:1/path"], ["ftp://h:1"]):
        add = client.call(CLUSTER + "MemberAdd", pb.MemberAddRequest(peerURLs=urls))
        assert await refused(add) == ("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid"), urls
    request = pb.MemberAddRequest(peerURLs=["http://127.0.0.1:9"], isLearner=True)
    added = await client.call(CLUSTER + "MemberAdd", request)
    assert added.member.isLearner
    assert added.header.revision == 0, "as etcd's"
    promote = client.call(CLUSTER + "MemberPromote", pb.MemberPromoteRequest(ID=added.member.ID))
    text = "etcdserver: can only promote a learner member which is in sync with leader"
    assert await refused(promote) == ("FAILED_PRECONDITION", text)
    update = pb.MemberUpdateRequest(ID=added.member.ID, peerURLs=["http://127.0.0.1:10"])
    updated = await client.call(CLUSTER + "MemberUpdate", update)
    assert {tuple(each.peerURLs) for each in updated.members if each.isLearner} == {("http://127.0.0.1:10",)}
    removed = await client.call(CLUSTER + "MemberRemove", pb.MemberRemoveRequest(ID=added.member.ID))
    assert [each.ID for each in removed.members] == [only.ID]
    nobody = client.call(CLUSTER + "MemberRemove", pb.MemberRemoveRequest(ID=1))
    assert await refused(nobody) == ("NOT_FOUND", "etcdserver: member not found")


@served
async def test_maintenance(port: Port, client: Client) -> None:
    empty = await client.call(MAINTENANCE + "Status", pb.StatusRequest())
    assert empty.dbSize > 0, "etcdctl divides by it"
    await put(client, b"a")
    status = await client.call(MAINTENANCE + "Status", pb.StatusRequest())
    assert status.version.startswith("3.6.")
    assert status.leader == status.header.member_id
    one = await client.call(MAINTENANCE + "HashKV", pb.HashKVRequest())
    await put(client, b"b")
    assert (await client.call(MAINTENANCE + "HashKV", pb.HashKVRequest())).hash != one.hash
    assert (await client.call(MAINTENANCE + "HashKV", pb.HashKVRequest(revision=2))).hash == one.hash
    raised = pb.AlarmRequest(
        action=pb.AlarmRequest.ACTIVATE, memberID=port.store.member_id, alarm=AlarmType.NOSPACE
    )
    await client.call(MAINTENANCE + "Alarm", raised)
    assert await refused(put(client, b"c")) == (
        "RESOURCE_EXHAUSTED",
        "etcdserver: mvcc: database space exceeded",
    )
    listed = await client.call(MAINTENANCE + "Alarm", pb.AlarmRequest(action=pb.AlarmRequest.GET))
    assert [(each.memberID, each.alarm) for each in listed.alarms] == [
        (port.store.member_id, AlarmType.NOSPACE)
    ]
    raised.action = pb.AlarmRequest.DEACTIVATE
    await client.call(MAINTENANCE + "Alarm", raised)
    await put(client, b"c")
    await client.call(MAINTENANCE + "Defragment", pb.DefragmentRequest())
    moved = client.call(MAINTENANCE + "MoveLeader", pb.MoveLeaderRequest(targetID=1))
    assert await refused(moved) == ("FAILED_PRECONDITION", "etcdserver: bad leader transferee")


@served
async def test_downgrades_are_written_down(port: Port, client: Client) -> None:
    request = pb.DowngradeRequest
    for version, text in (
        ("x", "etcdserver: wrong downgrade target version format"),
        ("3.4", "etcdserver: invalid downgrade target version"),
    ):
        call = client.call(MAINTENANCE + "Downgrade", request(version=version))
        assert await refused(call) == ("INVALID_ARGUMENT", text)
    assert (await client.call(MAINTENANCE + "Downgrade", request(version="3.5"))).version == "3.6"
    await client.call(MAINTENANCE + "Downgrade", request(action=request.ENABLE, version="3.5.0"))
    status = await client.call(MAINTENANCE + "Status", pb.StatusRequest())
    assert (status.downgradeInfo.enabled, status.downgradeInfo.targetVersion) == (True, "3.5.0")
    again = client.call(MAINTENANCE + "Downgrade", request(version="3.5"))
    assert await refused(again) == (
        "FAILED_PRECONDITION",
        "etcdserver: cluster has a downgrade job in progress",
    )
    await client.call(MAINTENANCE + "Downgrade", request(action=request.CANCEL))
    status = await client.call(MAINTENANCE + "Status", pb.StatusRequest())
    assert not status.downgradeInfo.enabled


@served
async def test_a_snapshot_ends_with_its_checksum(port: Port, client: Client) -> None:
    for number in range(50):
        await put(client, b"%d" % number, bytes(20_000))
    blobs = [answer.blob async for answer in client.answers(MAINTENANCE + "Snapshot", pb.SnapshotRequest())]
    whole = b"".join(blobs)
    body, digest = whole[:-DIGEST_BYTES], whole[-DIGEST_BYTES:]
    assert len(body) % BLOCK_BYTES == 0
    assert len(body) > 1_000_000
    assert hashlib.sha256(body).digest() == digest


@served
async def test_users_and_their_rights(port: Port, client: Client) -> None:
    for name in ("root", "u"):
        await client.call(AUTH + "UserAdd", pb.AuthUserAddRequest(name=name, password="pw"))
    again = client.call(AUTH + "UserAdd", pb.AuthUserAddRequest(name="u", password="pw"))
    assert await refused(again) == ("FAILED_PRECONDITION", "etcdserver: user name already exists")
    await client.call(AUTH + "UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    await client.call(AUTH + "RoleAdd", pb.AuthRoleAddRequest(name="r"))
    grant = pb.AuthRoleGrantPermissionRequest(
        name="r", perm=pb.Permission(permType=pb.Permission.READWRITE, key=b"p/", range_end=b"p0")
    )
    await client.call(AUTH + "RoleGrantPermission", grant)
    await client.call(AUTH + "UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r"))
    await client.call(AUTH + "AuthEnable", pb.AuthEnableRequest())
    assert await refused(put(client, b"p/1")) == ("INVALID_ARGUMENT", "etcdserver: user name is empty")
    bad = client.call(AUTH + "Authenticate", pb.AuthenticateRequest(name="u", password="bad"))
    text = "etcdserver: authentication failed, invalid user ID or password"
    assert await refused(bad) == ("INVALID_ARGUMENT", text)
    token = (await client.call(AUTH + "Authenticate", pb.AuthenticateRequest(name="u", password="pw"))).token
    mine = (("token", token),)
    await client.call(KV + "Put", pb.PutRequest(key=b"p/1", value=b"v"), metadata=mine)
    denied = ("PERMISSION_DENIED", "etcdserver: permission denied")
    assert await refused(client.call(KV + "Put", pb.PutRequest(key=b"q"), metadata=mine)) == denied
    assert (
        await refused(client.call(KV + "Compact", pb.CompactionRequest(revision=1), metadata=mine)) == denied
    )
    assert await refused(client.call(AUTH + "UserList", pb.AuthUserListRequest(), metadata=mine)) == denied
    roles = await client.call(AUTH + "UserGet", pb.AuthUserGetRequest(name="u"), metadata=mine)
    assert list(roles.roles) == ["r"]
    bearer = (("authorization", f"Bearer {token}"),)
    await client.call(KV + "Range", pb.RangeRequest(key=b"p/1"), metadata=bearer)
    forged = client.call(KV + "Range", pb.RangeRequest(key=b"p/1"), metadata=(("token", "x.1"),))
    assert await refused(forged) == ("UNAUTHENTICATED", "etcdserver: invalid auth token")
    stream = client.stream("etcdserverpb.Watch/Watch", metadata=mine)
    await stream.write(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"q")))
    answer = await stream.read()
    assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
    assert answer.cancel_reason == "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    await client.call(KV + "Range", pb.RangeRequest(key=b"p/", range_end=b"p0"), metadata=mine)
    stream.cancel()


@served
async def test_a_lock_goes_from_hand_to_hand(port: Port, client: Client) -> None:
    first = await client.call(LOCK + "Lock", pb.LockRequest(name=b"l"))
    waits = asyncio.ensure_future(client.call(LOCK + "Lock", pb.LockRequest(name=b"l")))
    await asyncio.sleep(0.1)
    assert not waits.done()
    await client.call(LOCK + "Unlock", pb.UnlockRequest(key=first.key))
    second = await waits
    assert second.key != first.key
    assert second.key.startswith(b"l/")


@served
async def test_an_election(port: Port, client: Client) -> None:
    nobody = client.call(ELECTION + "Leader", pb.LeaderRequest(name=b"e"))
    assert await refused(nobody) == ("UNKNOWN", "election: no leader")
    missing = client.call(ELECTION + "Resign", pb.ResignRequest())
    assert await refused(missing) == ("UNKNOWN", '"leader" field must be provided')
    observed = client.answers(ELECTION + "Observe", pb.LeaderRequest(name=b"e"))
    first = await client.call(ELECTION + "Campaign", pb.CampaignRequest(name=b"e", value=b"1"))
    assert (await observed.read()).kv.value == b"1"
    waits = asyncio.ensure_future(
        client.call(ELECTION + "Campaign", pb.CampaignRequest(name=b"e", value=b"2"))
    )
    await client.call(ELECTION + "Proclaim", pb.ProclaimRequest(leader=first.leader, value=b"1b"))
    assert (await observed.read()).kv.value == b"1b"
    assert (await client.call(ELECTION + "Leader", pb.LeaderRequest(name=b"e"))).kv.value == b"1b"
    await client.call(ELECTION + "Resign", pb.ResignRequest(leader=first.leader))
    second = await waits
    assert (await observed.read()).kv.value == b"2"
    late = client.call(ELECTION + "Proclaim", pb.ProclaimRequest(leader=first.leader, value=b"x"))
    assert await refused(late) == ("UNKNOWN", "election: not leader")
    assert second.leader.key != first.leader.key
    observed.cancel()


@served
async def test_health_and_reflection(port: Port, client: Client) -> None:
    check = pb.message("grpc.health.v1.HealthCheckRequest")
    assert (await client.call("grpc.health.v1.Health/Check", check())).status == 1
    unknown = client.call("grpc.health.v1.Health/Check", check(service="nobody"))
    assert await refused(unknown) == ("NOT_FOUND", "unknown service")
    ask = pb.message("grpc.reflection.v1.ServerReflectionRequest")
    stream = client.stream("grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    await stream.write(ask(list_services="*"))
    listed = await stream.read()
    assert "etcdserverpb.KV" in {each.name for each in listed.list_services_response.service}
    await stream.write(ask(file_containing_symbol="etcdserverpb.KV"))
    assert len((await stream.read()).file_descriptor_response.file_descriptor_proto) == 3
    await stream.write(ask(file_containing_symbol="no.body"))
    assert (await stream.read()).error_response.error_code == 5
    await stream.done_writing()


@served
async def test_who_insists_on_a_leader_is_refused_without_one(port: Port, client: Client) -> None:
    insists = (("hasleader", "true"),)
    await client.call(KV + "Range", pb.RangeRequest(key=b"a", serializable=True), metadata=insists)
    port.store._member.leader = 0
    call = client.call(KV + "Range", pb.RangeRequest(key=b"a", serializable=True), metadata=insists)
    assert await refused(call) == ("UNAVAILABLE", "etcdserver: no leader")
    await client.call(KV + "Range", pb.RangeRequest(key=b"a", serializable=True))
