"""Exit codes, one-line errors, and a start that loads no more than it must (bench/bench_process.py times it)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kcore import __version__
from kcore.api.errors import InputError, NotSupportedError
from tests.cli.conftest import Run
from tests.cli.fakes import FakeCluster

HEAVY = ("numpy", "numba", "pyarrow", "yaml", "matplotlib", "rich", "orjson", "msgspec")


def kcore(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kcore", *words], capture_output=True, text=True, **options)


def one_line_error(err: str) -> str:
    assert err.startswith("kcore: error: ")
    assert err.count("\n") == 1
    return err


def test_help_names_the_subcommands() -> None:
    run = kcore("--help")
    assert run.returncode == 0
    assert "schedule" in run.stdout
    assert "datasets" in run.stdout


def test_the_start_loads_nothing_that_help_does_not_need() -> None:
    program = f"import sys; from kcore.cli.app import main; main(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_version(run: Run) -> None:
    answer = run("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"kcore {__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("datasets",)])
def test_no_subcommand_is_bad_usage_that_shows_the_help(run: Run, words: tuple[str, ...]) -> None:
    answer = run(*words)
    assert answer.code == 2
    assert "Usage: kcore" in answer.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fly",), "No such command 'fly' (kcore --help tells more)"),
        (("schedule", "--fly"), "No such option: --fly"),
        (("schedule", "-f"), "requires an argument"),
        (("schedule",), "nothing to read (expected -f FILE with nodes and pods, or --from-kubeconfig FILE)"),
        (("schedule", "-f", "x", "-o", "xml"), "'xml' is not one of 'table', 'wide', 'json'"),
        (("schedule", "-f", "x", "--tie-break", "last"), "'last' is not one of 'first', 'random'"),
        (("schedule", "-f", "x", "--engine", "fast"), "'fast' is not one of 'auto', 'full', 'incremental'"),
        (("schedule", "-f", "x", "--seed", "-1"), "--seed"),
        (("schedule", "-f", "x", "--seed", "one"), "--seed"),
        (("schedule", "-f", "x", "--context", "c"), "--context: has no cluster to choose from"),
        (("schedule", "-f", "x", "--profile", "a", "--policy", "b"), "--policy: cannot go with --profile"),
        (("schedule", "-f", "x", "--explain", "a/b/c"), "--explain: 'a/b/c' names no pod"),
        (("schedule", "-f", "x", "--plot", "x.jpeg"), "--plot: x.jpeg has no ending of a picture"),
        (("schedule", "-f", "x", "--plot", "nowhere/x.png"), "--plot: there is no folder nowhere"),
        (("schedule", "-f", "x", "--out", "nowhere/x.json"), "--out: there is no folder nowhere"),
        (("datasets", "describe", "borg"), "there is no dataset 'borg'"),
        (("datasets", "make", "heterogeneous"), "--out"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    run: Run, cluster: type[FakeCluster], words: tuple[str, ...], message: str
) -> None:
    answer = run(*words)
    assert answer.code == 2
    assert message in one_line_error(answer.err)
    assert answer.out == ""
    assert cluster.calls == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("is wrong", file="a.yaml", field="spec"), "a.yaml: spec: is wrong"),
        (NotSupportedError("volumes are not\nsupported yet"), "volumes are not supported yet"),
        (FileNotFoundError(2, "No such file or directory", "b.yaml"), "b.yaml: No such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    run: Run, cluster: type[FakeCluster], error: Exception, text: str
) -> None:
    cluster.answer = error
    answer = run("schedule", "-f", "x")
    assert answer.code == 2
    assert answer.err == f"kcore: error: {text}\n"


def test_our_own_mistake_is_one_line_and_exit_3(run: Run, cluster: type[FakeCluster]) -> None:
    cluster.answer = ValueError("boom\nand more")
    answer = run("schedule", "-f", "x")
    assert answer.code == 3
    assert "internal: ValueError: boom (-v" in one_line_error(answer.err)
    answer = run("schedule", "-f", "x", "-v")
    assert answer.code == 3
    assert "Traceback" in answer.err


def test_an_interrupt_is_no_traceback(run: Run, cluster: type[FakeCluster]) -> None:
    class Interrupting(FakeCluster):
        def schedule(self, pods: object = None, **options: object) -> object:
            raise KeyboardInterrupt

    sys.modules["kcore.cluster"].Cluster = Interrupting
    answer = run("schedule", "-f", "x")
    assert answer.code == 130
    assert answer.err == "kcore: error: interrupted\n"


def test_a_reader_that_had_enough_is_no_error() -> None:
    pipe = subprocess.Popen(
        [sys.executable, "-m", "kcore", "datasets", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert pipe.stdout is not None
    pipe.stdout.close()
    _, err = pipe.communicate()
    assert err == b""
    assert pipe.returncode == 0
