"""Files are fetched whole and right from a server on this machine, or the one line says what to do."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kcore import traces
from kcore.api.errors import InputError
from kcore.cli.app import main
from kcore.traces import LOADERS, fetching, find
from kcore.traces.dataset import PublishedFile
from kcore.traces.fetching import FetchError, chosen, fetch

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Publisher:
    """A server whose faults can be chosen."""

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    cut_at: int | None = None  # bytes after which each answer ends early
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)  # Range headers

    def file(self, name: str = "data.bin", sha256: str = DIGEST, size: int = 0) -> PublishedFile:
        return PublishedFile(f"{self.url}/{name}", size or len(self.content), sha256)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "*")
    state = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}"
                )
            else:
                self.send_response(200)
            body = state.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if state.cut_at is None else body[: state.cut_at])

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def test_a_file_comes_whole_and_is_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = fetch(publisher.file(), tmp_path / "new", lambda _, done, total: seen.append((done, total)))
    assert paths == [tmp_path / "new" / "data.bin"]
    assert paths[0].read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(publisher.file(), tmp_path / "new", quiet) == paths
    assert publisher.asked == [None]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["data.bin"]


def test_a_partial_file_is_continued(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert publisher.asked == ["bytes=1000-"]


def test_a_server_that_knows_no_ranges_begins_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.ranges = False
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_is_taken_as_it_is(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_dropped(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_interruptions_are_overcome_as_long_as_something_comes(publisher: Publisher, tmp_path: Path) -> None:
    publisher.cut_at = len(CONTENT) // 3
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(publisher.asked) == 4


def test_what_came_of_a_truncated_file_is_kept(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:10])
    publisher.cut_at = 0
    with pytest.raises(
        FetchError, match="the connection ended early after 10 bytes, which are kept"
    ) as caught:
        fetch(publisher.file(), tmp_path, quiet)
    assert f"download {publisher.url}/data.bin by hand into {tmp_path}" in str(caught.value)
    assert (tmp_path / "data.bin.part").stat().st_size == 10
    publisher.cut_at = None
    fetch(publisher.file(), tmp_path, quiet)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_broken_checksum_removes_what_came(publisher: Publisher, tmp_path: Path) -> None:
    publisher.content = b"another file"
    with pytest.raises(FetchError, match=f"expected sha256 {DIGEST}"):
        fetch(publisher.file(), tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_checked(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"something else")
    with pytest.raises(FetchError, match="remove it and fetch again"):
        fetch(publisher.file(), tmp_path, quiet)
    assert publisher.asked == []


def test_a_digest_that_nobody_states_is_recorded_and_compared(publisher: Publisher, tmp_path: Path) -> None:
    fetch(publisher.file(sha256=""), tmp_path, quiet)
    assert (tmp_path / "data.bin.sha256").read_text() == f"{DIGEST}  data.bin\n"
    (tmp_path / "data.bin").unlink()
    publisher.content = b"changed"
    with pytest.raises(FetchError, match="is not the file that was fetched first"):
        fetch(publisher.file(sha256=""), tmp_path, quiet)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_what_the_server_refuses_is_said(publisher: Publisher, tmp_path: Path, status: int) -> None:
    publisher.status = status
    with pytest.raises(FetchError, match=f"the server answers {status} ") as caught:
        fetch(publisher.file(), tmp_path, quiet)
    assert "by hand" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_taken(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SIZE_LEAST_BYTES", 0)
    with pytest.raises(FetchError, match="is larger than 2,000 bytes"):
        fetch(publisher.file(size=1000), tmp_path, quiet)
    assert not (tmp_path / "data.bin").exists()


def test_without_a_network_the_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    file = PublishedFile("http://127.0.0.1:9/data.bin", 10)
    with pytest.raises(FetchError) as caught:
        fetch(file, tmp_path, quiet)
    assert str(caught.value).endswith(f"; download {file.url} by hand into {tmp_path}, then run this again")


def test_only_the_web_is_asked(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="is no address of the web"):
        fetch(PublishedFile("file:///etc/hostname", 10), tmp_path, quiet)


def test_archives_are_unpacked_beside_themselves(publisher: Publisher, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as bundle:
        for name in ("inner/batch_task.csv", "../../outside.csv", "._inner"):
            item = tarfile.TarInfo(name)
            item.size = 4
            bundle.addfile(item, io.BytesIO(b"1,2\n"))
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        bundle.addfile(link)
    publisher.content = packed.getvalue()
    (tmp_path / "in").mkdir()
    paths = fetch(publisher.file("a.tar.gz", ""), tmp_path / "in", quiet)
    assert paths == [tmp_path / "in" / "batch_task.csv", tmp_path / "in" / "outside.csv"]
    assert paths[0].read_text() == "1,2\n"
    assert not (tmp_path / "outside.csv").exists()
    assert not (tmp_path / "in" / "link.csv").exists()


def test_zip_archives_are_unpacked_and_broken_ones_named(publisher: Publisher, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/x.sqlite", "data")
    publisher.content = packed.getvalue()
    assert fetch(publisher.file("a.zip", ""), tmp_path, quiet) == [tmp_path / "x.sqlite"]
    publisher.content = b"no archive"
    for name in ("b.zip", "b.tar.gz"):
        with pytest.raises(FetchError, match="cannot be unpacked"):
            fetch(publisher.file(name, ""), tmp_path, quiet)


def test_files_are_chosen_by_name() -> None:
    assert [file.name for file in chosen(find("alibaba2018"), [])] == [
        "machine_meta.tar.gz",
        "batch_task.tar.gz",
    ]
    assert [file.name for file in chosen(find("alibaba2018"), ["batch_instance.tar.gz"])] == [
        "batch_instance.tar.gz"
    ]
    with pytest.raises(InputError, match=r"there is no file 'x' \(expected one of machine_meta"):
        chosen(find("alibaba2018"), ["x"])
    with pytest.raises(InputError, match="plain: has no files to fetch"):
        chosen(find("plain"), [])


def test_every_published_file_has_its_own_name_and_a_web_address() -> None:
    for dataset in LOADERS:
        names = [file.name for file in dataset.files]
        assert len(set(names)) == len(names)
        for file in dataset.files:
            assert file.url.startswith(("http://", "https://"))
            assert file.sha256 == "" or len(bytes.fromhex(file.sha256)) == 32


@pytest.fixture
def openb_at(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """The dataset openb is one file of the server on this machine."""
    dataset = replace(find("openb"), files=(publisher.file("pods.csv"),))
    monkeypatch.setattr(traces, "DATASETS", (dataset,))
    return publisher


def test_the_command_fetches_into_a_folder(
    openb_at: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", "fetch", "openb", "--out", str(tmp_path / "x")]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"have {tmp_path / 'x' / 'pods.csv'}\n"
    assert captured.err == ""  # no progress where nobody looks


def test_the_command_says_no_in_one_line(
    openb_at: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openb_at.status = 404
    assert main(["datasets", "fetch", "openb", "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(
        f"kcore: error: {openb_at.url}/pods.csv: the server answers 404 Not Found; download"
    )
    assert main(["datasets", "fetch", "openb", "--out", str(tmp_path), "--file", "x"]) == 2
    assert main(["datasets", "fetch", "nothing"]) == 2
