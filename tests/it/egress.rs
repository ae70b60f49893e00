//! Egress: what a step reaches is what the list names, and all else is refused at once, named and recorded.
#[path = "egress/executor.rs"]
mod executor;
#[path = "egress/names.rs"]
mod names;
#[path = "egress/network.rs"]
mod network;
#[path = "egress/restarts.rs"]
mod restarts;

use super::support::run::{End, Run, pipeline};
use super::support::world::{NAMESERVER, World};

/// What a step can try: each prints one line with what it tried and what came of it.
const TRY: &str = r#"
import errno, os, socket, struct, sys

def tried(what, attempt):
    try:
        came = attempt()
    except socket.gaierror as error:
        came = "no name"
    except socket.timeout:
        came = "TIMEOUT"
    except OSError as error:
        came = errno.errorcode.get(error.errno, str(error.errno))
    print(f"{what}: {came}", flush=True)

def tcp(host, port=80):
    def attempt():
        with socket.create_connection((host, int(port)), timeout=20) as stream:
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return stream.recv(1000).decode().strip().split("\n")[-1]
    tried(f"tcp {host} {port}", attempt)

def udp(host, port=9):
    def attempt():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(20)
            datagrams.connect((host, int(port)))
            datagrams.send(b"x")
            datagrams.send(b"x")
            datagrams.recv(1)
            return "answered"
    tried(f"udp {host} {port}", attempt)

def v6(host):
    def attempt():
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as stream:
            stream.settimeout(20)
            stream.connect((host, 80))
            return "connected"
    tried(f"v6 {host}", attempt)

def icmp(host):
    def attempt():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as echo:
            echo.settimeout(20)
            echo.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (host, 0))
            echo.recv(1000)
            return "answered"
    tried(f"icmp {host}", attempt)

def own():
    with open("/etc/resolv.conf") as lines:
        return lines.readline().split()[1]

def question(labels):
    body = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + body + b"\0\0\1\0\1"

def dns(*names, server=None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(20)
        datagrams.connect((server or own(), 53))
        for name in names:
            datagrams.send(question([label.encode("latin-1") for label in name.split(".")]))
            reply = datagrams.recv(600)
            print(f"dns {ascii(name)}: code {reply[3] & 15}, {reply[7]} answers", flush=True)

def stream(name, server=None):
    def attempt():
        with socket.create_connection((server or own(), 53), timeout=20) as tcp:
            asked = question([label.encode() for label in name.split(".")])
            tcp.sendall(struct.pack(">H", len(asked)) + asked)
            reply = tcp.recv(600)
            return f"code {reply[5] & 15}, {reply[9]} answers"
    tried(f"stream {name} {server or 'own'}", attempt)

if __name__ == "__main__":
    for word in sys.argv[1:]:
        name, *args = word.split("/")
        globals()[name](*args)
"#;

/// A run in a world of its own, of a danubefile with this body.
fn run_in(body: &str) -> Run {
    Run::with(&[("danubefile.py", &pipeline(body)), ("attempts.py", TRY)]).env("DANUBE_EXECUTOR__DNS", NAMESERVER)
}

/// Runs to the end in a world, with these names in force.
fn end_in(world: &World, run: &Run, names: &[&str]) -> End {
    let mut command = run.command();
    for name in names {
        command.args(["--egress", name]);
    }
    run.start(world.enter(&command)).end()
}

/// What a run with one step printed that tries these, in a world.
fn trying(world: &World, names: &[&str], attempts: &str) -> String {
    let run = run_in(&format!("step.run(\"python3 attempts.py {attempts}\", check=False)"));
    end_in(world, &run, names).succeeded();
    run.log(1, 1)
}
