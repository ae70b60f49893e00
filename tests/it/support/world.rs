//! A machine and a world of a test's own: two network namespaces with a link between them. The world has a
//! nameserver and servers; the machine is where `danube` is started. Nothing of it is reached from elsewhere.
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The world's nameserver.
pub(crate) const NAMESERVER: &str = "198.51.100.53";
/// Servers of the world; each says its address to whoever connects to port 80.
pub(crate) const GOOD: &str = "198.51.100.10";
pub(crate) const EVIL: &str = "198.51.100.66";
/// A server at a private address of the world.
pub(crate) const PRIVATE: &str = "10.77.0.1";
/// The machine's own address.
pub(crate) const MACHINE: &str = "203.0.113.1";

/// What the nameserver knows of a name.
#[derive(Clone)]
pub(crate) enum Record {
    /// An address and its lifetime.
    To(&'static str, u32),
    /// An alias; what that leads to is in the same answer.
    Alias(&'static str),
    /// Too long for a datagram: addresses over TCP alone.
    Long(&'static str),
}

/// The two namespaces, gone when dropped.
pub(crate) struct World {
    machine: String,
    outside: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

impl World {
    pub(crate) fn new(names: &[(&str, &[Record])]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("it-{}-{number}-{side}", std::process::id());
        let world = Self { machine: name("m"), outside: name("w"), asked: Arc::default() };
        let (machine, outside) = (&world.machine, &world.outside);
        ip(&format!("netns add {machine}"));
        ip(&format!("netns add {outside}"));
        ip(&format!("link add up0 netns {machine} type veth peer name down0 netns {outside}"));
        for (space, link, address) in [(machine, "up0", "203.0.113.1/30"), (outside, "down0", "203.0.113.2/30")] {
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} address add {address} dev {link}"));
            ip(&format!("-n {space} link set {link} up"));
        }
        ip(&format!("-n {machine} route add default via 203.0.113.2"));
        let servers = [NAMESERVER, GOOD, EVIL, PRIVATE];
        for address in servers {
            ip(&format!("-n {outside} address add {address}/32 dev lo"));
        }
        let names: HashMap<String, Vec<Record>> =
            names.iter().map(|(name, records)| ((*name).to_owned(), records.to_vec())).collect();
        let asked = Arc::clone(&world.asked);
        let listening = world.in_the_world(move || {
            let dns = (UdpSocket::bind((NAMESERVER, 53)).unwrap(), TcpListener::bind((NAMESERVER, 53)).unwrap());
            let servers = servers.map(|address| TcpListener::bind((address, 80)).unwrap());
            (dns, servers)
        });
        let ((udp, tcp), servers) = listening;
        servers.into_iter().for_each(|server| drop(std::thread::spawn(move || greet(&server))));
        let (names, again) = (Arc::new(names), Arc::clone(&asked));
        let known = Arc::clone(&names);
        std::thread::spawn(move || datagrams(&udp, &known, &asked));
        std::thread::spawn(move || streams(&tcp, &names, &again));
        world
    }

    fn in_the_world<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.outside, work)
    }

    /// Does something on the machine's side.
    pub(crate) fn on_the_machine<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.machine, work)
    }

    /// The same command, started on the machine's side.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net=/run/netns/{}", self.machine)).arg("--").arg(command.get_program());
        entered.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        entered
    }

    /// How often the nameserver was asked for a name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// What `ip` and `nft` show on the machine's side, and its switch for passing packets on.
    pub(crate) fn shown(&self) -> String {
        let show = |words: &[&str]| {
            let output = self.enter(Command::new(words[0]).args(&words[1..])).stdin(Stdio::null()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let links = show(&["ip", "-o", "-br", "link"]);
        format!("{links}{}{}", show(&["nft", "list", "ruleset"]), show(&["cat", "/proc/sys/net/ipv4/ip_forward"]))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for space in [&self.machine, &self.outside] {
            let _gone = Command::new("ip").args(["netns", "delete", space]).status();
        }
    }
}

fn inside<T: Send>(space: &str, work: impl FnOnce() -> T + Send) -> T {
    let handle = File::open(format!("/run/netns/{space}")).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// Says its own address to everybody.
fn greet(server: &TcpListener) {
    let own = server.local_addr().unwrap().ip();
    for stream in server.incoming() {
        let Ok(mut stream) = stream else { return };
        std::thread::spawn(move || {
            let _some = stream.read(&mut [0; 1024]);
            let text = format!("HTTP/1.0 200 OK\r\n\r\nhello from {own}\n");
            let _gone = stream.write_all(text.as_bytes());
        });
    }
}

type Names = HashMap<String, Vec<Record>>;
type Asked = Mutex<HashMap<String, usize>>;

fn datagrams(udp: &UdpSocket, names: &Names, asked: &Asked) {
    let mut buffer = [0; 1024];
    while let Ok((length, from)) = udp.recv_from(&mut buffer) {
        let _gone: Result<usize, _> = udp.send_to(&answer(&buffer[..length], names, asked, false), from);
    }
}

fn streams(tcp: &TcpListener, names: &Names, asked: &Asked) {
    for stream in tcp.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            continue;
        }
        let answer = answer(&question, names, asked, true);
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        let _gone = stream.write_all(&[&length, answer.as_slice()].concat());
    }
}

fn written(name: &str) -> Vec<u8> {
    let labels = name
        .split('.')
        .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes()).collect::<Vec<_>>());
    labels.chain([0]).collect()
}

fn answer(question: &[u8], names: &Names, asked: &Asked, stream: bool) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
    let mut name = String::new();
    let mut at = 12;
    while at < end {
        let length = usize::from(question[at]);
        let label = String::from_utf8_lossy(&question[at + 1..at + 1 + length]);
        name = if name.is_empty() { label.into_owned() } else { format!("{name}.{label}") };
        at += 1 + length;
    }
    *asked.lock().unwrap().entry(name.clone()).or_default() += 1;
    let Some(records) = names.get(&name) else { return head(question, 3, 0, end, false) };
    let mut bytes = Vec::new();
    let mut count = 0;
    let mut owner = name.as_str();
    let mut records: Vec<Record> = records.clone();
    while let Some(record) = (!records.is_empty()).then(|| records.remove(0)) {
        let (kind, seconds, data): (u8, u32, Vec<u8>) = match record {
            Record::Long(_) if !stream => return head(question, 0, 0, end, true),
            Record::To(address, seconds) => (1, seconds, address.parse::<Ipv4Addr>().unwrap().octets().to_vec()),
            Record::Long(address) => (1, 60, address.parse::<Ipv4Addr>().unwrap().octets().to_vec()),
            Record::Alias(target) => (5, 60, written(target)),
        };
        bytes.extend_from_slice(&written(owner));
        bytes.extend_from_slice(&[0, kind, 0, 1]);
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&data);
        count += 1;
        if let Record::Alias(target) = record {
            owner = target;
            records.extend(names.get(target).cloned().unwrap_or_default());
        }
    }
    [head(question, 0, count, end, false), bytes].concat()
}

fn head(question: &[u8], code: u8, answers: u8, end: usize, truncated: bool) -> Vec<u8> {
    let flags = 0x81 | if truncated { 2 } else { 0 };
    let mut bytes = vec![question[0], question[1], flags, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    bytes.extend_from_slice(&question[12..end + 5]);
    bytes
}

/// A listener on the machine's side that nobody may reach; its address.
pub(crate) fn closed_port(world: &World) -> (TcpListener, SocketAddr) {
    world.on_the_machine(|| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    })
}
