"""The messages of `proto/danube/v1/coordinator.proto`, where every field is explained."""

from __future__ import annotations

from danube._wire import (
    Message,
    double,
    flag,
    int32,
    many,
    nested,
    one_of,
    text,
    text_map,
    texts,
    uint32,
    uint64,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Call(Message):
    key: str = text(1)
    file: str = text(2)
    line: int = uint32(3)


class Request(Message):
    """What every request begins with; the session fills it in."""

    call: Call | None = nested(1, Call)


class RegisterRequest(Request):
    sdk_version: str = text(2)
    features: Sequence[str] = texts(3)


class RegisterReply(Message):
    server_version: str = text(1)
    features: Sequence[str] = texts(2)


class DeclareRequest(Request):
    name: str = text(2)
    timeout_ms: int = uint64(3)
    egress: Sequence[str] = texts(4)
    has_egress: bool = flag(5)


class DeclareReply(Message):
    pass


class GetContextRequest(Request):
    pass


class GetContextReply(Message):
    job_id: str = text(1)
    number: int = uint64(2)
    attempt: int = uint32(3)
    pipeline: str = text(4)
    repository: str = text(5)
    url: str = text(6)
    branch: str = text(7)
    tag: str = text(8)
    commit_sha: str = text(9)
    commit_message: str = text(10)
    author: str = text(11)
    actor: str = text(12)
    trigger: str = text(13)
    event: str = text(14)
    pr: int = uint64(15)
    pr_base: str = text(16)
    is_fork: bool = flag(17)
    params: Mapping[str, str] = text_map(18)


class Value(Message):
    text: str | None = one_of(1)
    secret: str | None = one_of(2)
    captured: str | None = one_of(3)


class NamedValue(Message):
    name: str = text(1)
    value: Value | None = nested(2, Value)


class Retry(Message):
    times: int = uint32(1)
    on: Sequence[str] = texts(2)
    backoff_ms: int = uint64(3)


class Cache(Message):
    name: str = text(1)
    paths: Sequence[str] = texts(2)
    key: str = text(3)
    write: str = text(4)


class RunStepRequest(Request):
    command: str = text(2)
    name: str = text(3)
    image: str = text(4)
    env: Sequence[NamedValue] = many(5, NamedValue)
    files: Sequence[NamedValue] = many(6, NamedValue)
    workdir: str = text(7)
    retry: Retry | None = nested(8, Retry)
    timeout_ms: int = uint64(9)
    capture: str = text(10)
    once: bool = flag(11)
    user: str = text(12)
    root: str = text(13)
    cpu: float = double(14)
    memory_bytes: int = uint64(15)
    no_network: bool = flag(16)
    allow_failure: bool = flag(17)
    caps: Sequence[str] = texts(18)
    caches: Sequence[Cache] = many(19, Cache)


class RunStepReply(Message):
    outcome: str = text(1)
    exit_code: int = int32(2)
    stdout: str = text(3)
    captured: str = text(4)
    seconds: float = double(5)
    attempt: int = uint32(6)
    step: int = uint32(7)
    message: str = text(8)


class BuildImageRequest(Request):
    dockerfile: str = text(2)
    context: str = text(3)
    tag: str = text(4)
    args: Mapping[str, str] = text_map(5)


class BuildImageReply(Message):
    image: str = text(1)
    step: RunStepReply | None = nested(2, RunStepReply)


class CheckSecretRequest(Request):
    name: str = text(2)


class CheckSecretReply(Message):
    pass


class RevealSecretRequest(Request):
    value: Value | None = nested(2, Value)


class RevealSecretReply(Message):
    value: str = text(1)


class MaskValueRequest(Request):
    value: str = text(2)


class MaskValueReply(Message):
    pass


class StoreArtifactRequest(Request):
    path: str = text(2)
    name: str = text(3)
    when: str = text(4)
    no_provenance: bool = flag(5)


class StoreArtifactReply(Message):
    name: str = text(1)
    sha256: str = text(2)
    size: int = uint64(3)


class FetchArtifactRequest(Request):
    name: str = text(2)
    dest: str = text(3)
    job: str = text(4)


class FetchArtifactReply(Message):
    pass


class ChangedRequest(Request):
    globs: Sequence[str] = texts(2)


class ChangedReply(Message):
    changed: bool = flag(1)
    why: str = text(2)


class HashRequest(Request):
    globs: Sequence[str] = texts(2)


class HashReply(Message):
    hash: str = text(1)


class NowRequest(Request):
    pass


class NowReply(Message):
    now: str = text(1)


class RandomRequest(Request):
    pass


class RandomReply(Message):
    value: float = double(1)


class JunitRequest(Request):
    glob: str = text(2)
    name: str = text(3)


class JunitReply(Message):
    name: str = text(1)
    files: int = uint64(2)
    total: int = uint64(3)
    passed: int = uint64(4)
    failed: int = uint64(5)
    skipped: int = uint64(6)
    newly_failing: int = uint64(7)
    flaky: int = uint64(8)
    seconds: float = double(9)
    lines: Sequence[str] = texts(10)


class AnnotateRequest(Request):
    markdown: str = text(2)
    level: str = text(3)


class AnnotateReply(Message):
    pass


class StartServiceRequest(Request):
    name: str = text(2)
    image: str = text(3)
    port: int = uint32(4)
    env: Sequence[NamedValue] = many(5, NamedValue)
    ready: str = text(6)
    ready_timeout_ms: int = uint64(7)


class StartServiceReply(Message):
    host: str = text(1)
    port: int = uint32(2)
    message: str = text(3)


class StopServiceRequest(Request):
    pass


class StopServiceReply(Message):
    message: str = text(1)
