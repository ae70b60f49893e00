"""`step`: commands in containers, one after another or side by side."""

from __future__ import annotations

from itertools import product
from types import MappingProxyType

from danube import _messages as messages
from danube._branches import DEFAULT_SIDE_BY_SIDE, side_by_side
from danube._caches import caches_of
from danube._errors import DanubeError, StepFailed
from danube._keys import Branch, matrix_label
from danube._results import Cache, Result, Retry, Service
from danube._secret import Secret, plain, value_of
from danube._service import ServiceBody, checked
from danube._session import ask, enter
from danube._units import memory_bytes, milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Literal, TypeVar

    from danube._types import Env

    T = TypeVar("T")

_NOTHING: Env = MappingProxyType({})
_NO_CACHES: tuple[Cache, ...] = ()
_NO_EXCLUSION: tuple[Mapping[str, str], ...] = ()
_CAUSES = ("infra", "timeout", "oom", "exit")
_CAPTURES = {False: "", True: "stdout", "secret": "secret"}
_ROOTS = {"writable": "", "readonly": "readonly"}
_OUTCOMES = {
    "timeout": "it ran longer than its timeout",
    "oom": "it ran out of memory",
    "infra": "the infrastructure failed",
}


class _Step:
    """Runs commands in containers, one after another or side by side."""

    def run(
        self,
        command: str,
        *,
        name: str | None = None,
        image: str | None = None,
        env: Env = _NOTHING,
        files: Env = _NOTHING,
        workdir: str = "/workspace",
        caches: Sequence[Cache] = _NO_CACHES,
        retry: Retry | int = 0,
        timeout: str | None = None,
        check: bool = True,
        capture: bool | Literal["secret"] = False,
        once: bool = False,
        user: str | None = None,
        root: Literal["writable", "readonly"] = "writable",
        cpu: float | None = None,
        memory: str | None = None,
        network: bool = True,
        caps: Sequence[str] = (),
    ) -> Result:
        """Runs a command by `/bin/sh -c` in a fresh container on the job's workspace.

        Waits for its end. Files in the workspace stay for the next step; `cd`, `export` and everything outside
        the workspace do not.

        Args:
            command: What the shell runs; several lines are fine. It can't hold a secret: use `env`.
            name: What people see; the beginning of the command where it is left out.
            image: The container's image; `"host"` is the machine's own `/usr`, read-only.
            env: Variables, as text or as secrets.
            files: Files that are there for this step alone: absolute path to content, as text or as a secret.
            workdir: Where the command starts; a relative path lies below the workspace.
            caches: Directories that are restored before the command runs and stored after it succeeded.
            retry: How often, after which causes and with which pauses a failed attempt is repeated. A number
                stands for `Retry(number)`: so many further attempts after failures of the infrastructure.
            timeout: The longest that one attempt may run, such as `"90s"` or `"1h30m"`.
            check: `False` returns the result of a failed step instead of raising.
            capture: `True` returns the first 64 KiB of standard output, redacted. `"secret"` takes the output as
                a secret, which no log shows.
            once: The command must never run twice, not even after a crash; it is repeated only if it never began.
            user: The number of the user in the container; 0 where it is left out.
            root: `"readonly"` lets the command write to the workspace and `/tmp` alone.
            cpu: Cores that the step may use, such as `0.5`.
            memory: The most memory, such as `"512MiB"`; a step that needs more ends with the cause `"oom"`.
            network: `False` takes the network away.
            caps: Capabilities that the command's root has beside the usual ones, such as `["SETFCAP"]`. The pipeline
                must list each in its `caps`, and the server in its `executor.allow`.

        Returns:
            How the step ended.

        Raises:
            StepFailed: It did not succeed, and `check` is true.
        """
        if not plain(command, "the command").strip():
            raise DanubeError("the command is empty: step.run needs a shell command")
        if capture not in _CAPTURES:
            raise DanubeError(f'capture= is {capture!r}: write True, False or "secret"')
        if root not in _ROOTS:
            raise DanubeError(f'root= is {root!r}: write "writable" or "readonly"')
        if cpu is not None and not 0 < cpu < float("inf"):
            raise DanubeError(f"cpu= is {cpu!r}: write a number of cores above zero, such as 0.5 or 2")
        request = messages.RunStepRequest(
            command=command,
            name=_optional(name, "name="),
            image=_optional(image, "image="),
            env=_named(env, "env"),
            files=_named(files, "files"),
            workdir="" if workdir == "/workspace" else plain(workdir, "workdir="),
            retry=_retry(retry),
            timeout_ms=0 if timeout is None else milliseconds(timeout, "timeout="),
            capture=_CAPTURES[capture],
            once=once,
            user=_optional(user, "user="),
            root=_ROOTS[root],
            cpu=0.0 if cpu is None else float(cpu),
            memory_bytes=0 if memory is None else memory_bytes(memory, "memory="),
            no_network=not network,
            allow_failure=not check,
            caches=caches_of(caches),
            caps=_caps(caps),
        )
        reply = ask("run", "RunStep", request, messages.RunStepReply)
        result = result_of(reply, _label(request))
        if check and reply.outcome != "success":
            raise StepFailed(why_failed(reply, _label(request)), result)
        return result

    def parallel(self, *branches: Callable[[], T], max_parallel: int | None = None, fail_fast: bool = False) -> list[T]:
        """Runs functions side by side and returns their values in order.

        Each function is a branch: its steps run one after another, and all branches share the workspace.

        Args:
            branches: Functions without arguments, such as `lambda: step.run("make a")`.
            max_parallel: The most branches that run at once; 16 where it is left out.
            fail_fast: Raise the first failure at once; the other branches make no further calls. Otherwise all
                branches come to their end first.

        Returns:
            What the functions returned, in the order of the arguments.

        Raises:
            StepFailed: A branch failed with it; any other exception of a branch is raised as well. Of several the
                one of the first branch counts, and its notes name the others.
        """
        for index, branch in enumerate(branches):
            if not callable(branch):
                raise DanubeError(
                    f"branch {index} of step.parallel is {branch!r}: "
                    "write `lambda: step.run(…)`, so that it can start later"
                )
        limit = _limit(max_parallel)
        _, parent, place = enter()
        prefix = parent.key("parallel")
        work = [(Branch(f"{prefix}[{index}]", parent, place), branch) for index, branch in enumerate(branches)]
        return side_by_side(work, limit, fail_fast)

    def matrix(
        self,
        fn: Callable[..., T],
        axes: Mapping[str, Sequence[str]],
        *,
        exclude: Sequence[Mapping[str, str]] = _NO_EXCLUSION,
        max_parallel: int | None = None,
    ) -> list[T]:
        """Calls a function side by side for every combination of values, and returns what it returned.

        Each combination is a branch that is called by its values, such as `python=3.12,os=debian`.

        Args:
            fn: Called with one keyword argument for each axis: `fn(python="3.12", os="debian")`.
            axes: The values of each axis.
            exclude: Combinations to leave out: an entry removes all that hold its values.
            max_parallel: The most branches that run at once; 16 where it is left out.

        Returns:
            What the calls returned, in the order of the axes: the last one changes fastest.

        Raises:
            StepFailed: A branch failed with it; as in `step.parallel`.
        """
        if not callable(fn):
            raise DanubeError(f"step.matrix got {fn!r}: give a function that takes the axes as arguments")
        cells = _cells(axes, exclude)
        limit = _limit(max_parallel)
        _, parent, place = enter()
        prefix = parent.key("matrix")
        work = [(Branch(f"{prefix}[{matrix_label(cell)}]", parent, place), _applied(fn, cell)) for cell in cells]
        return side_by_side(work, limit, fail_fast=False)

    def service(
        self,
        image: str,
        *,
        name: str,
        port: int,
        env: Env = _NOTHING,
        ready: str | None = None,
        ready_timeout: str = "60s",
    ) -> AbstractContextManager[Service]:
        """Runs a container beside the steps of a `with` block, such as a database for the tests.

        The image's own program runs, with no workspace. It is ready when the block begins, and ended when the block
        ends. Steps of the block reach it under its name; two branches may each have a service of one name.

        Args:
            image: The container's image.
            name: The name under which steps reach it: small letters, digits and `-`.
            port: The port on which it listens.
            env: Its variables, as text or as secrets.
            ready: A shell command that is run in the service's container until it succeeds, such as
                `"pg_isready -U postgres"`. Left out: the port accepts connections.
            ready_timeout: How long it may take to get ready.

        Returns:
            For `with … as`: the host and port that steps use.

        Raises:
            ServiceFailed: It did not get ready, or it ended while the block ran.
        """
        checked(name, port)
        if not plain(image, "the image"):
            raise DanubeError(f'the service "{name}" needs an image')
        request = messages.StartServiceRequest(
            name=name,
            image=image,
            port=port,
            env=_named(env, "env"),
            ready=_optional(ready, "ready="),
            ready_timeout_ms=0 if ready_timeout == "60s" else milliseconds(ready_timeout, "ready_timeout="),
        )
        return ServiceBody(request)


def _applied(fn: Callable[..., T], cell: Mapping[str, str]) -> Callable[[], T]:
    return lambda: fn(**cell)


def _cells(axes: Mapping[str, Sequence[str]], exclude: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    for axis, values in axes.items():
        if isinstance(values, str):
            raise DanubeError(f"axis {axis!r} is the text {values!r}: give a list of values, such as [{values!r}]")
        for value in values:
            plain(value, f"a value of axis {axis!r}")
        if len(set(values)) < len(values):
            raise DanubeError(f"axis {axis!r} names a value twice: {list(values)!r}")
    for entry in exclude:
        for axis in entry.keys() - axes.keys():
            raise DanubeError(f"exclude= names the axis {axis!r}, but the matrix has {', '.join(axes)}")
    cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    return [cell for cell in cells if not any(entry.items() <= cell.items() for entry in exclude)]


def _limit(max_parallel: int | None) -> int:
    if max_parallel is None:
        return DEFAULT_SIDE_BY_SIDE
    if max_parallel < 1:
        raise DanubeError(f"max_parallel= is {max_parallel}: at least one branch must run")
    return max_parallel


def _optional(text: str | None, what: str) -> str:
    return "" if text is None else plain(text, what)


def _named(values: Env, what: str) -> tuple[messages.NamedValue, ...]:
    return tuple(
        messages.NamedValue(name=plain(name, f"a name in {what}="), value=value_of(value, f"{what}[{name!r}]"))
        for name, value in values.items()
    )


def _caps(caps: Sequence[str]) -> tuple[str, ...]:
    if isinstance(caps, str):
        raise DanubeError(f"caps= is {caps!r}: give a list of names, such as [{caps!r}]")
    # One name has one form, and their order means nothing.
    names = {plain(name, "a name in caps=").removeprefix("CAP_") for name in caps}
    return tuple(sorted(names))


def _retry(retry: Retry | int) -> messages.Retry | None:
    wanted = retry if isinstance(retry, Retry) else Retry(retry)
    if not 0 <= wanted.times <= 100:
        raise DanubeError(f"retry= asks for {wanted.times} further attempts: write a number from 0 to 100")
    for cause in (wanted.on,) if isinstance(wanted.on, str) else wanted.on:
        if isinstance(wanted.on, str) or cause not in _CAUSES:
            raise DanubeError(f"retry= names the cause {cause!r}: give a list of {', '.join(map(repr, _CAUSES))}")
    backoff_ms = milliseconds(wanted.backoff, "the backoff of retry=")
    return messages.Retry(times=wanted.times, on=tuple(wanted.on), backoff_ms=backoff_ms) if wanted.times else None


def _label(request: messages.RunStepRequest) -> str:
    """What to call the step in errors: its name, else the head of its command."""
    if request.name:
        return request.name
    line = request.command.strip().partition("\n")[0]
    return line if len(line) <= 60 else f"{line[:59]}…"


def result_of(reply: messages.RunStepReply, label: str) -> Result:
    """How a step ended."""
    """How a step ended."""
    # A step that failed must never read as a success, even if it has no exit code of its own.
    exit_code = -1 if reply.outcome != "success" and reply.exit_code == 0 else reply.exit_code
    captured = messages.Value(captured=reply.captured)
    secret = Secret(captured, f'captured by step "{label}"') if reply.captured else None
    return Result(exit_code, reply.stdout, secret, reply.seconds, reply.attempt)


def why_failed(reply: messages.RunStepReply, label: str) -> str:
    """Why a step failed, in a sentence."""
    """Why a step failed, in a sentence."""
    reason = _OUTCOMES.get(reply.outcome, f"exit code {reply.exit_code}")
    if reply.message:
        reason = f"{reason}: {reply.message}" if reply.outcome == "infra" else reply.message
    return f'step "{label}" failed: {reason}'


step = _Step()
"""The steps of the job."""
