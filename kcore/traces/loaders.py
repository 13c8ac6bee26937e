"""The loaders of published traces: their parameters, sources and licences, and where the files are.

Digests are the publishers' own (PAI's README, Philly's Git LFS pointer, openb's files in the repository itself).
"""

from __future__ import annotations

from kcore.traces.dataset import Dataset, Parameter, PublishedFile

_OPENB_URL = "https://raw.githubusercontent.com/alibaba/clusterdata/master/cluster-trace-gpu-v2023/csv/"
_OPENB_FILES = (
    (
        "openb_node_list_all_node.csv",
        52_287,
        "5a85c2af79c66a1efff8bbcbda430400aae56d8431370d738480967e1a9c6b15",
    ),
    (
        "openb_node_list_gpu_node.csv",
        42_353,
        "2beca64b4d3dfa342036a34b56a495c6cef9225db836c81f541282cb1df320b5",
    ),
    ("openb_pod_list_cpu0.csv", 499_765, "1bc3fd9ee5c1468ccd018f624d9222746e08d59f963f66b925804734271c0eaa"),
    (
        "openb_pod_list_cpu037.csv",
        518_687,
        "8ed554026d041b15ff21ddc104d9a21dbd9a93c496262fa23ef7b5be27e220dc",
    ),
    (
        "openb_pod_list_cpu050.csv",
        525_811,
        "747f43247bffc2b0bb081d7f61f0705ca8d390dafc0b647e642c92f3baf3ba1e",
    ),
    (
        "openb_pod_list_cpu072.csv",
        537_576,
        "f8a2b031461b54d7b9f06d55473c2371eb3357b78a255c646bdca5e0833a8a2f",
    ),
    (
        "openb_pod_list_cpu100.csv",
        554_709,
        "bec1c33fbdde61fd463877534ec79b393aec73e1cbb22d55fab9f166ac480982",
    ),
    (
        "openb_pod_list_cpu200.csv",
        622_703,
        "b7e9d8a1a601da84d6e0b4110b19ef5001be5e4796d33e7b82f166ba95161f87",
    ),
    (
        "openb_pod_list_cpu235.csv",
        651_171,
        "87bebd4d012faa8305ce1fd82737f51cf03361aac28b75d42e34aa656d7f4ee0",
    ),
    (
        "openb_pod_list_cpu250.csv",
        663_708,
        "134c21ff96d57533df8a37b67632972884fec9396e77cd0898ddc370cc8e607d",
    ),
    (
        "openb_pod_list_cpu300.csv",
        710_698,
        "76528825f40ee662cb098b3b6e683c1efd9f87a0c8af7e628df1f32c639636d1",
    ),
    (
        "openb_pod_list_default.csv",
        575_468,
        "1ee7ed79c27a3b0861cda8ddba86a004c6aba904caafa329a76ae93ca63834a8",
    ),
    (
        "openb_pod_list_gpushare100.csv",
        561_220,
        "12dbc07d6a49bf8641e2275a2ff5bf7be74b5df7d148d531e135b140b95f9a3d",
    ),
    (
        "openb_pod_list_gpushare20.csv",
        574_603,
        "9be2d0efb52e242c32e23dd184cc5fcc1983478c6c9c02cbb6b4b62925c0ffcd",
    ),
    (
        "openb_pod_list_gpushare40.csv",
        572_662,
        "d83ce79a4eb6987524bedbb0c65e41aed3a36bf6c1b78b86234c3687a07e1d40",
    ),
    (
        "openb_pod_list_gpushare60.csv",
        566_361,
        "d31809628128a1f24491086eda4af3e23882b9213d3ef57a56ee2d1af69492fe",
    ),
    (
        "openb_pod_list_gpushare80.csv",
        563_740,
        "88b6649369ced40d0fde287d2498ea61ff4b05fccba8bdc95daf6042f2f8431e",
    ),
    (
        "openb_pod_list_gpuspec05.csv",
        577_176,
        "8f1c0ef7e4e511e982bd2818898ba22ee6d273bf5fce124b7ace285b5928cf4e",
    ),
    (
        "openb_pod_list_gpuspec10.csv",
        579_461,
        "2dc7e4cb9480484f08539720b433a9ec9ab5d76b396f3f7557c53a2ff78a7611",
    ),
    (
        "openb_pod_list_gpuspec20.csv",
        582_612,
        "6b9b89ab8913c1c074e994e98f548cf1a872fc5f76f2442ca8cd514a478b00a9",
    ),
    (
        "openb_pod_list_gpuspec25.csv",
        584_915,
        "9d030679a2ccd7e27a7ec9ff15baff34480d22a0012515691fc187e3f35ee68c",
    ),
    (
        "openb_pod_list_gpuspec33.csv",
        587_467,
        "eca4f746db1e5b25864ad021b55ece3943e101a3ebd4574d09dcb95c46117652",
    ),
    (
        "openb_pod_list_multigpu20.csv",
        271_530,
        "d9ec6f6c74fb980cc0b81239470c6353fceea077ea9abd610003b604c7cc2b01",
    ),
    (
        "openb_pod_list_multigpu30.csv",
        277_920,
        "a5e479c6444b1d83eef848159cf00c3cfa13441b2d1e2c113c391b91f1cc5b11",
    ),
    (
        "openb_pod_list_multigpu40.csv",
        286_202,
        "32c9e8731ca07ef96108aa65f2a289bb9aacb47f642ed9e3789f99b242df60eb",
    ),
    (
        "openb_pod_list_multigpu50.csv",
        297_219,
        "206f2f5959db30ecb7c44e7f13197c8ec50b7a35558ad3777cc3662ef0fe5373",
    ),
)
_ALIBABA_URL = "http://aliopentrace.oss-cn-beijing.aliyuncs.com/v2018Traces/"
_PAI_URL = "https://aliopentrace.oss-cn-beijing.aliyuncs.com/v2020GPUTraces/"
_BORG_URL = "https://storage.googleapis.com/clusterdata_2019_a/"
_SWF_URL = "https://www.cs.huji.ac.il/labs/parallel/workload/"
_MIB, _GIB = 1 << 20, 1 << 30
_MOST_BYTES = float(1 << 50)

_ON_BAD = Parameter(
    "on_bad", "error", "", "what a bad row is: an error, or left out and counted", choices=("error", "skip")
)


def _path(what: str) -> Parameter:
    return Parameter("path", "", "", what)


def _cpu(what: str, default: int = 64_000) -> Parameter:
    return Parameter("cpu_milli", default, "1/1000 core", what, least=1, most=1e9)


def _memory(what: str, default: int = 256 * _GIB) -> Parameter:
    return Parameter("memory_bytes", default, "bytes", what, least=1, most=_MOST_BYTES)


LOADERS: tuple[Dataset, ...] = (
    Dataset(
        name="openb",
        form="loader",
        description="the Alibaba GPU trace: 1,523 nodes, 8,152 tasks, GPU shares in thousandths",
        parameters=(
            _path("the folder that holds the CSV files"),
            Parameter("nodes", "", "", "name of the node file (openb_node_list_all_node.csv)"),
            Parameter("pods", "", "", "name of the pod file (openb_pod_list_default.csv)"),
            _ON_BAD,
        ),
        source="alibaba/clusterdata, cluster-trace-gpu-v2023 (Weng et al., Beware of Fragmentation, USENIX ATC 2023)",
        licence="the trace's own terms: research use, cite the paper",
        home="kcore.traces.openb_trace:openb_objects",
        trace="kcore.traces.openb_trace:openb_trace",
        files=tuple(PublishedFile(_OPENB_URL + name, size, digest) for name, size, digest in _OPENB_FILES),
    ),
    Dataset(
        name="alibaba2018",
        form="loader",
        description="Alibaba's batch jobs of 2018: 4,000 machines, eight days, 14 million tasks",
        parameters=(
            _path("the folder with batch_task.csv, or that file"),
            Parameter(
                "instances",
                "no",
                "",
                "a pod runs as long as its instance did, not its task",
                choices=("no", "yes"),
            ),
            _memory("of the largest machine, which is 100 in the trace"),
            Parameter("from_s", 0, "s", "tasks that start earlier are not read"),
            Parameter("until_s", 0, "s", "tasks that start then or later are not read; 0: all are"),
            _ON_BAD,
        ),
        source="alibaba/clusterdata, cluster-trace-v2018 (schema.txt, trace_2018.md)",
        licence="the trace's own terms: research use, cite the repository",
        home="kcore.traces.alibaba2018:alibaba2018",
        files=(
            PublishedFile(_ALIBABA_URL + "machine_meta.tar.gz", 1 * _MIB),
            PublishedFile(_ALIBABA_URL + "batch_task.tar.gz", 200 * _MIB),
            PublishedFile(_ALIBABA_URL + "batch_instance.tar.gz", 24 * _GIB, by_default=False),
        ),
    ),
    Dataset(
        name="pai2020",
        form="loader",
        description="Alibaba PAI, machine learning on shared GPUs: 1,800 machines, 6,500 GPUs, two months",
        parameters=(
            _path("the folder with pai_task_table.csv, or that file"),
            Parameter(
                "instances",
                "no",
                "",
                "a pod runs as long as its instance did, not its task",
                choices=("no", "yes"),
            ),
            Parameter(
                "gpu_type",
                "assigned",
                "",
                "pods insist on the model that they were given, or take any",
                choices=("assigned", "any"),
            ),
            Parameter("gang", "no", "", "the pods of a job start together", choices=("no", "yes")),
            _ON_BAD,
        ),
        source="alibaba/clusterdata, cluster-trace-gpu-v2020 (Weng et al., MLaaS in the Wild, NSDI 2022)",
        licence="the trace's own terms: research use, cite the paper",
        home="kcore.traces.pai2020:pai2020",
        files=(
            PublishedFile(
                _PAI_URL + "pai_machine_spec.tar.gz",
                32 << 10,
                "cc0d38a4045af1b1af8179de8b1b54b1ddd995e6160d6d061a6b1000f1276c2d",
            ),
            PublishedFile(
                _PAI_URL + "pai_task_table.tar.gz",
                34 * _MIB,
                "cd1d6dc3215d2a8607ccf6b6dd952b5db776df86926c73259fea7c1499ac40e5",
            ),
            PublishedFile(
                _PAI_URL + "pai_job_table.tar.gz",
                60 * _MIB,
                "5aad7f7caac501136d14ed6a48e40546f825d7b0617a3a4f337e2348fe0a6cb0",
            ),
            PublishedFile(
                _PAI_URL + "pai_instance_table.tar.gz",
                663 * _MIB,
                "1bf1e423a7ce3f8d086699801c362fd56a7182abdb234139e5ebbed97995ca06",
                by_default=False,
            ),
        ),
    ),
    Dataset(
        name="borg2019",
        form="loader",
        description="Google's Borg cells of May 2019: instances from their events, machines that come and go",
        parameters=(
            _path("the folder with instance_events*, collection_events* and machine_events*"),
            _cpu("of the largest machine, which is 1 in the trace"),
            _memory("of the largest machine, which is 1 in the trace"),
            _ON_BAD,
        ),
        source="google/cluster-data, clusterdata-2019 (Tirmazi et al., Borg: the Next Generation, EuroSys 2020)",
        licence="CC-BY 4.0",
        home="kcore.traces.borg2019:borg2019",
        files=tuple(
            PublishedFile(f"{_BORG_URL}{table}-000000000000.json.gz", 2 * _GIB)
            for table in ("machine_events", "collection_events", "instance_events")
        ),
    ),
    Dataset(
        name="azure_packing",
        form="loader",
        description="Azure's virtual machines for packing: one zone, 14 days, lifetimes up to 90 days",
        parameters=(
            _path("the SQLite file, or its folder"),
            Parameter(
                "machine",
                -1,
                "machineId",
                "the machine that all nodes are; -1: the one most VMs fit",
                least=-1,
            ),
            Parameter("nodes", 0, "nodes", "how many machines there are; the trace has none"),
            _cpu("of the machine, which is 1 in the trace"),
            _memory("of the machine, which is 1 in the trace"),
            Parameter(
                "ssd_bytes",
                4096 * _GIB,
                "bytes",
                "of the machine, which is 1 in the trace",
                least=1,
                most=_MOST_BYTES,
            ),
            _ON_BAD,
        ),
        source="Azure/AzurePublicDataset, AzureTracesForPacking2020 (Hadary et al., Protean, OSDI 2020)",
        licence="CC-BY 4.0",
        home="kcore.traces.azure_packing:azure_packing",
        files=(
            PublishedFile(
                "https://github.com/Azure/AzurePublicDataset/releases/download/dataset-packing-2020/"
                "azurevmallocation_dataset2020_AzurePackingTraceV1.zip",
                512 * _MIB,
            ),
        ),
    ),
    Dataset(
        name="philly",
        form="loader",
        description="Microsoft's Philly, deep learning: 117,325 jobs on whole GPUs, five months",
        parameters=(
            _path("the folder with cluster_job_log, or that file"),
            Parameter(
                "owner", "user", "", "who owns a job: its user or its virtual cluster", choices=("user", "vc")
            ),
            Parameter("cpu_milli_per_gpu", 0, "1/1000 core", "asked for and there with each GPU", most=1e6),
            Parameter(
                "memory_bytes_per_gpu", 0, "bytes", "asked for and there with each GPU", most=float(1 << 44)
            ),
            _ON_BAD,
        ),
        source="msr-fiddle/philly-traces (Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, USENIX ATC 2019)",
        licence="as is; the publisher asks to cite the paper",
        home="kcore.traces.philly:philly",
        files=(
            PublishedFile(
                "https://github.com/msr-fiddle/philly-traces/raw/master/trace-data.tar.gz",
                1_055_988_361,
                "2037ccf63a725a02be718b0e1aeee6142c90b7f62d0d849295120e9f6ba13d2c",
            ),
        ),
    ),
    Dataset(
        name="swf",
        form="loader",
        description="parallel jobs in the Standard Workload Format; fetch gets the KTH SP2 log of 1996",
        parameters=(
            _path("the .swf file"),
            Parameter(
                "cores_per_node",
                0,
                "cores",
                "wider jobs are several pods; 0: MaxProcs / MaxNodes of the header",
            ),
            Parameter(
                "memory_bytes_per_node",
                0,
                "bytes",
                "0: memory does not count; else field 10 is asked for",
                most=_MOST_BYTES,
            ),
            _ON_BAD,
        ),
        source="Parallel Workloads Archive, The Standard Workload Format 2.2 (Chapin et al., JSSPP 1999)",
        licence="the archive's terms: cite the archive and the log's contributors",
        home="kcore.traces.swf:swf",
        files=(PublishedFile(_SWF_URL + "l_kth_sp2/KTH-SP2-1996-2.1-cln.swf.gz", 1 * _MIB),),
    ),
    Dataset(
        name="plain",
        form="loader",
        description="a table of your own: name, submit, duration and what pods ask for (docs/traces.md)",
        parameters=(
            _path("a CSV, Parquet or Arrow file, or a folder with trace.* and nodes.*"),
            Parameter("gang", "no", "", "the pods of a job start together", choices=("no", "yes")),
            _ON_BAD,
        ),
        source="your own",
        licence="your own",
        home="kcore.traces.plain:plain",
    ),
)
