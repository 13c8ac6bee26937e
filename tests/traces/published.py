"""Small traces in the published formats, as the publishers write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kcore.traces.trace import Trace

# task_name,instance_num,job_name,task_type,status,start_time,end_time,plan_cpu,plan_mem
BATCH_TASK = (
    "M1,2,j_1,1,Terminated,100,160,100.0,50\n"
    "R2_1,1,j_1,1,Terminated,160,200,250,0.5\n"
    "task_Nzg=,1,j_2,1,Terminated,90,0,50,25\n"
    "M1,1,j_3,1,Waiting,0,0,100,1\n"
    "M1,1,j_4,1,Failed,95,96,,\n"
)
BATCH_INSTANCE = (
    "ins_1,M1,j_1,1,Terminated,101,150,m_1,1,1,10,20,1,2\n"
    "ins_2,M1,j_1,1,Terminated,105,160,m_2,1,1,10,20,1,2\n"
    "ins_3,R2_1,j_1,1,Running,170,0,m_1,1,1,,,,\n"
    "ins_4,M1,j_9,1,Terminated,1,2,m_1,1,1,,,,\n"
)
MACHINE_META = (
    "m_1,0,1,a,96,100,USING\nm_2,0,1,b,64,50,USING\nm_2,120,1,b,64,50,OFFLINE\n"
    "m_3,150,2,b,64,50,USING\nm_4,10,2,b,64,50,OFFLINE\n"
)

# job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,gpu_type
PAI_TASK = (
    "j1,worker,2.0,Terminated,110.0,150.5,600.0,29.296875,50.0,T4\n"
    "j1,ps,1.0,Terminated,111.0,151.0,200.0,10.0,,\n"
    "j2,tensorflow,1.0,Running,90.0,,100.0,1.0,200.0,V100\n"
    "j3,worker,1.0,Waiting,,,100.0,1.0,100.0,T4\n"
)
PAI_JOB = "j1,i1,alice,Terminated,100.0,151.0\nj2,i2,bob,Running,95.0,\n"
PAI_INSTANCE = (
    "j1,worker,n0,w0,i1,Terminated,110.0,140.0,m1\nj1,worker,n1,w1,i1,Terminated,112.0,150.0,m1\n"
    "j1,ps,n2,w2,i1,Waiting,,,\nj9,worker,n3,w3,i9,Terminated,1.0,2.0,m1\n"
)
PAI_MACHINE = "m1,T4,96,512,2\nm2,V100,96,512,8\nm3,CPU,64,256,0\n"

SWF_LOG = """; Version: 2.2
; Computer: Test
; MaxNodes: 3
; MaxProcs: 12
;
  1   10  5  100  4  -1 -1   4  200 1024  1  7 1 -1 1 -1 -1 -1
  2    0  0   50 10  -1 -1  -1   -1   -1  0 -1 1 -1 1 -1 -1 -1

  3   20  0   -1 -1  -1 -1   4  200   -1  5  7 1 -1 1 -1 -1 -1
  4   30  0  9.5  1  -1 -1   1   60   -1  1  8 1 -1 1 -1 -1 -1
  4   30  0    4  1  -1 -1   1   60   -1  2  8 1 -1 1 -1 -1 -1
"""

PHILLY_JOBS: list[dict[str, Any]] = [
    {
        "status": "Pass",
        "vc": "v1",
        "jobid": "application_1",
        "attempts": [
            {
                "start_time": "2017-10-07 01:12:00",
                "end_time": "2017-10-07 01:13:00",
                "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}, {"ip": "m2", "gpus": ["gpu0"]}],
            },
            {"start_time": None, "end_time": "2017-10-07 02:00:00", "detail": []},
            {
                "start_time": "2017-10-07 02:00:00",
                "end_time": "2017-10-07 03:00:00",
                "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}, {"ip": "m2", "gpus": ["gpu0"]}],
            },
        ],
        "submitted_time": "2017-10-07 01:11:39",
        "user": "u1",
    },
    {
        "status": "Killed",
        "vc": "v1",
        "jobid": "application_2",
        "attempts": [],
        "submitted_time": "2017-10-07 01:11:40",
        "user": "u2",
    },
    {
        "status": "Pass",
        "vc": "v2",
        "jobid": "application_3",
        "attempts": [
            {
                "start_time": "2017-10-06 00:00:10",
                "end_time": "None",
                "detail": [{"ip": "m1", "gpus": ["gpu0"]}],
            }
        ],
        "submitted_time": "2017-10-06 00:00:00",
        "user": None,
    },
]


def instance_event(time: int, kind: int, collection: int, index: int = 0, **more: Any) -> dict[str, Any]:
    """An instance event as the bucket has it: 64-bit numbers are texts."""
    return {
        "time": str(time),
        "type": str(kind),
        "collection_id": str(collection),
        "instance_index": str(index),
        "scheduling_class": "2",
        "collection_type": "0",
        "priority": "200",
        "alloc_collection_id": "0",
        "machine_id": "5",
        "resource_request": {"cpus": 0.25, "memory": 0.5},
        "constraint": [{"name": "x", "value": "1", "relation": "0"}],
        **more,
    }


def json_lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """The records, one a line, in a file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def sqlite_trace(path: Path, vms: Sequence[tuple[Any, ...]], types: Sequence[tuple[Any, ...]]) -> Path:
    """A packing trace with these rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE vm (vmId, tenantId, vmTypeId, priority, starttime, endtime)")
        connection.execute("CREATE TABLE vmType (id, vmTypeId, machineId, core, memory, hdd, ssd, nic)")
        connection.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?)", vms)
        connection.executemany("INSERT INTO vmType VALUES (?, ?, ?, ?, ?, ?, ?, ?)", types)
    return path


def names(trace: Trace) -> list[str]:
    """The pods' names, in order of arrival."""
    found: list[str] = list(trace.columns.names) if isinstance(trace.columns.names, list) else trace.columns.names.to_pylist()  # fmt: skip
    return found


def asked(trace: Trace, resource: str) -> list[int]:
    """What each pod asks for, in order of arrival."""
    assert trace.columns.requests is not None
    found: list[int] = trace.columns.requests[resource].tolist()
    return found


def owners(trace: Trace) -> list[str]:
    """The owner of each pod."""
    return [trace.owners[code] for code in trace.owner.tolist()]


def models(trace: Trace) -> list[list[str] | None]:
    """The GPU models that each pod insists on."""
    result: list[list[str] | None] = []
    for code in trace.columns.exemplar.tolist():
        affinity = trace.columns.exemplars[code].spec.affinity
        if affinity is None or affinity.node_affinity is None or affinity.node_affinity.required is None:
            result.append(None)
            continue
        (term,) = affinity.node_affinity.required.node_selector_terms or ()
        result.append([value for wants in term.match_expressions or () for value in wants.values or ()])
    return result
