"""What a controller manager counts of its queues."""

from __future__ import annotations

import asyncio

from kcore.client.queue import WorkQueue
from kcore.components.controllers_metrics import metrics_page
from kcore.components.queue_metrics import QUEUES, Queues, queue_of
from kcore.controllers.catalog import UPSTREAM


def test_every_step_of_a_key_is_counted() -> None:
    now_s = 0.0
    queues = Queues(lambda: now_s)

    async def run() -> None:
        nonlocal now_s
        queue: WorkQueue[str] = WorkQueue(observer=queues.of("deployment-controller"))
        for key in ("a", "b", "a"):
            queue.add(key)
        now_s = 0.5
        assert await queue.get() == "a"
        queue.add("a")  # it comes again
        now_s = 2.5
        page = _page()
        assert page["depth"] == "2"  # b, and a once more
        assert (page["unfinished_work_seconds"], page["longest_running_processor_seconds"]) == ("2", "2")
        queue.done("a")
        queue.add_after("c", 60.0)
        page = _page()
        assert (page["adds_total"], page["retries_total"], page["depth"]) == ("3", "1", "2")
        assert (page["queue_duration_seconds_sum"], page["queue_duration_seconds_count"]) == ("0.5", "1")
        assert (page["work_duration_seconds_sum"], page["unfinished_work_seconds"]) == ("2", "0")
        queue.shut_down()

    def _page() -> dict[str, str]:
        lines = [line for line in queues.lines() if 'name="deployment"}' in line]
        return {
            name.removeprefix("workqueue_").partition("{")[0]: value
            for name, value in (line.rsplit(" ", 1) for line in lines)
        }

    asyncio.run(run())
    text = metrics_page(None, None, queues).decode()
    assert 'workqueue_work_duration_seconds_bucket{name="deployment",le="10"} 1' in text
    assert 'workqueue_work_duration_seconds_bucket{name="deployment",le="1e-08"} 0' in text
    assert "# HELP workqueue_depth [BETA] Current depth of workqueue" in text


def test_queues_have_upstreams_names() -> None:
    assert [queue_of(name) for name in ("job-controller", "endpoints-controller", "ttl-controller")] == [
        "job", "endpoint", "ttlcontroller",
    ]  # fmt: skip
    assert QUEUES.keys() <= UPSTREAM.keys()
