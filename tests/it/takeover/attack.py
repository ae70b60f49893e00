"""Runs with a master's uid and the executor's socket, and tries to get out. Prints HOLE for whatever succeeds."""
import array
import json
import os
import signal
import socket
import sys

SOCKET, ROOT, JOB, EXECUTOR = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
held = 0


class Link:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(SOCKET)
        self.n = 0
        self.ask({"verb": "hello", "version": 1})

    def ask(self, request, fds=()):
        self.n += 1
        body = json.dumps({"id": self.n, **request}).encode()
        frame = len(body).to_bytes(4, "little") + body
        self.socket.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        head = self.read(4)
        return json.loads(self.read(int.from_bytes(head, "little")))["result"]

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("hung up")
            data += more
        return data


def must_fail(what, action):
    global held
    try:
        result = action()
    except (OSError, ConnectionError, ValueError, IndexError):
        held += 1
        return
    if isinstance(result, dict) and "Err" in result:
        held += 1
        return
    print("HOLE:", what, result)


def ask(request, fds=()):
    return Link().ask(request, fds)


def spec(command, **more):
    return {
        "kind": "step", "image": "host", "argv": ["/bin/sh", "-c", command], "env": [["PATH", "/usr/bin:/bin"]],
        "files": [], "workdir": "/workspace", "user": None,
        "limits": {"cpu": 0.0, "memory_bytes": 1 << 28, "pids": 64}, "root": "writable", "network": False,
        "masks": [], "log_limit": 1 << 20, "capture_secret": False, "notes": [], **more,
    }


step = 0


def run(command, **more):
    global step
    step += 1
    names = [f"{ROOT}/own/{step}.log", f"{ROOT}/own/{step}.idx"]
    fds = [os.open(n, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600) for n in names]
    at = {"job": JOB, "step": step, "attempt": 1}
    started = ask({"verb": "ensure_step", "at": at, "spec": spec(command, **more)}, fds)
    if "Err" in started:
        return started, ""
    ended = ask({"verb": "observe", "at": at})
    return ended, open(names[0], errors="replace").read()


# The host, with nothing but the uid.
for path in ("/etc/shadow", f"{ROOT}/treasure", f"{ROOT}/executor/jobs", f"{ROOT}/executor/jobs/{JOB}/steps"):
    must_fail(f"reads {path}", lambda path=path: os.listdir(path) if os.path.isdir(path) else open(path).read())
for path in ("/etc/evil", f"{ROOT}/executor/evil", f"{ROOT}/executor/bin/danube-shim", f"{ROOT}/executor/sdk/evil.py"):
    must_fail(f"writes {path}", lambda path=path: open(path, "w").close())
must_fail("kills the executor", lambda: os.kill(EXECUTOR, signal.SIGKILL))
must_fail("becomes root", lambda: os.setuid(0))
place = SOCKET.rsplit("/", 1)[0] + f"/jobs/{JOB}"
must_fail("replaces the socket directory", lambda: os.rename(place + "/rpc", place + "/gone"))
must_fail("replaces the executor's socket", lambda: os.unlink(SOCKET))

# Requests that the protocol has no word for, and ids that are paths.
for verb in ("exec", "mount", "shell", "chown", "copy"):
    must_fail(f"verb {verb}", lambda verb=verb: ask({"verb": verb, "path": "/etc", "argv": ["id"]}))
for job in ("..", "../../etc", "/etc", "", "a" * 5000, JOB.upper() + "/"):
    must_fail(f"job {job[:20]}", lambda job=job: ask({"verb": "teardown", "job": job}))
    must_fail(f"export of {job[:20]}", lambda job=job: ask({"verb": "export", "job": job, "path": "x"}, [1]))
must_fail("step number as a path", lambda: ask({"verb": "observe", "at": {"job": JOB, "step": "../x", "attempt": 1}}))
must_fail("a frame of 2 GiB", lambda: (lambda l: (l.socket.sendall((2**31).to_bytes(4, "little")), l.read(1)))(Link()))
must_fail("a request before hello", lambda: (lambda s: (s.connect(SOCKET), s.sendall(b"\x0f\0\0\0" + b'{"id":1,"verb":"list"}'[:15]), s.recv(1)[0]))(socket.socket(socket.AF_UNIX)))

# Descriptors.
nowhere = os.open("/", os.O_PATH)
must_fail("an O_PATH source", lambda: ask({"verb": "ensure_job", "spec": {"job": JOB, "workspace_bytes": 1}}, [nowhere]))
must_fail("no descriptor", lambda: ask({"verb": "import", "job": JOB, "dest": "x"}))

# Paths of a workspace.
ended, _ = run("ln -s /etc host; ln -s /proc/1/root out; mkfifo pipe; mkdir d; ln -s ../.. d/up; echo ok > fine")
reader, writer = os.pipe()
for path in ("host/passwd", "out/etc/passwd", "d/up/steps", "../steps", "/etc/shadow", "..", "pipe", "host", "x\0y"):
    must_fail(f"export {path!r}", lambda path=path: ask({"verb": "export", "job": JOB, "path": path}, [writer]))
good = ask({"verb": "export", "job": JOB, "path": "fine"}, [writer])
if "Err" in good:
    print("HOLE in the test: a good path was refused", good)

# What the policy does not give.
for what, more in {
    "memory": {"limits": {"cpu": 0.0, "memory_bytes": 1 << 60, "pids": 64}},
    "pids": {"limits": {"cpu": 0.0, "memory_bytes": 1 << 28, "pids": 1 << 30}},
    "cpu": {"limits": {"cpu": 1e9, "memory_bytes": 1 << 28, "pids": 64}},
    "a host uid": {"user": "1879048193"},
    "an image by path": {"image": "/"},
    "another image": {"image": "oci:/var/lib/images"},
    "a relative workdir": {"workdir": "../.."},
    "no command": {"argv": []},
}.items():
    must_fail(f"is given {what}", lambda more=more: run("true", **more)[0])

# Fields that would be tempting: they have no meaning, and the container is as closed as ever.
probe = (
    "cat /proc/self/uid_map; grep -E 'CapBnd|Seccomp:|NoNewPrivs' /proc/self/status | tr '\\t' ' ';"
    "test -e /etc/shadow && echo HOLE shadow; test -e /host && echo HOLE mount; ls /dev;"
    "python3 -c \"open('/proc/sys/kernel/hostname','w')\" 2>/dev/null && echo HOLE sysctl;"
    "python3 -c \"import os; os.open('/dev/kmsg', 0)\" 2>/dev/null && echo HOLE kmsg;"
    "python3 -c \"import ctypes; exit(ctypes.CDLL(None, use_errno=True).unshare(0x10000000))\" && echo HOLE userns;"
    "python3 -c \"import socket; socket.create_connection(('127.0.0.1', 22), 1)\" 2>/dev/null && echo HOLE net;"
    "ls /danube/run /danube/source /run/danube /sys 2>/dev/null; mknod blk b 8 0 2>/dev/null && echo HOLE device; true"
)
ended, log = run(
    probe, mounts=[{"destination": "/host", "source": "/", "type": "bind"}], devices=["/dev/kmsg"], privileged=True,
    capabilities=["CAP_SYS_ADMIN"], base=0, uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}],
    binds=[{"from": "/", "to": "/host", "writable": True}], seccomp="", network=True, cgroup="/", rootfs="/",
    env=[["PATH", "/usr/bin:/bin"], ["LD_PRELOAD", "/workspace/evil.so"], ["DANUBE_SHIM", "/bin/sh"]],
)
if "Err" in ended:
    print("HOLE in the test: the probe did not run", ended)
print(log)
first = next(line.split() for line in log.splitlines() if line.split()[:1] == ["0"])
if not (first[0] == "0" and int(first[1]) >= 0x70010000 and first[2] == "65536"):
    print("HOLE: the uid map is", first)
if "CapBnd: 00000000000000fb" not in log or "Seccomp: 2" not in log or "NoNewPrivs: 1" not in log:
    print("HOLE: protections are missing")
held += 1
# Files of a step may have any name: they are made inside the container.
ended, log = run("cat /etc/hosts | head -1; ls -la /danube", files=[{"path": "/etc/cron.d/evil", "content": "eA=="}, {"path": "../../../../evil", "content": "eA=="}])
for path in ("/etc/cron.d/evil", "/evil", f"{ROOT}/evil"):
    if os.path.lexists(path):
        print("HOLE: wrote", path)
print(held, "attacks held")
