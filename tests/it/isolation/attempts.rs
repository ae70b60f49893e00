//! The escape suite as a table: what a step tries, how it is refused, and what keeps it from succeeding.

/// One attempt to get out of a step, or to reach what is not its own.
pub(super) struct Attempt {
    pub(super) name: &'static str,
    /// Python, after `probe.py`; it says `escaped()` where it succeeds. An empty one is an export of a link.
    pub(super) code: &'static str,
    /// What it is refused with: one of these words, apart by `|`, stands in its log.
    pub(super) refusal: &'static str,
    /// The switches that keep it from succeeding: with all of them off it does.
    pub(super) off: &'static [&'static str],
    /// A file of the machine without which there is nothing to try.
    pub(super) needs: &'static str,
    /// It may end its step, or take it long: it has one of its own.
    pub(super) alone: bool,
}

const fn line(name: &'static str, off: &'static [&'static str], refusal: &'static str, code: &'static str) -> Attempt {
    Attempt { name, code, refusal, off, needs: "/", alone: false }
}

/// Becomes an ordinary user and starts a copy of the interpreter that belongs to root and has the bit.
macro_rules! setuid {
    ($place:literal) => {
        concat!(
            "import shutil\nplace = '",
            $place,
            "'\nshutil.copy(os.path.realpath('/usr/bin/python3'), place)\nos.chmod(place, 0o4755)\n\
             os.setgid(1000)\nos.setuid(1000)\n\
             then = f'import os; print(\"{NAME}:\", \"ESCAPED\" if os.geteuid() == 0 else \"refused: uid\", os.geteuid())'\n\
             os.execv(place, [place, '-I', '-c', then])",
        )
    };
}

/// Its first process, whatever number that has, is looked at after the signal.
macro_rules! kill {
    ($whom:literal) => {
        concat!(
            "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef lives():\n  try: return read(f'/proc/{FIRST}/stat').rpartition(b')')[2].split()[0] not in b'ZX'\n  \
             except OSError: return False\nos.kill(",
            $whom,
            ", signal.SIGKILL)\nfor _ in range(50):\n  if not lives(): escaped(); break\n  time.sleep(0.01)\n\
             else: say('refused: it lives on')",
        )
    };
}

/// Where the directories of the machine are seen once nothing keeps them away, and its root is root.
const AS_ROOT: &[&str] = &["no-host-paths", "user-namespace"];
const MOUNTING: &[&str] = &["seccomp-mounts", "capabilities-admin"];

pub(super) const ATTEMPTS: &[Attempt] = &[
    // Namespaces inside.
    line("a user namespace by unshare", &["seccomp-namespaces"], "ENOSYS", "done(libc.unshare(NEWUSER)); escaped()"),
    line(
        "a user namespace by clone",
        &["seccomp-namespaces"],
        "ENOSYS",
        "child(call('clone', NEWUSER | 17, 0, 0, 0, 0))",
    ),
    line(
        "a user namespace by clone3",
        &["seccomp-namespaces"],
        "ENOSYS",
        "args = ctypes.create_string_buffer(struct.pack('8Q', NEWUSER, 0, 0, 0, 17, 0, 0, 0), 64)\nchild(call('clone3', args, 64))",
    ),
    line(
        "a mount in a user namespace of its own",
        &["seccomp-namespaces", "seccomp-mounts"],
        "ENOSYS",
        "done(libc.unshare(NEWUSER | NEWNS)); done(libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)); escaped()",
    ),
    line(
        "another namespace by setns",
        &["seccomp-namespaces", "capabilities-admin"],
        "ENOSYS",
        "done(libc.setns(os.open('/proc/self/ns/uts', os.O_RDONLY), NEWUTS)); escaped()",
    ),
    line(
        "a network of its own by unshare",
        &["seccomp-namespaces", "capabilities-admin"],
        "ENOSYS",
        "done(libc.unshare(NEWNET)); escaped()",
    ),
    line(
        "a network of its own by clone",
        &["seccomp-namespaces", "capabilities-admin"],
        "ENOSYS",
        "child(call('clone', NEWNET | 17, 0, 0, 0, 0))",
    ),
    line(
        "a network of its own by a program",
        &["seccomp-namespaces", "capabilities-admin"],
        "Function not implemented",
        "import subprocess\nwent = subprocess.run(['unshare', '-n', 'true'], capture_output=True, text=True)\n\
         escaped() if went.returncode == 0 else say('refused: ' + went.stderr.strip())",
    ),
    // Mounts and roots.
    line("mount", MOUNTING, "ENOSYS", "done(libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)); escaped()"),
    line(
        "mount by fsopen and move_mount",
        MOUNTING,
        "ENOSYS",
        "fs = call('fsopen', b'tmpfs', 1)\ncall('fsconfig', fs, 6, 0, 0, 0)\nmount = call('fsmount', fs, 1, 0)\n\
         call('move_mount', mount, b'', -100, b'/tmp', 4); escaped()",
    ),
    line(
        "a copy of a mount by open_tree",
        MOUNTING,
        "ENOSYS",
        "call('open_tree', -100, b'/workspace', 1 | os.O_CLOEXEC); escaped()",
    ),
    line("umount of what covers a file", MOUNTING, "ENOSYS", "done(libc.umount2(b'/dev/shm', 2)); escaped()"),
    line("chroot", &["seccomp-mounts", "capabilities-root"], "ENOSYS", "os.chroot('/tmp'); escaped()"),
    line(
        "pivot_root",
        MOUNTING,
        "ENOSYS",
        "os.mkdir('/new')\nif libc.mount(b'x', b'/new', b'tmpfs', 0, None) == 0: os.mkdir('/new/old')\n\
         call('pivot_root', b'/new', b'/new/old'); escaped()",
    ),
    // Devices and what is above the rights of files.
    line(
        "a device node",
        &["user-namespace", "capabilities-devices"],
        "EPERM",
        "os.mknod('/dev/nought', 0o20666, os.makedev(1, 5)); escaped(read('/dev/nought', 1) == b'\\0')",
    ),
    line(
        "a device node in the workspace",
        &["user-namespace", "capabilities-devices", "nodev-binds"],
        "EPERM",
        "os.mknod('zero', 0o20666, os.makedev(1, 5)); escaped(read('zero', 1) == b'\\0')",
    ),
    Attempt {
        needs: "/dev/loop-control",
        ..line(
            "a device that sets up disks",
            &["user-namespace", "capabilities-devices", "device-list"],
            "EPERM",
            "os.mknod('/dev/loops', 0o20600, os.makedev(10, 237)); os.open('/dev/loops', os.O_RDWR); escaped()",
        )
    },
    line(
        "a file by its handle",
        &["seccomp-handles", "user-namespace", "capabilities-files"],
        "ENOSYS",
        "handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0), 136)\nmount = ctypes.create_string_buffer(8)\n\
         call('name_to_handle_at', -100, b'/workspace', handle, mount, 0)\n\
         call('open_by_handle_at', os.open('/workspace', os.O_RDONLY), handle, os.O_RDONLY); escaped()",
    ),
    line(
        "a capability for a file",
        &["capabilities-files"],
        "EPERM",
        "write('/tool', ''); os.setxattr('/tool', 'security.capability', struct.pack('<5I', 0x02000001, 0x2000, 0, 0, 0)); escaped()",
    ),
    line("a program with the setuid bit", &["no-new-privileges"], "refused", setuid!("/tool")),
    line(
        "a program with the setuid bit in the workspace",
        &["no-new-privileges", "nosuid-binds"],
        "refused",
        setuid!("/workspace/tool"),
    ),
    // Other processes.
    line(
        "the processes of the machine",
        &["pid-namespace"],
        "ENOENT",
        "escaped(b'it-' in read(f\"/proc/{os.environ['PID']}/cmdline\"))",
    ),
    Attempt { alone: true, ..line("the end of its first process", &["pid-namespace"], "lives on", kill!("FIRST")) },
    // Every process that it may: with users of its own, that is nobody of the machine.
    Attempt { alone: true, ..line("the end of everything", &["pid-namespace"], "lives on", kill!("-1")) },
    line(
        "the variables of its first process",
        &["undumpable-init"],
        "EACCES",
        "escaped(b'PATH=' in read(f'/proc/{FIRST}/environ'))",
    ),
    line("the memory of its first process", &["undumpable-init"], "EACCES", MEMORY),
    line(
        "the memory of its first process by a call",
        &["undumpable-init"],
        "EPERM",
        "into = ctypes.create_string_buffer(8)\nlocal = ctypes.create_string_buffer(struct.pack('QQ', ctypes.addressof(into), 8), 16)\n\
         start = int(read(f'/proc/{FIRST}/stat').split()[25])\nremote = ctypes.create_string_buffer(struct.pack('QQ', start or 4096, 8), 16)\n\
         try: call('process_vm_readv', FIRST, local, 1, remote, 1, 0)\n\
         except OSError as error:\n  if error.errno != errno.EFAULT: raise\nescaped()",
    ),
    line(
        "ptrace of its first process",
        &["undumpable-init"],
        "EPERM",
        "done(libc.ptrace(0x4206, FIRST, None, None)); escaped()",
    ),
    line(
        "ptrace of its supervisor",
        &["pid-namespace", "user-namespace", "capabilities-trace"],
        "ESRCH|ENOENT",
        "shim = parent_of(FIRST)\nif shim == 0: raise OSError(errno.ESRCH, 'no supervisor is seen')\n\
         done(libc.ptrace(0x4206, shim, None, None)); escaped()",
    ),
    line(
        "what its first process was told",
        &["closed-frame"],
        "ENOENT",
        "os.lseek(int(os.readlink('/proc/self/fd/4') and 4), 0, 0); escaped(os.environ['TOKEN'].encode() in os.read(4, 65536))",
    ),
    // Networks.
    line(
        "a raw socket",
        &["capabilities-network"],
        "EPERM",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); escaped()",
    ),
    line(
        "a packet socket",
        &["capabilities-network"],
        "EPERM",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768); escaped()",
    ),
    line(
        "a network set up anew",
        &["capabilities-network"],
        "EPERM",
        "import fcntl\nfcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x41)); escaped()",
    ),
    line(
        "a port of the machine",
        &["network-namespace"],
        "ENETUNREACH|ECONNREFUSED",
        "socket.create_connection(('127.0.0.1', int(os.environ['PORT']))); escaped()",
    ),
    line(
        "a socket of the machine without a file",
        &["network-namespace"],
        "ECONNREFUSED",
        "socket.socket(socket.AF_UNIX).connect('\\0' + os.environ['ABSTRACT']); escaped()",
    ),
    line(
        "a socket to the kernel's ciphers",
        &["seccomp-sockets"],
        "ENOSYS",
        "try: socket.socket(38, socket.SOCK_SEQPACKET)\n\
         except OSError as error:\n  if error.errno != errno.EAFNOSUPPORT: raise\nescaped()",
    ),
    // Doors into the kernel.
    line("a key", &["seccomp-keyrings"], "ENOSYS", "call('add_key', b'user', b'danube', b'x', 1, -2); escaped()"),
    line("a keyring", &["seccomp-keyrings"], "ENOSYS", "call('keyctl', 0, -2, 1, 0, 0); escaped()"),
    line(
        "a program or table in the kernel",
        &["seccomp-kernel", "capabilities-admin", "user-namespace"],
        "ENOSYS",
        "table = ctypes.create_string_buffer(struct.pack('4I', 2, 4, 4, 1), 64)\ncall('bpf', 0, table, 64); escaped()",
    ),
    line(
        "a counter of the kernel",
        &["seccomp-kernel", "capabilities-admin", "user-namespace"],
        "ENOSYS",
        "attr = ctypes.create_string_buffer(struct.pack('IIQ3QQ', 1, 64, 1, 0, 0, 0, 0x60), 64)\ncall('perf_event_open', attr, 0, -1, -1, 0); escaped()",
    ),
    line("userfaultfd", &["seccomp-userfault"], "ENOSYS", "call('userfaultfd', 1); escaped()"),
    line(
        "io_uring",
        &["seccomp-io-uring"],
        "ENOSYS",
        "call('io_uring_setup', 1, ctypes.create_string_buffer(120)); escaped()",
    ),
    // What names and sets up the machine.
    line(
        "another name of the machine",
        &["seccomp-names", "capabilities-admin"],
        "ENOSYS",
        "done(libc.sethostname(b'mine', 4)); escaped()",
    ),
    line(
        "the name of the machine",
        &["uts-namespace"],
        "refused",
        "escaped(os.uname().nodename == os.environ['NAME'])",
    ),
    line(
        "shared memory of the machine",
        &["ipc-namespace"],
        "refused",
        "escaped(any(line.split()[1:2] == [os.environ['SHM'].encode()] for line in read('/proc/sysvipc/shm').splitlines()))",
    ),
    line(
        "its place among the cgroups",
        &["cgroup-namespace"],
        "refused",
        "escaped(b'/danube-' in read('/proc/self/cgroup'))",
    ),
    line(
        "the cgroups of the machine",
        AS_ROOT,
        "ENOENT",
        "base = seen('/sys/fs/cgroup')\nwrite(base + ('/pids' if os.path.isdir(base + '/pids') else '') + '/cgroup.procs', '0'); escaped()",
    ),
    line("the interrupts of the machine", &["masked-paths"], "refused", "escaped(len(read('/proc/interrupts')) > 0)"),
    Attempt {
        needs: "/proc/kcore",
        ..line(
            "the memory of the kernel",
            &["masked-paths", "user-namespace", "capabilities-devices"],
            "refused",
            "escaped(read('/proc/kcore', 4) == b'\\x7fELF')",
        )
    },
    line(
        "the keys of the machine",
        &["masked-paths", "user-namespace"],
        "refused",
        "escaped(len(read('/proc/keys')) > 0)",
    ),
    line(
        "/proc/sys of its network",
        &["readonly-paths", "capabilities-network"],
        "EROFS",
        "write('/proc/sys/net/ipv4/ip_forward', '1'); escaped()",
    ),
    line(
        "/proc/sys of the machine",
        &["readonly-paths", "user-namespace"],
        "EROFS",
        "path = '/proc/sys/vm/swappiness'\nwrite(path, read(path).decode()); escaped()",
    ),
    Attempt {
        needs: "/proc/sysrq-trigger",
        ..line(
            "/proc/sysrq-trigger",
            &["readonly-paths", "user-namespace"],
            "EROFS",
            "write('/proc/sysrq-trigger', 'h'); escaped()",
        )
    },
    // Files and sockets of the machine and of other jobs.
    line("/etc/shadow", AS_ROOT, "ENOENT", "escaped(b'root' in read(seen('/etc/shadow')))"),
    line(
        "a file of the machine that is nobody's secret",
        &["no-host-paths"],
        "ENOENT",
        "escaped(read(seen(os.environ['FILE'])) == b'of the machine')",
    ),
    line("/tmp of the machine", &["private-tmp"], "ENOENT", "escaped(read(os.environ['FILE']) == b'of the machine')"),
    line(
        "the workspace of another job",
        &["no-host-paths"],
        "ENOENT",
        "escaped(read(seen(os.environ['OTHER'] + '/open')) == b'of another')",
    ),
    line(
        "a private file of another job",
        AS_ROOT,
        "ENOENT",
        "escaped(read(seen(os.environ['OTHER'] + '/private')) == b'of another')",
    ),
    line(
        "the socket of the executor",
        &["no-host-paths"],
        "ENOENT",
        "socket.socket(socket.AF_UNIX).connect(seen(os.environ['EXECUTOR'])); escaped()",
    ),
    line(
        "the socket of a daemon of the machine",
        &["no-host-paths"],
        "ENOENT",
        "socket.socket(socket.AF_UNIX).connect(seen(os.environ['DAEMON'])); escaped()",
    ),
    line(
        "the programs of the machine",
        &["readonly-binds", "user-namespace"],
        "EROFS",
        "path = '/usr/share/danube-isolation'\nwrite(path, ''); os.unlink(path); escaped()",
    ),
    line(
        "the first process of every step",
        &["readonly-binds", "user-namespace"],
        "EROFS",
        "os.chmod('/danube/init', 0o755); escaped()",
    ),
    Attempt {
        code: "",
        ..line("a link to a file of the machine, uploaded", &["links-refused", "no-host-paths"], "symbolic link", "")
    },
    // More than its share.
    Attempt {
        alone: true,
        ..line(
            "more memory than its limit",
            &["memory-limit"],
            "",
            "b = bytearray(400 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\nescaped()",
        )
    },
    Attempt {
        alone: true,
        ..line(
            "more processes than its limit",
            &["pids-limit"],
            "EAGAIN",
            "import time\nfor _ in range(100):\n  if os.fork() == 0: time.sleep(3600); os._exit(0)\nescaped()",
        )
    },
    Attempt { alone: true, ..line("more of a processor than its limit", &["cpu-limit"], "refused", CPU) },
];

const MEMORY: &str = "
pid = FIRST
maps = read(f'/proc/{pid}/maps', 1 << 20).decode().splitlines()
if not maps: raise OSError(errno.EACCES, 'no memory is seen')
with open(f'/proc/{pid}/mem', 'rb', 0) as memory:
    for line in (line for line in maps if line.split()[1].startswith('r')):
        memory.seek(int(line.split('-')[0], 16))
        got = memory.read(4)
        say('ESCAPED' if len(got) == 4 else f'refused: {line} gives {got!r}')
        break
";

/// A twentieth of a processor is more than was given, and less than anybody gets on a busy machine.
const CPU: &str = "
import time
wall, own = time.monotonic(), time.process_time()
while True:
    spent, passed = time.process_time() - own, time.monotonic() - wall
    if spent >= 0.1 and spent / passed >= 0.08: escaped(); break
    if passed > 4: say(f'refused: a share of {spent / passed}'); break
";
