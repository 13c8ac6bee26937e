"""Each published format becomes a trace with the times, requests, jobs and owners that its schema means."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kcore.traces import load_openb, load_trace, make
from kcore.traces.openb import GPU_MILLI
from kcore.traces.trace import NodeEvent
from tests.shared import SHARED
from tests.traces.published import (
    BATCH_INSTANCE,
    BATCH_TASK,
    MACHINE_META,
    PAI_INSTANCE,
    PAI_JOB,
    PAI_MACHINE,
    PAI_TASK,
    PHILLY_JOBS,
    SWF_LOG,
    asked,
    instance_event,
    json_lines,
    models,
    names,
    owners,
    sqlite_trace,
)

OPENB = SHARED / "datasets" / "openb"

GIB = 1 << 30


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


# -- openb


def test_openb_runs_from_when_it_was_scheduled_to_its_deletion(tmp_path: Path) -> None:
    write(
        tmp_path,
        nodes="sn,cpu_milli,memory_mib,gpu,model\nn0,96000,393216,8,G2\nn1,32000,262144,0,\n",
        pods=(
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
            "p0,4000,1024,1,460,G2,LS,Running,7,19,9\n"
            "p1,8000,2048,2,1000,,BE,Pending,3,9,\n"
            "p2,8000,2048,0,0,,BE,Running,4,,5\n"
        ),
    )
    trace = load_trace(tmp_path)
    assert names(trace) == ["p1", "p2", "p0"]
    assert trace.submit_ms.tolist() == [0, 1000, 4000]
    assert trace.duration_ms.tolist() == [6000, -1, 10_000]
    assert trace.gpu_count is not None and trace.gpu_count.tolist() == [2, 0, 1]
    assert trace.gpu_milli is not None and trace.gpu_milli.tolist() == [1000, 0, 460]
    assert asked(trace, GPU_MILLI) == [2000, 0, 460]
    assert models(trace) == [None, None, ["G2"]]
    assert len(trace.objects.nodes) == 2


@pytest.mark.skipif(not OPENB.is_dir(), reason=f"the openb trace is not at {OPENB}; set KCORE_SHARED")
@pytest.mark.parametrize("pods", ["default", "multigpu50", "gpuspec33"])
def test_openb_as_a_trace_has_the_pods_of_openb(pods: str) -> None:
    folder = OPENB
    file = f"openb_pod_list_{pods}.csv"
    trace, objects = load_trace(folder, pods=file), load_openb(folder, pods=file)
    assert objects is not None
    (columns,) = objects.pod_columns
    assert trace.columns.names.equals(columns.names)
    for resource, amounts in (columns.requests or {}).items():
        assert asked(trace, resource) == amounts.tolist()
    kinds = [
        [table.exemplars[code] for code in table.exemplar.tolist()] for table in (trace.columns, columns)
    ]
    assert kinds[0] == kinds[1]
    assert (trace.duration_ms.min() == -1) == (pods == "multigpu50")  # a list without times


# -- alibaba2018


def test_tasks_of_2018_are_as_many_pods_as_they_have_instances(tmp_path: Path) -> None:
    trace = load_trace(write(tmp_path, batch_task=BATCH_TASK, machine_meta=MACHINE_META), memory_bytes=1000)
    assert names(trace) == ["j_2.task_Nzg=.0", "j_1.M1.0", "j_1.M1.1", "j_1.R2_1.0"]
    assert trace.submit_ms.tolist() == [0, 10_000, 10_000, 70_000]
    assert trace.duration_ms.tolist() == [-1, 60_000, 60_000, 40_000]
    assert asked(trace, "cpu") == [500, 1000, 1000, 2500]
    assert asked(trace, "memory") == [250, 500, 500, 5]
    assert trace.job.tolist() == [0, 1, 1, 1]
    assert trace.left_out == {
        "tasks that did not start within the trace": 1,
        "tasks without a plan": 1,
    }
    assert not trace.gang


def test_machines_of_2018_come_and_go(tmp_path: Path) -> None:
    trace = load_trace(write(tmp_path, batch_task=BATCH_TASK, machine_meta=MACHINE_META), memory_bytes=1000)
    assert [node.metadata.name for node in trace.objects.nodes] == ["m_1", "m_2", "m_3"]
    assert trace.node_events == [NodeEvent(30_000, "remove", "m_2"), NodeEvent(60_000, "add", "m_3")]
    first = trace.objects.nodes[0]
    assert first.status.allocatable == {"cpu": "96000m", "memory": 1000, "pods": 10_000}
    assert (first.metadata.labels or {})["kcore.dev/failure-domain-2"] == "a"


def test_instances_of_2018_run_as_long_as_each_did(tmp_path: Path) -> None:
    write(tmp_path, batch_task=BATCH_TASK, batch_instance=BATCH_INSTANCE)
    trace = load_trace(tmp_path, instances="yes")
    assert names(trace) == ["j_1.M1.ins_1.1", "j_1.M1.ins_2.1", "j_1.R2_1.ins_3.1"]
    assert trace.submit_ms.tolist() == [0, 0, 60_000]
    assert trace.duration_ms.tolist() == [49_000, 55_000, -1]
    assert trace.left_out["instances of tasks that are not placed"] == 1


def test_a_window_of_2018_is_cut_out(tmp_path: Path) -> None:
    (tmp_path / "batch_task.csv.gz").write_bytes(gzip.compress(BATCH_TASK.encode()))
    trace = load_trace(tmp_path, from_s=95, until_s=160)
    assert names(trace) == ["j_1.M1.0", "j_1.M1.1"]


def test_tasks_of_2018_are_told_by_their_columns(tmp_path: Path) -> None:
    file = write(tmp_path, other=BATCH_TASK) / "other.csv"
    assert load_trace(file.rename(tmp_path / "batch_task.csv")).pods == 4


# -- pai2020


def test_tasks_of_pai_arrive_with_their_job_and_belong_to_its_user(tmp_path: Path) -> None:
    write(tmp_path, pai_task_table=PAI_TASK, pai_job_table=PAI_JOB, pai_machine_spec=PAI_MACHINE)
    trace = load_trace(tmp_path)
    # bob's job says 95, its task was launched at 90: the launch counts
    assert names(trace) == ["j2.tensorflow.0", "j1.worker.0", "j1.worker.1", "j1.ps.0"]
    assert trace.submit_ms.tolist() == [0, 10_000, 10_000, 10_000]
    assert trace.duration_ms.tolist() == [-1, 40_500, 40_500, 40_000]
    assert owners(trace) == ["bob", "alice", "alice", "alice"]
    assert asked(trace, "cpu") == [1000, 6000, 6000, 2000]
    assert asked(trace, "memory")[1] == int(29.296875 * GIB)
    assert asked(trace, GPU_MILLI) == [2000, 500, 500, 0]
    assert trace.gpu_count is not None and trace.gpu_count.tolist() == [2, 1, 1, 0]
    assert trace.gpu_milli is not None and trace.gpu_milli.tolist() == [1000, 500, 500, 0]
    assert models(trace) == [["V100"], ["T4"], ["T4"], None]
    assert trace.left_out == {"tasks that were not launched within the trace": 1}
    assert [node.status.allocatable.get(GPU_MILLI) for node in trace.objects.nodes] == [2000, 8000, None]


def test_tasks_of_pai_may_take_any_model_and_start_together(tmp_path: Path) -> None:
    trace = load_trace(
        write(tmp_path, pai_task_table=PAI_TASK) / "pai_task_table.csv", gpu_type="any", gang="yes"
    )
    assert trace.gang
    assert set(map(str, models(trace))) == {"None"}
    assert owners(trace) == ["default"] * 4
    assert trace.submit_ms.tolist() == [0, 20_000, 20_000, 20_000]  # ps was launched a second later


def test_instances_of_pai_run_as_long_as_each_did(tmp_path: Path) -> None:
    write(tmp_path, pai_task_table=PAI_TASK, pai_job_table=PAI_JOB, pai_instance_table=PAI_INSTANCE)
    trace = load_trace(tmp_path, instances="yes")
    assert names(trace) == ["j1.worker.w0", "j1.worker.w1"]
    assert trace.duration_ms.tolist() == [30_000, 38_000]
    assert trace.left_out["instances that were not launched within the trace"] == 1
    assert trace.left_out["instances of tasks that are not placed"] == 1


# -- borg2019


def borg(folder: Path) -> Path:
    json_lines(
        folder / "instance_events-000000000000.json",
        [
            instance_event(2_000_000, 0, 1),
            instance_event(3_000_000, 3, 1),
            instance_event(5_000_000, 4, 1),
            instance_event(5_000_000, 0, 1),
            instance_event(9_000_000, 3, 1),
            instance_event(10_000_000, 6, 1),
            instance_event(1_000_000, 0, 2, resource_request={"cpus": 1, "memory": 0}, priority="0"),
            instance_event(1_500_000, 3, 2, resource_request=None),
        ],
    )
    json_lines(
        folder / "instance_events-000000000001.json",
        [
            instance_event(4_000_000, 0, 3, 1, alloc_collection_id="77"),
            instance_event(4_000_000, 0, 4),
            instance_event(4_000_001, 7, 4),
            instance_event(2_000_000, 0, 1, 1),
            instance_event(2_500_000, 3, 1, 1),
            instance_event(2_750_000, 5, 1, 1),
            instance_event(0, 3, 5, resource_request=None),
            instance_event(2**63 - 1, 0, 6),
        ],
    )
    json_lines(
        folder / "collection_events-000000000000.json",
        [{"time": "0", "type": "0", "collection_id": str(number), "user": f"u{number}"} for number in (1, 3)],
    )
    json_lines(
        folder / "machine_events-000000000000.json",
        [
            {"time": "0", "machine_id": "5", "type": "1", "capacity": {"cpus": 0.5, "memory": 1}, "platform_id": "P"},
            {"time": "3000000", "machine_id": "5", "type": "3", "capacity": {"cpus": 0.4, "memory": 1}},
            {"time": "4000000", "machine_id": "5", "type": "2"},
            {"time": "6000000", "machine_id": "6", "type": "1", "capacity": {"cpus": 1.0, "memory": 0.25}},
            {"time": "7000000", "machine_id": "7", "type": "1"},
        ],
    )  # fmt: skip
    return folder


def test_instances_of_borg_run_as_long_as_all_their_runs(tmp_path: Path) -> None:
    trace = load_trace(borg(tmp_path), cpu_milli=1000, memory_bytes=4096)
    assert names(trace) == ["2-0", "1-0", "1-1"]
    assert trace.submit_ms.tolist() == [0, 1000, 1000]
    assert trace.duration_ms.tolist() == [-1, 3000, 250]
    assert asked(trace, "cpu") == [1000, 250, 250]
    assert asked(trace, "memory") == [0, 2048, 2048]
    assert trace.job.tolist() == [0, 1, 1]
    assert owners(trace) == ["default", "u1", "u1"]
    assert trace.columns.priority is not None and trace.columns.priority.tolist() == [0, 200, 200]
    assert trace.left_out == {
        "tasks inside alloc instances, whose room they use": 1,
        "instances that did not run within the trace": 2,
        "instances without a request": 1,
    }


def test_machines_of_borg_keep_their_first_capacity(tmp_path: Path) -> None:
    trace = load_trace(borg(tmp_path), cpu_milli=1000, memory_bytes=4096)
    assert [node.metadata.name for node in trace.objects.nodes] == ["machine-5", "machine-6"]
    assert trace.objects.nodes[0].status.allocatable == {"cpu": "500m", "memory": 4096, "pods": 10_000}
    assert (trace.objects.nodes[0].metadata.labels or {})["kcore.dev/platform"] == "P"
    assert trace.node_events == [NodeEvent(3000, "remove", "machine-5"), NodeEvent(5000, "add", "machine-6")]


def test_borg_in_parquet_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "parquet").mkdir()
    for file in sorted(borg(tmp_path / "json").iterdir()):
        records = [json.loads(line) for line in file.read_text().splitlines()]
        for record in records:
            for key, value in record.items():
                if isinstance(value, str) and value.isdigit():
                    record[key] = int(value)
            record.pop("constraint", None)
            if isinstance(request := record.pop("resource_request", None), dict):
                record |= {f"resource_request.{key}": float(value) for key, value in request.items()}
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "parquet" / f"{file.stem}.parquet")
    first, second = load_trace(tmp_path / "json"), load_trace(tmp_path / "parquet")
    assert names(first) == names(second)
    assert np.array_equal(first.duration_ms, second.duration_ms)
    assert first.columns.requests is not None and second.columns.requests is not None
    for resource, amounts in first.columns.requests.items():
        assert np.array_equal(amounts, second.columns.requests[resource])


# -- azure_packing

TYPES = [(1, "a", 0, 0.5, 0.25, None, 0.125, 0), (2, "a", 1, 0.1, 0.1, 0, 0, 0), (3, "b", 1, 1, 1, 0, 0, 0.5)]


def test_vms_of_azure_take_parts_of_the_chosen_machine(tmp_path: Path) -> None:
    vms = [(7, 1, "a", 0, -1.5, 2.5), (8, 2, "a", 1, 0.25, None), (9, 1, "b", 0, 1.0, 1.0)]
    file = sqlite_trace(tmp_path / "packing_trace_zone_a_v1.sqlite", vms, TYPES)
    trace = load_trace(file, machine=0, nodes=2, cpu_milli=64_000, memory_bytes=1024, ssd_bytes=800)
    assert names(trace) == ["vm-7", "vm-8"]
    assert trace.submit_ms.tolist() == [0, int(1.75 * 86_400_000)]
    assert trace.duration_ms.tolist() == [4 * 86_400_000, -1]
    assert asked(trace, "cpu") == [32_000, 32_000]
    assert asked(trace, "memory") == [256, 256]
    assert asked(trace, "ephemeral-storage") == [100, 100]
    assert asked(trace, "kcore.dev/nic") == [0, 0]
    assert owners(trace) == ["1", "2"]
    assert trace.columns.priority is not None and trace.columns.priority.tolist() == [0, -1]
    assert trace.left_out == {"VMs of types that the chosen machine does not offer": 1}
    assert [node.status.allocatable["kcore.dev/nic"] for node in trace.objects.nodes] == [1_000_000] * 2


def test_the_machine_that_most_vms_fit_is_chosen(tmp_path: Path) -> None:
    vms = [(7, 1, "a", 0, 0, 1), (9, 1, "b", 0, 1.0, None)]
    sqlite_trace(tmp_path / "x.sqlite", vms, TYPES)
    trace = load_trace(tmp_path)
    assert asked(trace, "kcore.dev/nic") == [0, 500_000]
    assert trace.left_out == {}


# -- philly


def test_jobs_of_philly_are_gangs_of_a_pod_a_server(tmp_path: Path) -> None:
    (tmp_path / "cluster_job_log").write_text(json.dumps(PHILLY_JOBS))
    (tmp_path / "cluster_machine_list").write_text(
        "machineId,number of GPUs, single GPU mem\nm1,8, 24GB\nm2,2,12GB\n"
    )
    trace = load_trace(tmp_path, cpu_milli_per_gpu=4000)
    assert trace.gang
    assert names(trace) == ["application_3", "application_1-0", "application_1-1"]
    assert trace.submit_ms.tolist() == [0, 90_699_000, 90_699_000]
    assert trace.duration_ms.tolist() == [-1, 3_660_000, 3_660_000]
    assert asked(trace, GPU_MILLI) == [1000, 2000, 1000]
    assert asked(trace, "cpu") == [4000, 8000, 4000]
    assert "memory" not in (trace.columns.requests or {})
    assert trace.gpu_count is not None and trace.gpu_count.tolist() == [1, 2, 1]
    assert trace.job.tolist() == [0, 1, 1]
    assert owners(trace) == ["default", "u1", "u1"]
    assert trace.left_out == {"jobs that were never given a GPU": 1}
    assert [node.status.allocatable[GPU_MILLI] for node in trace.objects.nodes] == [8000, 2000]
    assert (trace.objects.nodes[0].metadata.labels or {})["kcore.dev/gpu-memory"] == "24GB"
    assert owners(load_trace(tmp_path, owner="vc")) == ["v2", "v1", "v1"]


# -- swf


def test_jobs_of_swf_are_gangs_as_wide_as_their_processors(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_text(SWF_LOG)
    trace = load_trace(tmp_path / "log.swf")
    assert trace.gang
    assert names(trace) == ["job-2-0", "job-2-1", "job-2-2", "job-1", "job-4"]
    assert asked(trace, "cpu") == [4000, 4000, 2000, 4000, 1000]
    assert trace.submit_ms.tolist() == [0, 0, 0, 10_000, 30_000]
    assert trace.duration_ms.tolist() == [50_000, 50_000, 50_000, 100_000, 9_500]
    assert trace.estimate_ms.tolist() == [-1, -1, -1, 200_000, 60_000]
    assert trace.job.tolist() == [0, 0, 0, 1, 2]
    assert owners(trace) == ["default", "default", "default", "user-7", "user-8"]
    assert [node.status.allocatable["cpu"] for node in trace.objects.nodes] == ["4000m"] * 3
    assert trace.left_out == {"jobs that never ran": 1, "parts of jobs that another line sums up": 1}
    assert "memory" not in (trace.columns.requests or {})


def test_nodes_of_swf_may_be_wider_and_have_memory(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_text(SWF_LOG)
    trace = load_trace(tmp_path, cores_per_node=6, memory_bytes_per_node=64 * GIB)
    assert asked(trace, "cpu") == [6000, 4000, 4000, 1000]
    assert asked(trace, "memory") == [0, 0, 4 << 20, 0]
    assert [node.status.allocatable["memory"] for node in trace.objects.nodes] == [64 * GIB] * 2


def test_swf_without_a_header_has_no_nodes_and_one_pod_a_job(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("\n".join(line for line in SWF_LOG.splitlines() if ";" not in line))
    trace = load_trace(tmp_path / "log.txt")
    assert names(trace) == ["job-2", "job-1", "job-4"]
    assert trace.objects.nodes == []


def test_a_loader_is_a_dataset_too(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_text(SWF_LOG)
    objects = make("swf", path=str(tmp_path))
    assert len(objects.nodes) == 3
    assert len(objects.pod_columns[0].exemplar) == 5
