"""The messages of the .proto file as google.protobuf reads them: the yardstick of the SDK's codec."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

_PROTO = Path(__file__).resolve().parents[2] / "proto"


def _pool() -> descriptor_pool.DescriptorPool:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        command = ["protoc", f"-I{_PROTO}", f"--descriptor_set_out={out}", "danube/v1/coordinator.proto"]
        if protoc.main([*command[:1], f"-I{resources.files('grpc_tools')}/_proto", *command[1:]]) != 0:
            raise RuntimeError("the .proto file does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


_POOL = _pool()
SERVICE = _POOL.FindServiceByName("danube.v1.Coordinator")
FILE = _POOL.FindFileByName("danube/v1/coordinator.proto")


def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"danube.v1.{name}"))
