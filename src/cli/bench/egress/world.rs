//! A machine and a world for the bench: two network namespaces with a link between them. No packet leaves them.
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The world's server and nameserver, addresses for documentation.
pub(super) const SERVER: &str = "198.51.100.10";
pub(super) const NAMESERVER: &str = "198.51.100.53";

/// Both, gone when dropped.
pub(super) struct World {
    machine: String,
    outside: String,
}

impl World {
    pub(super) fn make() -> anyhow::Result<Self> {
        let name = |side| format!("danube-bench-{}-{side}", std::process::id());
        let world = Self { machine: name("machine"), outside: name("world") };
        let (machine, outside) = (&world.machine, &world.outside);
        for line in [
            format!("netns add {machine}"),
            format!("netns add {outside}"),
            format!("link add up0 netns {machine} type veth peer name down0 netns {outside}"),
            format!("-n {machine} link set lo up"),
            format!("-n {outside} link set lo up"),
            format!("-n {machine} address add 203.0.113.1/30 dev up0"),
            format!("-n {outside} address add 203.0.113.2/30 dev down0"),
            format!("-n {machine} link set up0 up"),
            format!("-n {outside} link set down0 up"),
            format!("-n {machine} route add default via 203.0.113.2"),
            format!("-n {outside} address add {SERVER}/32 dev lo"),
            format!("-n {outside} address add {NAMESERVER}/32 dev lo"),
        ] {
            let output = Command::new("ip").args(line.split(' ')).output().context("cannot run ip")?;
            if !output.status.success() {
                bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        let (udp, tcp) = world.listen()?;
        std::thread::spawn(move || names(&udp));
        std::thread::spawn(move || bytes(&tcp));
        Ok(world)
    }

    fn listen(&self) -> anyhow::Result<(UdpSocket, TcpListener)> {
        let handle = File::open(format!("/run/netns/{}", self.outside))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| -> anyhow::Result<_> {
                move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok((UdpSocket::bind((NAMESERVER, 53))?, TcpListener::bind((SERVER, 80))?))
            });
            thread.join().unwrap_or_else(|_| bail!("the world could not listen"))
        })
    }

    /// A command that runs on the machine's side.
    pub(super) fn on_the_machine(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.machine)).arg("--");
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for space in [&self.machine, &self.outside] {
            // Where it was not made there is nothing to remove.
            let _gone =
                Command::new("ip").args(["netns", "delete", space]).stderr(std::process::Stdio::null()).status();
        }
    }
}

/// Every name leads to the server.
fn names(udp: &UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((length, from)) = udp.recv_from(&mut buffer) {
        let Some(end) = buffer[..length].get(12..).and_then(|name| name.iter().position(|byte| *byte == 0)) else {
            continue;
        };
        let mut answer = vec![buffer[0], buffer[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        answer.extend_from_slice(&buffer[12..(12 + end + 5).min(length)]);
        answer.extend_from_slice(&[0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 10]);
        let _gone = udp.send_to(&answer, from);
    }
}

/// So many bytes as are asked for.
fn bytes(tcp: &TcpListener) {
    for stream in tcp.incoming().flatten() {
        std::thread::spawn(move || {
            // Who asked may be gone.
            let _gone = serve(stream);
        });
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let mut left: usize = line.trim().parse().unwrap_or(0);
    let zeros = vec![0; 256 << 10];
    while left > 0 {
        let some = left.min(zeros.len());
        stream.write_all(&zeros[..some])?;
        left -= some;
    }
    Ok(())
}
