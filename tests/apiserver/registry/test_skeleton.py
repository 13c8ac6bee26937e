"""What is left of an object and a patch without their own values, beside the naive reading of both."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import orjson
import pytest

from kcore_native.cacher.skeleton import HOLES_MAX, VALUES_MAX, Form, is_address, pieces_of, skeleton
from tests.naive import skeleton as naive

pytestmark = pytest.mark.differential

NOW = "2026-01-02T03:04:05Z"
UID = "01234567-89ab-cdef-0123-456789abcdef"
TEXTS = [
    NOW, "2026-01-02T03:04:06Z", "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:04.123456Z",
    "2026-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2026-01-31T23:59:59Z", "2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z",
    "2026-01-02T24:00:00Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.1234567890Z", "0001-01-01T00:00:00Z",
    "2026-01-02T03:04:05+00:00", "10.0.0.1", "10.0.0.2", "9.255.255.255", "10.00.0.1", "10.0.0.256", "127.0.0.1", "0.0.0.0",
    "169.254.1.1", "224.0.0.1", "10.0.0", "10.0.0.1.2", "2001:db8::1", "2001:DB8::1", "2001:db8:0::1", "fd00::10.0.0.1",
    "10.244.3.0/24", "10.244.3.0/23", "10.244.4.0/22", "10.0.0.0/8", "10.0.0.0/7", "10.1.2.3/32", "10.1.2.3/33", "10.1.2.0/024",
    "10.1.2.0/", "10.1.2/24", "127.0.0.0/8", "10.244.3.0/255.255.255.0", "2001:db8::/64",
    "fd00::1:2", "fe80::1", "::1", "::", "::ffff:10.0.0.1", UID, UID.upper(), UID[1:], "kube-api-access-x7k2p",
    "kube-api-access-X7k2p", "containerd://" + "a1" * 32, "docker://" + "a1" * 31, "web-1", "web-2", "node-1.example.com",
    "kubelet-x", "status", "é\n\t\\", "a\\", "", "x", 'a"b', "k:{\"ip\":\"10.0.0.1\"}", "f:10.0.0.1", "v:\"web-1\"",
]  # fmt: skip


def value(random: Random, depth: int) -> Any:
    choice = random.randrange(8)
    if depth and choice == 0:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and choice == 1:
        return members(random, depth - 1)
    return random.choice([1, True, None]) if choice == 2 else random.choice(TEXTS)


def members(random: Random, depth: int) -> dict[str, Any]:
    names = random.sample(["ip", "name", "nodeName", "status", "time", "a/b"], random.randrange(4))
    if random.random() < 0.02:
        names.append(random.choice(TEXTS))
    return {name: value(random, depth) for name in names}


def test_a_skeleton_is_the_naive_one() -> None:
    random, planned = Random(5), 0
    for _ in range(1500):
        name = random.choice(
            ["web-1", "web2", "v1", "v-1", "1m", "vm", "x.v1", "status", "node-1.example.com"]
        )
        node = random.choice(["node-1.example.com", "n1", "a-"])
        metadata = {"uid": UID, "name": "", **members(random, 1)} | {"name": name}
        obj: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        obj |= {"spec": {"nodeName": node, "x": value(random, 3)}, "status": members(random, 3)}
        stored = orjson.dumps(obj)
        asked = json.dumps(value(random, 3), ensure_ascii=random.random() < 0.2).encode()
        if (first := stored.find(b'"nodeName":"')) >= 0:
            node = stored[first + 12 :].partition(b'"')[0].decode()
        words = random.sample(["kubelet-x", "web-2", "status"], 2)
        found = skeleton(stored, asked, NOW.encode(), tuple(word.encode() for word in words))
        own = name if naive.is_distinct(name, words) else ""
        host = node if naive.is_distinct(node, words) else ""
        wanted = naive.skeleton(stored.decode(), own, host, asked.decode(), NOW)
        if found is None or wanted is None:
            assert found is None and wanted is None, (stored, asked)
            continue
        planned += 1
        assert (found[0].decode(), [each.decode() for each in found[1]]) == wanted
        pieces = pieces_of(stored, found[1], {})
        assert pieces is not None
        assert Form(pieces).filled(found[1]) == stored
    assert planned > 800


def test_what_might_be_told_wrongly_has_no_skeleton() -> None:
    stored = orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}, "spec": {}})

    def seen(asked: bytes, now: bytes = NOW.encode()) -> bool:
        return skeleton(stored, asked, now, ()) is not None

    assert seen(b'{"a":"web-1","b":"10.0.0.1","c":"x\\ny\\\\u0041"}')
    assert not seen(b'{"a":"\\u0077eb-1"}')
    assert not seen(b'{"a":"containerd:\\/\\/"}')
    assert not seen(b'{"a":"\x01N "}')
    assert not seen(b'{"web-1" : 1}')
    assert not seen(b'{"a":"{\\"10.0.0.1\\":1}"}')
    assert not seen(b"{}", b"2026-02-29T00:00:00Z")
    many = [f"10.0.{at // 250}.{at % 250 + 1}" for at in range(HOLES_MAX)]
    assert seen(orjson.dumps(many[: VALUES_MAX - 2]))
    assert not seen(orjson.dumps(many[:VALUES_MAX]))
    assert seen(orjson.dumps(["10.0.0.1"] * (HOLES_MAX - 1)))
    assert not seen(orjson.dumps(["10.0.0.1"] * HOLES_MAX))
    assert skeleton(b"[1]", b"", NOW.encode(), ()) is not None
    for cut in range(len(stored)):
        skeleton(stored[:cut], stored[cut:], NOW.encode(), ())


def test_a_result_with_another_time_or_address_is_in_no_pieces() -> None:
    assert pieces_of(b'{"a":"10.0.0.1","b":"x"}', [b"10.0.0.1"], {}) == [b'{"a":"', 0, b'","b":"x"}']
    assert pieces_of(b'{"a":"10.0.0.2"}', [b"10.0.0.1"], {}) is None
    assert pieces_of(b'{"10.0.0.1":1}', [b"10.0.0.1"], {}) is None
    assert pieces_of(b'{"a":"10.0.0.2"}', [b"10.0.0.1"], {6: 7}) == [b'{"a":"', 7, b'"}']
    assert [is_address(each) for each in (b"10.0.0.1", b"fd00::1", b"web-1", NOW.encode())] == [
        True,
        True,
        False,
        False,
    ]
