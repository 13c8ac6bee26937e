"""Published files come from their publisher onto this machine: resumed, bounded, checked, unpacked.

A file is written as ``NAME.part`` and takes its name when it is whole and right. Its SHA-256 is the publisher's, or is
recorded in ``NAME.sha256`` at the first download and compared from then on. Archives are unpacked beside themselves.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from kcore.api.errors import InputError, KcoreError
from kcore.traces.dataset import Dataset, PublishedFile

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0
ATTEMPTS_MAX = 4  # in a row that bring nothing new
SIZE_SLACK = 2  # times the stated size that are taken at most,
SIZE_LEAST_BYTES = 64 << 20  # but so much of any file
UNPACKED_BYTES_MAX = 1 << 40
UNPACKED_FILES_MAX = 10_000
TAR_SUFFIXES, ZIP_SUFFIX = (".tar.gz", ".tgz", ".tar"), ".zip"
SCHEMES = ("http", "https")
AGENT = "kcore-datasets"

Progress = Callable[[str, int, int], None]  # file, bytes so far, bytes in all (0: not known)


class FetchError(KcoreError):
    """A file could not be had, or is not what its publisher has; one line that says what to do."""


def chosen(dataset: Dataset, names: list[str]) -> list[PublishedFile]:
    """The dataset's files of those names, the usual ones without names; InputError for unknown names."""
    if not dataset.files:
        raise InputError(
            "has no files to fetch",
            document=dataset.name,
            expected="kcore datasets make, or files of your own",
        )
    if not names:
        return [file for file in dataset.files if file.by_default]
    known = {file.name: file for file in dataset.files}
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no file {name!r}",
                document=dataset.name,
                field="file",
                expected="one of " + ", ".join(known),
            )
    return [known[name] for name in dict.fromkeys(names)]


def fetch(file: PublishedFile, folder: Path, progress: Progress) -> list[Path]:
    """The file is in the folder, whole and right, and unpacked; returns the paths that can be read.

    Nothing is downloaded where it is there already. FetchError where it cannot be had, or is not the right one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    recorded = folder / f"{file.name}.sha256"
    expected = file.sha256 or _recorded(recorded)
    if target.exists():
        digest = _digest(target)
        if expected and digest != expected:
            raise FetchError(
                f"{target}: is not the file that {_said(file)} (expected sha256 {expected}, got {digest}); "
                "remove it and fetch again"
            )
    else:
        part = folder / f"{file.name}.part"
        _download(file, part, progress)
        digest = _digest(part)
        if expected and digest != expected:
            part.unlink()
            raise FetchError(
                f"{file.url}: what came is not the file that {_said(file)} (expected sha256 {expected}, got {digest}); "
                "it was removed: fetch again"
            )
        os.replace(part, target)
    if not file.sha256 and not expected:
        recorded.write_text(f"{digest}  {file.name}\n", encoding="ascii")
    return _unpacked(target, folder)


def by_hand(file: PublishedFile, folder: Path) -> str:
    """What to do where there is no network."""
    return f"download {file.url} by hand into {folder}, then run this again"


def _said(file: PublishedFile) -> str:
    return "its publisher has" if file.sha256 else "was fetched first"


def _recorded(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        return ""


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(file: PublishedFile, part: Path, progress: Progress) -> None:
    """All bytes are in ``part``; what is there is continued, and interruptions are as long as something comes."""
    if urlsplit(file.url).scheme not in SCHEMES:
        raise FetchError(f"{file.url}: is no address of the web (expected {' or '.join(SCHEMES)})")
    failed = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continued(file, part, before, progress):
                return
            problem = "the connection ended early"
        except urllib.error.HTTPError as error:
            error.close()
            raise FetchError(
                f"{file.url}: the server answers {error.code} {error.reason}; {by_hand(file, part.parent)}"
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise  # the disk, not the network
            problem = str(getattr(error, "reason", "") or error or type(error).__name__)
        now = part.stat().st_size if part.exists() else 0
        failed = failed + 1 if now <= before else 0
        if failed == ATTEMPTS_MAX or (failed and not now):
            have = f" after {now:,} bytes, which are kept" if now else ""
            raise FetchError(f"{file.url}: cannot be had: {problem}{have}; {by_hand(file, part.parent)}")


def _continued(file: PublishedFile, part: Path, have: int, progress: Progress) -> bool:
    """Asks for what is missing and appends it; whether that was all."""
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(file.url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        error.close()
        if _total(error.headers) == have:
            return True
        part.unlink()  # of another file: from the beginning
        return _continued(file, part, 0, progress)
    with answer:
        ranged = answer.status == http.client.PARTIAL_CONTENT
        if ranged and _start(answer.headers) != have:
            raise FetchError(
                f"{file.url}: the server continues at another byte; remove {part} and fetch again"
            )
        have = have if ranged else 0
        total = _total(answer.headers) if ranged else int(answer.headers.get("Content-Length") or 0)
        most = max(file.size * SIZE_SLACK, SIZE_LEAST_BYTES)
        if total > most:
            raise _too_large(file, most)
        with part.open("ab" if ranged else "wb") as stream:
            have = _copied(answer, stream, have, lambda done: progress(file.name, done, total), file, most)
    return not total or have >= total


def _copied(
    source: Any, stream: IO[bytes], have: int, report: Callable[[int], None], file: PublishedFile, most: int
) -> int:
    """The source's bytes are appended; how many there are now."""
    report(have)
    while chunk := source.read(CHUNK_BYTES):
        have += len(chunk)
        if have > most:
            raise _too_large(file, most)
        stream.write(chunk)
        report(have)
    return have


def _too_large(file: PublishedFile, most: int) -> FetchError:
    return FetchError(f"{file.url}: is larger than {most:,} bytes, which is not the file that was published")


def _total(headers: Any) -> int:
    """The size of the whole file by Content-Range (``bytes 5-9/10``, ``bytes */10``); 0 where it is not told."""
    text = (headers.get("Content-Range") or "").rpartition("/")[2]
    return int(text) if text.isdigit() else 0


def _start(headers: Any) -> int:
    text = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdigit() else -1


def _unpacked(archive: Path, folder: Path) -> list[Path]:
    """The archive's files are in the folder, without the folders inside; a file that is no archive is itself."""
    name = archive.name.lower()
    try:
        if name.endswith(ZIP_SUFFIX):
            with zipfile.ZipFile(archive) as packed:
                members = [
                    (item.filename, item.file_size, item) for item in packed.infolist() if not item.is_dir()
                ]
                return _extracted(archive, folder, members, packed.open)
        if name.endswith(TAR_SUFFIXES):
            with tarfile.open(archive) as bundle:
                found = [(item.name, item.size, item) for item in bundle if item.isfile()]
                return _extracted(archive, folder, found, bundle.extractfile)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise FetchError(f"{archive}: cannot be unpacked: {error}") from None
    return [archive]


def _extracted(
    archive: Path, folder: Path, members: list[tuple[str, int, Any]], opened: Callable[[Any], Any]
) -> list[Path]:
    if len(members) > UNPACKED_FILES_MAX or sum(size for _, size, _ in members) > UNPACKED_BYTES_MAX:
        raise FetchError(f"{archive}: holds too much to be unpacked")
    written = []
    for name, size, member in members:
        target = folder / PurePosixPath(name.replace("\\", "/")).name  # never outside the folder
        if target.name.startswith("._") or target == archive:
            continue  # what macOS adds to archives
        if not (target.exists() and target.stat().st_size == size):
            part = target.with_name(target.name + ".part")
            with opened(member) as source, part.open("wb") as stream:
                while chunk := source.read(CHUNK_BYTES):
                    stream.write(chunk)
            os.replace(part, target)
        written.append(target)
    return written
