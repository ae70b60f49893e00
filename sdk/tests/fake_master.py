"""A FAKE of the master's listener for tests of the SDK: HTTP/1.1 on a Unix socket, answers from a table.

It knows nothing of journals or jobs. The real master is tested with the real SDK elsewhere.
"""

from __future__ import annotations

import socketserver
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from protos import SERVICE, message


class Failure:
    """An error answer; `in_headers` sends it without a body."""

    def __init__(self, status: int, reason: str = "", *, in_headers: bool = False) -> None:
        self.status = status
        self.reason = reason
        self.in_headers = in_headers


class Dropped:
    """The connection is closed in place of an answer."""


class Cut:
    """An answer without a status, as after a broken proxy."""


class FakeMaster:
    """Records every request and answers by `answers[method]`: a function from the request to a reply."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name) / "run"
        self.folder.mkdir()
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self._server: _Server | None = None
        self.open()

    def open(self) -> None:
        """Listens on the socket."""
        self._server = _Server(str(self.folder / "rpc.sock"), _Handler)
        self._server.master = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def shut(self) -> None:
        """Stops listening and removes the socket, as a dead master does; the folder stays."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            (self.folder / "rpc.sock").unlink()

    def close(self) -> None:
        """Ends the fake and removes its folder."""
        self.shut()
        self._scratch.cleanup()

    def keys(self) -> list[str]:
        """The keys of all requests, in the order of arrival."""
        return [request.call.key for _, request in self.requests]

    def last(self) -> Any:
        """The last request."""
        return self.requests[-1][1]

    def answer(self, method: str, request: Any) -> Any:
        """The reply to a request: from the table, else a success."""
        self.requests.append((method, request))
        if method in self.answers:
            return self.answers[method](request)
        reply = message(SERVICE.methods_by_name[method].output_type.name)()
        if method == "RunStep":
            reply.outcome, reply.attempt, reply.seconds, reply.step = "success", 1, 0.5, 1
        return reply


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    master: FakeMaster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.master.connections += 1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""

    def do_POST(self) -> None:
        service, method = self.path.strip("/").split("/")
        assert service == "danube.v1.Coordinator", self.path
        body = self.rfile.read(int(self.headers["content-length"]))
        assert body[0] == 0
        assert int.from_bytes(body[1:5], "big") == len(body) - 5
        self.server.master.headers.append({name.lower(): value for name, value in self.headers.items()})
        request = message(SERVICE.methods_by_name[method].input_type.name).FromString(body[5:])
        answer = self.server.master.answer(method, request)
        if isinstance(answer, Dropped):
            self.close_connection = True
        elif isinstance(answer, Cut):
            self._send({}, _frame(0, b""))
        elif isinstance(answer, Failure) and answer.in_headers:
            self._send({"grpc-status": str(answer.status), "grpc-message": answer.reason}, b"")
        elif isinstance(answer, Failure):
            self._send({}, _trailer(answer.status, answer.reason))
        else:
            self._send({}, _frame(0, answer.SerializeToString()) + _trailer(0, ""))

    def _send(self, headers: dict[str, str], body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/grpc-web+proto")
        self.send_header("transfer-encoding", "chunked")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(body), 7):
            piece = body[at : at + 7]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def _frame(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + len(data).to_bytes(4, "big") + data


def _trailer(status: int, reason: str) -> bytes:
    return _frame(0x80, f"grpc-status:{status}\r\ngrpc-message:{reason}\r\n".encode())
