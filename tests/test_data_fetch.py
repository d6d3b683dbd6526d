"""Downloads from a loopback server that can break in the usual ways."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from data_kit import list_npz
from omnipatch import InputError, OmnipatchError
from omnipatch.core.data import fetch as fetch_module
from omnipatch.core.data.fetch import fetch
from omnipatch.core.modality import Dataset

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at every path; `faults` are taken one a request, then it is healthy."""

    def __init__(self):
        self.faults: list[str] = []
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                fault = outer.faults.pop(0) if outer.faults else ""
                if fault.isdigit():
                    return self.send_error(int(fault))
                first = 0
                if self.headers.get("Range") and fault != "no ranges":
                    first = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                body = b"x" * len(CONTENT) if fault == "wrong" else CONTENT[first:]
                self.send_response(206 if first else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "short" else body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch_module, "_PAUSE_S", 0.0)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def dataset(server, *names, sha256=SHA256, **changes):
    downloads = {name: (f"{server.url}/{name}", sha256) for name in names}
    return Dataset("alpha", "toy/alpha", list_npz, (), downloads=downloads, **changes)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_fetches_once_and_verifies(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path))
    seen = []
    wanted = dataset(server, "a.dat", "sub/b.dat")
    result = fetch(wanted, progress=lambda *a: seen.append(a))
    assert result.folder == tmp_path / "toy" / "alpha"
    assert result.downloaded == ("a.dat", "sub/b.dat")
    assert (result.folder / "sub" / "b.dat").read_bytes() == CONTENT
    assert seen == [(0, 2, "a.dat"), (1, 2, "sub/b.dat")]
    again = fetch(wanted)
    assert again.present == ("a.dat", "sub/b.dat")
    assert len(server.requests) == 2, "what is there and right is not asked for again"
    (result.folder / "a.dat").write_bytes(b"damaged")
    assert fetch(wanted).downloaded == ("a.dat",)
    assert files(result.folder) == ["a.dat", "sub/b.dat"]


@pytest.mark.parametrize(
    "faults",
    [["500"], ["503", "429"], ["wrong"], ["short"], ["short", "short"], ["short", "no ranges"], ["short", "416"]],
)
def test_transient_faults_are_retried(server, tmp_path, faults):
    server.faults = list(faults)
    fetch(dataset(server, "a.dat"), tmp_path)
    assert (tmp_path / "a.dat").read_bytes() == CONTENT
    assert files(tmp_path) == ["a.dat"]


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.faults = ["short"]
    fetch(dataset(server, "a.dat"), tmp_path)
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(CONTENT) // 2}-"]
    server.requests.clear()
    server.faults = ["short"]
    with pytest.raises(OmnipatchError):
        fetch(dataset(server, "b.dat"), tmp_path, retries=0)
    assert not (tmp_path / "b.dat").exists()
    fetch(dataset(server, "b.dat"), tmp_path)
    assert server.requests[-1][1] == f"bytes={len(CONTENT) // 2}-", "also in a later call"
    assert (tmp_path / "b.dat").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("faults", "words", "requests"),
    [
        (["404"], "the server answered 404", 1),
        (["500"] * 9, "the server answered 500", 4),
        (["wrong"] * 9, "sha256", 4),
    ],
)
def test_lasting_faults_are_one_sentence_and_leave_no_file(server, tmp_path, faults, words, requests):
    server.faults = faults
    with pytest.raises(OmnipatchError, match=f"download failed.*{words}.*by hand") as caught:
        fetch(dataset(server, "a.dat"), tmp_path)
    assert caught.value.exit_code == 1
    assert len(server.requests) == requests
    assert files(tmp_path) == []


def test_a_silent_server_times_out(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "_TIMEOUT_S", 0.2)
    server.http.shutdown()  # the socket still accepts, nobody answers
    with pytest.raises(OmnipatchError, match="download failed"):
        fetch(dataset(server, "a.dat"), tmp_path, retries=0)


def test_what_cannot_be_fetched_says_what_to_do(server, tmp_path, monkeypatch):
    monkeypatch.delenv("OMNIPATCH_DATA", raising=False)
    with pytest.raises(InputError, match=r"cannot be downloaded; sign the agreement at example\.org"):
        fetch(dataset(server, instructions="sign the agreement at example.org"), tmp_path)
    with pytest.raises(InputError, match="no folder to download into"):
        fetch(dataset(server, "a.dat"))
    with pytest.raises(InputError, match="leave its folder"):
        fetch(dataset(server, "../a.dat"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        fetch(dataset(server, "a.dat"), tmp_path / "file")
