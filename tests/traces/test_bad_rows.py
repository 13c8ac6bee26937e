"""A wrong row of any format is one line with file, row and column, or is left out and counted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.traces import load_trace
from tests.traces.published import (
    BATCH_INSTANCE,
    BATCH_TASK,
    MACHINE_META,
    PAI_JOB,
    PAI_MACHINE,
    PAI_TASK,
    PHILLY_JOBS,
    SWF_LOG,
    instance_event,
    json_lines,
    sqlite_trace,
)

OPENB_NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,96000,393216,8,G2\n"
OPENB_PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
    "p0,1,1,1,460,G2,LS,Running,7,19,9\n"
)


def check(path: Path, file: Path, place: str, message: str, **parameters: Any) -> None:
    """The line names the file, the row, the column; with on_bad=skip one row is counted."""
    with pytest.raises(InputError) as caught:
        load_trace(path, **parameters)
    text = str(caught.value)
    assert text.startswith(f"{file}: {place}"), text
    assert message in text
    assert "\n" not in text
    assert load_trace(path, on_bad="skip", **parameters).skipped == 1


@pytest.mark.parametrize(
    ("row", "place", "message"),
    [
        ("p1,1,1,1,1000,H999,LS,Running,8,9,", "row 3: column 'gpu_spec'", "names the GPU model 'H999', which no node has (expected one of G2)"),
        ("p1,1,1,1,1000,G2|H999,LS,Running,8,9,", "row 3: column 'gpu_spec'", "names the GPU model 'H999'"),
        ("p1,1,1,0,0,,LS,Running,8,7,", "row 3: column 'deletion_time'", "is before the task began"),
        ("p1,1,1,0,0,,LS,Running,8,9,7", "row 3: column 'scheduled_time'", "is before creation_time"),
        ("p1,-1,1,0,0,,LS,Running,8,9,", "row 3: column 'cpu_milli'", "is -1 (expected zero or more"),
        ("p1,1,many,0,0,,LS,Running,8,9,", "row 3: column 'memory_mib'", 'is "many" (expected a number)'),
        ("p1,1,1,1,1001,,LS,Running,8,9,", "row 3: column 'gpu_milli'", "is 1001"),
        ("p0,1,1,0,0,,LS,Running,8,9,", "row 3: column 'name'", '"p0" is there twice (expected each name once)'),
        (",1,1,0,0,,LS,Running,8,9,", "row 3: column 'name'", "is empty"),
        ("p1,1,1,0", "row 3", "has 4 cells (expected 11"),
        ("p1,1,1,0,0,,LS,Running,,9,", "row 3: column 'creation_time'", "is empty"),
    ],
)  # fmt: skip
def test_openb(tmp_path: Path, row: str, place: str, message: str) -> None:
    (tmp_path / "nodes.csv").write_text(OPENB_NODES)
    (tmp_path / "pods.csv").write_text(f"{OPENB_PODS}{row}\n")
    check(tmp_path, tmp_path / "pods.csv", place, message)


def test_a_node_of_openb(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(OPENB_NODES + "n0,1,1,0,\n")
    (tmp_path / "pods.csv").write_text(OPENB_PODS)
    check(tmp_path, tmp_path / "nodes.csv", "row 3: column 'sn'", '"n0" is there twice')


@pytest.mark.parametrize(
    ("row", "place", "message"),
    [
        ("M9,1,j_9,1,Terminated,100,50,100,1", "row 6: column 'end_time'", "is before start_time"),
        ("M9,1.5,j_9,1,Terminated,100,150,100,1", "row 6: column 'instance_num'", "is 1.5 (expected a whole number)"),
        ("M9,1,j_9,1,Terminated,100,150,100,101", "row 6: column 'plan_mem'", "is 101 (expected zero or more, at most 100)"),
        ("M9,1,j_9,1,Terminated,-3,150,100,1", "row 6: column 'start_time'", "is -3"),
        ("M1,1,j_1,1,Terminated,100,150,100,1", "row 6: column 'task_name'", '"j_1.M1" is there twice'),
        ("M9,1,,1,Terminated,100,150,100,1", "row 6: column 'job_name'", "is empty"),
        ("M9,1,j_9,1,Terminated,100,150,100", "row 6", "has 8 cells (expected 9: task_name, instance_num"),
    ],
)  # fmt: skip
def test_alibaba2018(tmp_path: Path, row: str, place: str, message: str) -> None:
    (tmp_path / "batch_task.csv").write_text(f"{BATCH_TASK}{row}\n")
    check(tmp_path, tmp_path / "batch_task.csv", place, message)


def test_other_tables_of_alibaba2018(tmp_path: Path) -> None:
    (tmp_path / "batch_task.csv").write_text(BATCH_TASK)
    file = tmp_path / "machine_meta.csv"
    file.write_text(MACHINE_META + "m_9,0,1,a,96,many,USING\n")
    check(tmp_path, file, "row 6: column 'mem_size'", 'is "many"')
    file.unlink()
    file = tmp_path / "batch_instance.csv"
    with pytest.raises(InputError, match="holds no batch_instance file"):
        load_trace(tmp_path, instances="yes")
    file.write_text(BATCH_INSTANCE + "ins_9,M1,j_1,1,Terminated,9,2,m_1,1,1,,,,\n")
    check(tmp_path, file, "row 5: column 'end_time'", "is before start_time", instances="yes")


@pytest.mark.parametrize(
    ("row", "place", "message"),
    [
        ("j9,w,1.0,Terminated,10.0,9.0,100.0,1.0,,", "row 5: column 'end_time'", "is before start_time"),
        ("j9,w,1.0,Terminated,10.0,19.0,100.0,1.0,100.0,H999", "row 5: column 'gpu_type'", "names the GPU model 'H999', which no node has (expected one of T4, V100)"),
        ("j9,w,1.0,Terminated,10.0,19.0,100.0,1.0,x,", "row 5: column 'plan_gpu'", 'is "x"'),
        ("j1,ps,1.0,Terminated,10.0,19.0,100.0,1.0,,", "row 5: column 'task_name'", '"j1.ps" is there twice'),
    ],
)  # fmt: skip
def test_pai2020(tmp_path: Path, row: str, place: str, message: str) -> None:
    (tmp_path / "pai_machine_spec.csv").write_text(PAI_MACHINE)
    (tmp_path / "pai_task_table.csv").write_text(f"{PAI_TASK}{row}\n")
    check(tmp_path, tmp_path / "pai_task_table.csv", place, message)


def test_other_tables_of_pai2020(tmp_path: Path) -> None:
    (tmp_path / "pai_task_table.csv").write_text(PAI_TASK)
    file = tmp_path / "pai_job_table.csv"
    file.write_text(PAI_JOB + "j1,i1,eve,Terminated,1,2\n")
    check(tmp_path, file, "row 3: column 'job_name'", '"j1" is there twice')
    with pytest.raises(InputError, match="gpu_type: 'best' is not known"):
        load_trace(tmp_path, gpu_type="best")


@pytest.mark.parametrize(
    ("event", "place", "message"),
    [
        (instance_event(5, 11, 1), "row 3: column 'type'", "is 11"),
        (instance_event(5, 3, 1) | {"time": "soon"}, "row 3: column 'time'", 'is "soon"'),
        (instance_event(5, 3, 1) | {"collection_id": None}, "row 3: column 'collection_id'", "is empty"),
        (
            instance_event(5, 3, 1, resource_request={"cpus": -0.5, "memory": 1.0}),
            "row 3: column 'resource_request.cpus'",
            "is -0.5",
        ),
    ],
)
def test_borg2019(tmp_path: Path, event: dict[str, Any], place: str, message: str) -> None:
    events = [instance_event(1, 0, 1), instance_event(2, 3, 1), event]
    file = json_lines(tmp_path / "instance_events-000000000000.json", events)
    check(tmp_path, file, place, message)


def test_borg2019_without_its_fields(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "instance_events.json", [{"time": "1", "collection_id": "2"}])
    with pytest.raises(InputError, match="there is no field 'type', only"):
        load_trace(file)
    file.write_text('{"time": 1, "type": \n')
    with pytest.raises(InputError, match=r"instance_events\.json: JSON parse error"):
        load_trace(file)


VMS = [(1, 1, "a", 0, 0.0, 1.0)]
TYPES = [(1, "a", 0, 0.5, 0.25, None, 0.125, 0)]


@pytest.mark.parametrize(
    ("vm", "place", "message"),
    [
        ((2, 1, "a", 0, 2.0, 1.5), "table vm, row 2: column 'endtime'", "is before starttime"),
        (
            (2, 1, "a", 0, "noon", None),
            "table vm, row 2: column 'starttime'",
            "is 'noon' (expected a number of days)",
        ),
        ((2, 1, "a", 0, None, None), "table vm, row 2: column 'starttime'", "is None"),
        ((2, 1, "z", 0, 0.0, None), "table vm, row 2: column 'vmTypeId'", "is 'z' (expected a vmTypeId"),
        ((2, 1, "a", 7, 0.0, None), "table vm, row 2: column 'priority'", "is 7 (expected 0 or 1)"),
        ((1, 1, "a", 0, 0.0, None), "table vm, row 2: column 'vmId'", "1 is there twice"),
        ((2, 1, "a", 0, 0.0, 1e300), "table vm, row 2: column 'endtime'", "is 1e+300"),
    ],
)
def test_azure_packing(tmp_path: Path, vm: tuple[Any, ...], place: str, message: str) -> None:
    file = sqlite_trace(tmp_path / "x.sqlite", [*VMS, vm], TYPES)
    check(tmp_path, file, place, message)


def test_azure_packing_without_its_tables(tmp_path: Path) -> None:
    file = sqlite_trace(tmp_path / "x.sqlite", VMS, [(1, "a", 0, 1.5, 0, 0, 0, 0)])
    with pytest.raises(InputError, match=r"table vmType, row 1: column .core.: is 1\.5"):
        load_trace(file)
    file = sqlite_trace(tmp_path / "y.sqlite", VMS, TYPES)
    with pytest.raises(InputError, match="machine: no machine 5 is in the table vmType"):
        load_trace(file, machine=5)
    with pytest.raises(InputError, match="holds 2 SQLite files"):
        load_trace(tmp_path, "azure_packing")
    file.write_bytes(b"SQLite format 3\x00" + b"x" * 2000)
    with pytest.raises(InputError, match="is no SQLite file that can be read"):
        load_trace(file)
    (tmp_path / "z.sqlite").write_bytes(b"")
    with pytest.raises(InputError, match="there is no table 'vm'"):
        load_trace(tmp_path / "z.sqlite", "azure_packing")


def _philly(change: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    job = copy.deepcopy(PHILLY_JOBS[0]) | {"jobid": "x"}
    change(job)
    return [*PHILLY_JOBS, job]


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (lambda job: job.update(jobid="application_1"), "job 4: jobid", "is there twice"),
        (lambda job: job.update(submitted_time="yesterday"), "job 4: submitted_time", 'is "yesterday" (expected 2017-10-07'),
        (lambda job: job.update(submitted_time=""), "job 4: submitted_time", "is empty"),
        (lambda job: job.pop("attempts"), "job 4", "Object missing required field `attempts`"),
        (lambda job: job["attempts"][2].update(end_time="2017-10-07 01:00:00"), "job 4: attempts[2].end_time", "is before start_time"),
        (lambda job: job["attempts"][0].update(detail=5), "job 4: attempts[0].detail", "Expected `array | null`, got `int`"),
    ],
)  # fmt: skip
def test_philly(tmp_path: Path, change: Callable[[dict[str, Any]], Any], place: str, message: str) -> None:
    file = tmp_path / "cluster_job_log"
    file.write_text(json.dumps(_philly(change)))
    check(tmp_path, file, place, message)


def test_philly_that_is_no_list(tmp_path: Path) -> None:
    file = tmp_path / "cluster_job_log"
    file.write_text("{}")
    with pytest.raises(InputError, match="is no JSON list of jobs"):
        load_trace(file)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5 40 0 -7 4 -1 -1 4 200 -1 1 7 1 -1 1 -1 -1 -1", "line 12: column 'run time': is -7"),
        ("5 -1 0 10 4 -1 -1 4 200 -1 1 7 1 -1 1 -1 -1 -1", "line 12: column 'submit time': is -1"),
        ("5 40 0 ten 4 -1 -1 4 200 -1 1 7 1 -1 1 -1 -1 -1", "line 12: column 'run time': is \"ten\""),
        (
            "1 40 0 10 4 -1 -1 4 200 -1 1 7 1 -1 1 -1 -1 -1",
            "line 12: column 'job number': \"job-1\" is there twice",
        ),
        ("5 40 0 10 4", "line 12: has 5 fields (expected 18)"),
    ],
)
def test_swf(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "log.swf"
    file.write_text(f"{SWF_LOG}{line}\n")
    check(file, file, message.partition(":")[0], message)


def test_swf_without_jobs_or_with_too_many_nodes(tmp_path: Path) -> None:
    file = tmp_path / "log.swf"
    file.write_text("; MaxNodes: 3\n")
    with pytest.raises(InputError, match="holds no job"):
        load_trace(file)
    file.write_text("; MaxNodes: 30000000\n" + SWF_LOG)
    with pytest.raises(InputError, match="MaxNodes: has 30,000,000 nodes"):
        load_trace(file)


@pytest.mark.parametrize(
    "name", ["alibaba2018", "pai2020", "borg2019", "philly", "swf", "azure_packing", "plain"]
)
def test_a_folder_without_the_tables(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"holds (?:no|0) "):
        load_trace(tmp_path, name)
    with pytest.raises(InputError, match="is not there"):
        load_trace(tmp_path / "nowhere", name)
