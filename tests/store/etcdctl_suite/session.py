"""A cluster with TLS, and etcdctl run against it: commands in, lines out that two clusters can be compared by."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.store.etcdctl_suite.steps import FIRST_LEADS, Step
from tests.store.kv_suite.servers import free_ports, process

COMMAND_S_MAX = 30.0
SETTLE_S = 1.0  # until a command that goes on has reached the member

# What differs between two runs of one program, or belongs to the member and not to the answer.
VARIES = (
    (re.compile(r'"(cluster_id|member_id|raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|leader|header_revision|hash|ID|id)":"?-?\d+"?'), r'"\1":N'),
    (re.compile(r'"(version|storageVersion)":"3[\d.]+"'), r'"\1":"3.x"'),
    (re.compile(r'"(ClusterID|MemberID|RaftTerm|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse|Leader|ID|Hash)" : \d+'), r'"\1" : N'),
    (re.compile(r'"Lease" : [1-9]\d{9,}'), '"Lease" : N'),
    (re.compile(r'"(Version|StorageVersion)" : "3[\d.]+"'), r'"\1" : "3.x"'),
    (re.compile(r"took = [\d.]+[a-zµ]+|took [\d.]+[a-zµ]+"), "took T"),
    (re.compile(r'"took":"[^"]+"'), '"took":"T"'),
    (re.compile(r"remaining\(\d+s\)"), "remaining(Ns)"),
    (re.compile(r"Took [\d.]+[a-zµ]+"), "Took T"),
)  # fmt: skip


def etcdctl_binary() -> str:
    """etcdctl's path (``KCORE_ETCDCTL``, or on the path); skips the test, saying so, where there is none."""
    found = os.environ.get("KCORE_ETCDCTL") or shutil.which("etcdctl")
    if not found or not shutil.which(found):
        pytest.skip("no etcdctl here: install Debian's etcd-client, or name a binary with KCORE_ETCDCTL")
    return found


def read_lines(descriptor: int, count: int) -> str:
    """The first so many lines that arrive there, or what there is when it ends or nothing more comes."""
    found, deadline = b"", time.monotonic() + COMMAND_S_MAX / 3
    while found.count(b"\n") < count and (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            found += chunk
    return "".join(line.decode() for line in found.splitlines(keepends=True)[:count])


@dataclass
class Session:
    """etcdctl against one cluster; ``labels`` are the words that stand for what varies."""

    etcdctl: str
    folder: Path
    clients: list[str]
    peers: list[str]
    flags: dict[str, str]
    environment: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def run(self, step: Step) -> list[str]:
        """The command, its exit code and what it printed."""
        if step is FIRST_LEADS:
            return self._let_first_lead()
        command = self._filled(step.command)
        code, output = self._printed(step, self.command(*shlex.split(command)))
        self._remember(output)
        shown = [self._named(line) for line in output.splitlines() if not line.startswith('{"level"')]
        if "lease list" in command:  # in the order of what is left of them, a matter of milliseconds
            shown.sort()
        return [
            f"$ etcdctl {step.command} -> {code}",
            *(f"  {line}".rstrip() for line in shown if line.strip()),
        ]

    def command(self, *arguments: str) -> list[str]:
        """The command line with the flags that say where and who, unless the arguments say so (both is an error)."""
        given = [
            flag for name, flag in self.flags.items() if not any(one.startswith(name) for one in arguments)
        ]
        return [self.etcdctl, *given, *arguments]

    def _filled(self, command: str) -> str:
        for name in re.findall(r"{(\w+)}", command):
            command = command.replace(f"{{{name}}}", self._known(name))
        return command

    def _known(self, name: str) -> str:
        if name in ("follower", "leader_client"):
            self._find_leader()
        return self.known[name]

    def _find_leader(self) -> None:
        """The leader may have moved: which endpoint is its, and the id of a member that is not it."""
        status = json.loads(
            self._ask("endpoint", "status", "--endpoints=" + ",".join(self.clients), "-w", "json")
        )
        leader = status[0]["Status"]["leader"]
        members = {one["Status"]["header"]["member_id"]: one["Endpoint"] for one in status}
        self.known["leader_client"] = members[leader]
        self.known["follower"] = f"{next(member for member in members if member != leader):x}"

    def _let_first_lead(self) -> list[str]:
        """The first member leads; commands that follow may ask it what only a leader answers."""
        self._find_leader()
        if self.known["leader_client"] != self.clients[0]:
            self._ask("move-leader", self.known["member0"], f"--endpoints={self.known['leader_client']}")
        return [f"$ etcdctl {FIRST_LEADS.command} -> 0"]

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def learn_members(self) -> None:
        """The ids of the members by the order of their client URLs."""
        for one in json.loads(self._ask("member", "list", "-w", "json"))["members"]:
            number = self.clients.index(one["clientURLs"][0])
            self.known[f"member{number}"] = f"{one['ID']:x}"
            self.labels[f"{one['ID']:x}"] = f"MEMBER{number}"

    def _printed(self, step: Step, command: Sequence[str]) -> tuple[str, str]:
        """(exit code, both outputs); a command that goes on is interrupted once it has printed its lines."""
        if not step.lines:
            done = subprocess.run(
                command,
                input=step.stdin,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_S_MAX,
            )
            return str(done.returncode), done.stdout + done.stderr
        started = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )
        assert started.stdin is not None
        assert started.stdout is not None
        output = ""
        try:
            started.stdin.write(step.stdin.encode())
            started.stdin.flush()
            if step.during:
                time.sleep(SETTLE_S)
                output = self._during(step.during)
            output += read_lines(started.stdout.fileno(), step.lines)
        finally:
            started.send_signal(signal.SIGINT)
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
        return "interrupted", output

    def _during(self, command: str) -> str:
        """What a second command prints meanwhile; one that goes on itself is cut off."""
        try:
            done = subprocess.run(
                self.command(*shlex.split(command)),
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=3,
            )
            return done.stdout + done.stderr
        except subprocess.TimeoutExpired as cut:
            return (cut.stdout or b"").decode()

    def _remember(self, output: str) -> None:
        """Ids that later commands name."""
        if granted := re.search(r"lease ([0-9a-f]{8,16}) granted", output):
            self.known["lease"] = granted[1]
        if added := re.search(r"Member\s+([0-9a-f]{8,16}) added", output):
            self.known["added"] = added[1]

    def _named(self, line: str) -> str:
        """The line with names in place of what varies."""
        line = line.replace(str(self.folder), "FOLDER")
        for number, (client, peer) in enumerate(zip(self.clients, self.peers, strict=True)):
            line = line.replace(client, f"CLIENT{number}").replace(peer, f"PEER{number}")
        for pattern, name in VARIES:
            line = pattern.sub(name, line)
        line = re.sub(r"\b[0-9a-f]{13,16}\b", self._label, line)
        if "FOLDER" not in line and re.match(r"(CLIENT\d, |\| +CLIENT\d)", line):
            line = self._row(line)
        return re.sub(r"[-+]{6,}", "+--", re.sub(r" {2,}", " ", line))

    @staticmethod
    def _row(line: str) -> str:
        """A row of ``endpoint status`` or ``hashkv``: sizes, versions and Raft's numbers are left out."""
        line = re.sub(r"\b[\d.]+ [kM]?B\b", "SIZE", line)
        line = re.sub(r"\b3\.\d+\.\d+\b", "3.x", line)
        line = re.sub(r"\b(\d+)%|\b\d+\b(?! ms)", "N", line)
        return re.sub(r"CLIENTN", "CLIENT", line)

    def _label(self, found: re.Match[str]) -> str:
        return self.labels.setdefault(found[0], f"ID{len(self.labels)}")


def certificates(folder: Path) -> dict[str, Path]:
    """Paths of a CA, of the members' certificate and key, and of the client's."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost", "::1")
    client = authority.issue_cert("client@kcore.test")
    made = {name: folder / f"{name}.pem" for name in ("ca", "server", "server-key", "client", "client-key")}
    authority.cert_pem.write_to_path(made["ca"])
    for name, issued in (("server", server), ("client", client)):
        issued.cert_chain_pems[0].write_to_path(made[name])
        issued.private_key_pem.write_to_path(made[f"{name}-key"])
    return made


@contextmanager
def session(program: Sequence[str], etcdctl: str, members: int, folder: Path) -> Iterator[Session]:
    """etcdctl against a new cluster of so many members, all its connections by mutual TLS."""
    made = certificates(folder)
    ports = free_ports(2 * members)
    clients = [f"https://127.0.0.1:{port}" for port in ports[:members]]
    peers = [f"https://127.0.0.1:{port}" for port in ports[members:]]
    initial = ",".join(f"m{i}={peer}" for i, peer in enumerate(peers))
    tls = [
        f"--cert-file={made['server']}", f"--key-file={made['server-key']}", f"--trusted-ca-file={made['ca']}",
        "--client-cert-auth=true", f"--peer-cert-file={made['server']}", f"--peer-key-file={made['server-key']}",
        f"--peer-trusted-ca-file={made['ca']}", "--peer-client-cert-auth=true",
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ETCDCTL_API": "3"}
    said = {"endpoints": clients[0], "cacert": made["ca"], "cert": made["client"], "key": made["client-key"]}
    given = {f"--{name}=": f"--{name}={value}" for name, value in said.items()}
    with ExitStack() as stack:
        for i in range(members):
            flags = [
                f"--name=m{i}", f"--data-dir={folder / f'm{i}'}", f"--initial-cluster={initial}",
                f"--listen-client-urls={clients[i]}", f"--advertise-client-urls={clients[i]}",
                f"--listen-peer-urls={peers[i]}", f"--initial-advertise-peer-urls={peers[i]}",
                "--unsafe-no-fsync=true", "--bcrypt-cost=4",
            ]  # fmt: skip
            stack.enter_context(process([*program, *flags, *tls], 0, folder / f"m{i}.log"))
        known = {"folder": str(folder), "all": ",".join(clients)}
        known |= {f"client{i}": url for i, url in enumerate(clients)}
        known |= {f"peer{i}": url for i, url in enumerate(peers)}
        made_session = Session(etcdctl, folder, clients, peers, given, environment, known=known)
        wait_healthy(made_session)
        made_session.learn_members()
        yield made_session


def wait_healthy(made: Session) -> None:
    """Returns once all members answer, which is when their names are known."""
    deadline = time.monotonic() + COMMAND_S_MAX
    command = made.command("endpoint", "health", "--endpoints=" + ",".join(made.clients))
    while subprocess.run(command, env=made.environment, capture_output=True).returncode:
        assert time.monotonic() < deadline, (made.folder / "m0.log").read_text()[-3000:]
        time.sleep(0.2)
    time.sleep(0.5)  # until the members have published their names


def read_recorded(file: Path) -> list[list[str]]:
    """The lines of each command, as ``record`` wrote them after a first line about their origin."""
    found: list[list[str]] = []
    for line in file.read_text().splitlines()[1:]:
        if line.startswith("$ "):
            found.append([line])
        elif line:
            found[-1].append(line)
    return found
