"""gRPC-Web over HTTP/1.1 on the job's Unix socket, sent again until it is answered.

Every call carries the key under which the master journals it, so sending it twice is safe. There is no
timeout: a call for a step waits as long as the step runs.
"""

from __future__ import annotations

import http.client
import os.path
import socket
import threading
import time
import urllib.parse

from danube._errors import DanubeError, JobCancelled, RpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CANCELLED, NOT_FOUND, FAILED_PRECONDITION, UNAVAILABLE = 1, 5, 9, 14

_LONGEST_PAUSE = 1.0
_FIRST_PAUSE = 0.02
_MAX_ANSWER = 16 << 20
_TRAILER = 0x80


class Transport:
    """The way to the master: one connection per thread, one credential per job."""

    def __init__(self, directory: str, credential: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._directory = directory
        self._headers = {
            "authorization": f"Bearer {credential}",
            "content-type": "application/grpc-web+proto",
            "x-grpc-web": "1",
        }
        self._sleep = sleep
        self._local = threading.local()
        self._cancelled = False

    def unary(self, method: str, message: bytes) -> bytes:
        """The answer to one call; raises `RpcError`, or `JobCancelled` from the first time on that the job was."""
        body = len(message).to_bytes(5, "big") + message
        # An idle connection is closed by the server, so the first failure says nothing: no pause.
        pause = 0.0
        while True:
            if self._cancelled:
                raise JobCancelled("the job was cancelled")
            answer = self._exchange(method, body)
            if answer is not None and answer.status != UNAVAILABLE:
                return self._accepted(answer)
            self.release()
            if not os.path.isdir(self._directory):
                raise DanubeError(
                    f"the connection to the server is lost: {self._directory} is gone, so the job has ended"
                )
            self._sleep(pause)
            pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)

    def reopen(self) -> None:
        """Lets calls through again after the job was cancelled: for who looks at a replay that was stopped."""
        self._cancelled = False

    def release(self) -> None:
        """Closes the calling thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            connection.close()

    def _accepted(self, answer: _Answer) -> bytes:
        if answer.status == 0:
            return answer.message
        if answer.status == CANCELLED:
            self._cancelled = True
            raise JobCancelled(answer.reason or "the job was cancelled")
        raise RpcError(answer.status, answer.reason)

    def _exchange(self, method: str, body: bytes) -> _Answer | None:
        """One attempt; None: the connection broke before a whole answer was there."""
        try:
            connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = _UnixConnection(os.path.join(self._directory, "rpc.sock"))
                self._local.connection = connection
            connection.request("POST", f"/danube.v1.Coordinator/{method}", body, self._headers)
            response = connection.getresponse()
            data = response.read(_MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException):
            return None
        if len(data) > _MAX_ANSWER:
            self.release()
            raise DanubeError(f"the server's answer to {method} is larger than {_MAX_ANSWER >> 20} MiB")
        return _Answer.read(data, dict(response.getheaders()))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class _Answer:
    __slots__ = ("message", "reason", "status")

    def __init__(self, status: int, reason: str, message: bytes) -> None:
        self.status = status
        self.reason = reason
        self.message = message

    @staticmethod
    def read(data: bytes, headers: dict[str, str]) -> _Answer | None:
        """None: neither the headers nor a trailer frame hold a status, so the answer is cut off."""
        fields = {name.lower(): value for name, value in headers.items()}
        message = b""
        while len(data) >= 5:
            kind, size = data[0], int.from_bytes(data[1:5], "big")
            frame, rest = data[5 : 5 + size], data[5 + size :]
            if len(frame) < size:
                return None
            if kind & _TRAILER:
                fields.update(_trailers(frame))
            elif kind == 0:
                message += frame
            else:
                raise DanubeError("the server sent a compressed message, which this SDK did not ask for")
            data = rest
        status = fields.get("grpc-status", "").strip()
        if not (status.isascii() and status.isdigit()):
            return None
        return _Answer(int(status), urllib.parse.unquote(fields.get("grpc-message", ""), errors="replace"), message)


def _trailers(frame: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in frame.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
