"""One ``kcore up`` over TLS, and shell lines with kubectl run against it, as lines of text that two runs share."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apiserver.kubectl_suite.steps import LANES, Step

COMMAND_S_MAX = 40.0
READY_S_MAX = 60.0
MANIFESTS = Path(__file__).parent / "manifests"
READY = re.compile(r"kcore is ready: https://127\.0\.0\.1:(\d+)")

# What differs between two runs, each with the word that stands for it. Order matters: the longer comes first.
AGE = r"(?:\d{1,2}m\d{1,2}s|1?\d{1,2}s)"  # what a run of some minutes can show; 300s is no age
VARIES = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "DATE"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "DATE"),
    (re.compile(r'("?resourceVersion"?: ?)"\d+"'), r'\1"RV"'),
    (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-XXXXX"),
    (re.compile(r"X509SHA256=[0-9a-f]{64}"), "X509SHA256=HASH"),
    (re.compile(r"^([WE])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ "), r"\1 "),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "TOKEN"),
    (re.compile(r"(?:LS0t[A-Za-z0-9+/=]{40,})"), "PEM"),
    (re.compile(r"\b(\d{1,3}\.){3}\d{1,3}:PORT"), "HOST:PORT"),
    (re.compile(r"(Kubernetes master|Starting to serve on 127\.0\.0\.1):\d+"), r"\1:PORT"),
    (re.compile(r"\b10\.0\.0\.(?!0/|1\b|10\b)\d{1,3}\b"), "CLUSTER-IP"),
    (re.compile(r"\b3[0-2]\d{3}(?=/|\b(?!-))"), "NODEPORT"),
    (re.compile(r"\d+\.\d+s elapsed"), "AGE elapsed"),
)  # fmt: skip
SHOWN_AGE = re.compile(rf"(?<![\w.=:-]){AGE}(?![\w.-])( +|$)?")
HEADS = re.compile(r"\b(AGE|CLUSTER-IP|LAST SEEN|CREATED AT)( {2,})")
CELLS = re.compile(r"\b(CLUSTER-IP|NODEPORT/\w+|TIME|DATE|PORT)( {2,})")


def kubectl_binary() -> str:
    """kubectl's path (``KCORE_KUBECTL``, or on the path); skips the test, saying so, where there is none."""
    found = os.environ.get("KCORE_KUBECTL") or shutil.which("kubectl")
    if not found or not shutil.which(found):
        pytest.skip("no kubectl here: install it, or name a binary with KCORE_KUBECTL")
    return found


def version_of(kubectl: str) -> str:
    """Major and minor of the binary, as 1.32."""
    printed = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True).stdout
    found = re.search(r"v(\d+\.\d+)\.", printed)
    assert found, printed
    return found[1]


@dataclass
class Session:
    """Shell lines in a folder of their own, in which ``kubectl`` is that of one server's admin."""

    folder: Path
    port: int
    environment: dict[str, str]

    def run_all(self) -> dict[str, list[list[str]]]:
        """What each lane's steps are and print; the lanes run side by side."""
        with ThreadPoolExecutor(len(LANES)) as pool:
            lanes = [pool.submit(self._lane, namespace, steps) for namespace, steps in LANES.items()]
            return {namespace: lane.result() for namespace, lane in zip(LANES, lanes, strict=True)}

    def _lane(self, namespace: str, steps: tuple[Step, ...]) -> list[list[str]]:
        """Steps one after another in a folder, a namespace and a cache of their own."""
        folder = self.folder / namespace
        shutil.copytree(MANIFESTS, folder / "manifests")
        kubeconfig = folder / "admin.conf"
        shutil.copy(self.environment["KUBECONFIG"], kubeconfig)
        environment = {**self.environment, "HOME": str(folder), "KUBECONFIG": str(kubeconfig)}
        lane = Session(folder, self.port, environment)
        for command in (
            f"kubectl create namespace {namespace} || true",
            f"kubectl config set-context --current --namespace={namespace}",
            "kubectl wait --for=create serviceaccount/default --timeout=20s",
        ):
            lane.run(Step(command))
        return [lane.run(step) for step in steps]

    def run(self, step: Step) -> list[str]:
        """The command, its exit code and what it printed, standard error last."""
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", step.command],
                input=step.stdin,
                cwd=self.folder / "manifests",
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_S_MAX,
            )
            code, output = str(done.returncode), done.stdout + done.stderr
        except subprocess.TimeoutExpired as cut:
            code, output = "cut off", (cut.stdout or b"").decode() + (cut.stderr or b"").decode()
        if step.quiet:
            output = ""
        lines = [self.named(line) for line in output.splitlines()]
        if step.sorts:
            lines.sort()
        return [f"$ {step.command} -> {code}", *(f"  {line}".rstrip() for line in lines)]

    def named(self, line: str) -> str:
        """The line with words in place of what varies."""
        line = line.replace(str(self.folder), "FOLDER").replace(f"127.0.0.1:{self.port}", "127.0.0.1:PORT")
        line = re.sub(rf"\b{self.port}\b", "PORT", line)
        for pattern, name in VARIES:
            line = pattern.sub(name, line)
        line = SHOWN_AGE.sub(
            lambda found: "AGE" + ("   " if len(found[1] or "") > 1 else found[1] or ""), line
        )
        line = HEADS.sub(r"\1   ", line)
        return CELLS.sub(r"\1   ", line)


@contextmanager
def session(
    kubectl: str, folder: Path, flags: Sequence[str] = ("--components=apiserver",)
) -> Iterator[Session]:
    """A new ``kcore up`` with its store in the folder, stopped at the end."""
    binaries = folder / "bin"
    binaries.mkdir()
    (binaries / "kubectl").symlink_to(shutil.which(kubectl) or kubectl)
    kubeconfig = folder / "admin.conf"
    command = [
        sys.executable,
        "-m",
        "kcore",
        "up",
        *flags,
        "--port=0",
        f"--data-dir={folder / 'data'}",
    ]
    log = folder / "up.log"
    with log.open("w") as out:
        up = subprocess.Popen([*command, f"--kubeconfig={kubeconfig}"], stdout=out, stderr=out)
    try:
        port = _ready(up, log)
        environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(folder), "KUBECONFIG": str(kubeconfig),
            "LANG": "C", "TZ": "UTC", "FOLDER": str(folder),
            "GOGC": "400", "GOMAXPROCS": "1",  # a fifth less processor time a kubectl; that is what the suite takes
        }  # fmt: skip
        yield Session(folder, port, environment)
    finally:
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(10)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()


def _ready(up: subprocess.Popen[bytes], log: Path) -> int:
    """The server's port, once it says that it is ready."""
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline and up.poll() is None:
        if found := READY.search(log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-3000:])


def read_recorded(file: Path) -> dict[str, list[list[str]]]:
    """The lines of each command of each lane, as ``record`` wrote them."""
    found: dict[str, list[list[str]]] = {}
    for line in file.read_text().splitlines():
        if line.startswith("# "):
            lane = found[line.removeprefix("# namespace ")] = []
        elif line.startswith("$ "):
            lane.append([line])
        elif found and lane:
            lane[-1].append(line)
    return found
