"""Pages of the client port over HTTP/1.1: health, version, metrics, JSON, and both protocols on one port."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

from kcore.store.etcd import messages as pb
from kcore.store.face import AlarmAction, AlarmType
from tests.store.etcd.ports import Port, connect, open_port


def served(test: Callable[[Port], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def body() -> None:
            async with open_port() as port:
                await test(port)

        asyncio.run(body())

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    return run


async def page(port: Port, path: str, **options: str) -> tuple[int, str]:
    status, body = await asyncio.to_thread(port.page, path, **options)
    return status, body.decode()


@served
async def test_health(port: Port) -> None:
    assert await page(port, "/health") == (200, '{"health":"true","reason":""}')
    assert await page(port, "/health?serializable=true") == (200, '{"health":"true","reason":""}')
    assert await page(port, "/livez") == (200, "ok\n")
    assert (await page(port, "/livez/serializable_read"))[0] == 200
    assert (await page(port, "/livez/nothing"))[0] == 404
    checks = ("data_corruption", "serializable_read", "linearizable_read", "non_learner")
    verbose = "".join(f"[+]{name} ok\n" for name in checks)
    assert await page(port, "/readyz?verbose") == (200, f"{verbose}ok\n")


@served
async def test_alarms_make_it_ill(port: Port) -> None:
    await port.store.alarm(AlarmAction.ACTIVATE, port.store.member_id, AlarmType.CORRUPT)
    assert await page(port, "/health") == (503, '{"health":"false","reason":"ALARM CORRUPT"}\n')
    status, text = await page(port, "/readyz")
    assert status == 503
    assert "[-]data_corruption failed: alarm activated: CORRUPT\n" in text
    await port.store.alarm(AlarmAction.DEACTIVATE, port.store.member_id, AlarmType.CORRUPT)
    await port.store.alarm(AlarmAction.ACTIVATE, port.store.member_id, AlarmType.NOSPACE)
    assert (await page(port, "/health"))[0] == 503
    assert (await page(port, "/health?exclude=NOSPACE"))[0] == 200
    assert (await page(port, "/readyz"))[0] == 200


@served
async def test_version_and_what_is_not_there(port: Port) -> None:
    status, text = await page(port, "/version")
    assert status == 200
    assert json.loads(text)["etcdcluster"] == "3.6.0"
    assert await page(port, "/nothing") == (404, "404 page not found\n")
    assert (await page(port, "/health", method="POST"))[0] == 405


@served
async def test_metrics_have_etcds_names(port: Port) -> None:
    async with connect(port) as client:
        await client.call("etcdserverpb.KV/Put", pb.PutRequest(key=b"a"))
    status, text = await page(port, "/metrics")
    assert status == 200
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["etcd_server_has_leader"] == values["etcd_server_is_leader"] == "1"
    assert values["etcd_debugging_mvcc_keys_total"] == "1"
    label = 'grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert values[f"grpc_server_handled_total{{{label}}}"] == "1"
    assert values["etcd_mvcc_put_total"] == "1" and values["etcd_mvcc_txn_total"] == "0"
    assert values["etcd_server_proposals_failed_total"] == "0"
    for name in ("etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds"):
        bounds = [key for key in values if key.startswith(f"{name}_bucket")]
        assert bounds[0] == f'{name}_bucket{{le="0.001"}}' and bounds[-2:] == [
            f'{name}_bucket{{le="8.192"}}',
            f'{name}_bucket{{le="+Inf"}}',
        ]
        assert len(bounds) == 15 and values[bounds[-1]] == values[f"{name}_count"]
    assert int(values["etcd_disk_backend_commit_duration_seconds_count"]) > 0
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            assert line.split()[-1] in ("gauge", "counter", "histogram")


async def post(port: Port, path: str, body: object) -> tuple[int, dict[str, object]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, text = await asyncio.to_thread(port.page, path, "POST", raw)
    return status, json.loads(text)


@served
async def test_json_over_http(port: Port) -> None:
    key = base64.b64encode(b"k").decode()
    status, answer = await post(port, "/v3/kv/put", {"key": key, "value": key})
    assert status == 200
    assert answer["header"]["revision"] == "2"  # type: ignore[index]
    status, answer = await post(port, "/v3/kv/range", {"key": key})
    assert answer["kvs"][0]["value"] == key  # type: ignore[index]
    status, answer = await post(port, "/v3/kv/put", {})
    assert (status, answer["code"], answer["message"]) == (400, 3, "etcdserver: key is not provided")
    status, answer = await post(port, "/v3/kv/put", b"{not json")
    assert status == 400
    status, answer = await post(port, "/v3/kv/nothing", {})
    assert status == 404
    status, answer = await post(port, "/v3/lock/lock", {"name": key})
    assert base64.b64decode(str(answer["key"])).startswith(b"k/")


@served
async def test_a_connection_serves_many_pages(port: Port) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3
        + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    text = await reader.read()
    assert text.count(b"HTTP/1.1 200 OK") == text.count(b"\r\n\r\nok\n") == 4
    writer.close()


@served
async def test_a_body_too_large_is_refused(port: Port) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + bytes(3_000_000))
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()
