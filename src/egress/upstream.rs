//! Asking the nameservers of the machine.
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Question, Response};
use crate::platform::Ids;

/// How long one nameserver gets.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often all of them are asked.
const ROUNDS: u32 = 2;
/// The largest answer over TCP that is read.
const LARGEST: usize = 16 << 10;
/// The nameservers that are asked.
const SERVERS: usize = 3;

/// The nameservers that are asked for the names of jobs.
#[derive(Clone)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    ids: Arc<dyn Ids>,
}

impl Upstream {
    /// Asks these, one after the other.
    pub fn new(servers: Vec<SocketAddr>, ids: Arc<dyn Ids>) -> Self {
        Self { servers, ids }
    }

    /// The first answer of a nameserver that knows one.
    pub(super) async fn ask(&self, name: &str) -> Option<Response> {
        let mut id = [0; 2];
        self.ids.fill(&mut id);
        let question = Question::new(u16::from_be_bytes(id), name)?;
        for _ in 0..ROUNDS {
            for server in &self.servers {
                match timeout(PATIENCE, ask(*server, &question)).await {
                    // It is there and can't say; another may.
                    Ok(Ok(response)) if !matches!(response.code, 0 | 3) => {}
                    Ok(Ok(response)) => return Some(response),
                    Ok(Err(error)) => tracing::debug!(%server, %error, "a nameserver could not be asked"),
                    Err(_) => tracing::debug!(%server, "a nameserver gave no answer in time"),
                }
            }
        }
        None
    }
}

async fn ask(server: SocketAddr, question: &Question) -> io::Result<Response> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // A port of its own for each question: an answer from elsewhere has to guess it.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question.to_bytes()).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Response::read(&buffer[..length], question) {
            Some(response) if response.truncated => return ask_by_stream(server, question).await,
            Some(response) => return Ok(response),
            None => {}
        }
    }
}

async fn ask_by_stream(server: SocketAddr, question: &Question) -> io::Result<Response> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = question.to_bytes();
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Response::read(&answer, question).ok_or_else(|| io::Error::other("an answer that can't be read"))
}

/// The nameservers of a `resolv.conf`; the machine itself where it names none, as the C library has it.
pub fn nameservers(resolv_conf: &str) -> Vec<SocketAddr> {
    let words = resolv_conf.lines().map(|line| line.split_whitespace());
    let named = words.filter_map(|mut words| (words.next()? == "nameserver").then(|| words.next())?);
    let mut servers: Vec<SocketAddr> = named
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|address| (address, 53).into())
        .take(SERVERS)
        .collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_as_the_c_library_does() {
        let text =
            "# nameserver 10.0.0.1\nsearch x\nnameserver 203.0.113.1\nnameserver\tfe80::1%eth0\nnameserver ::1\n";
        let found: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["203.0.113.1:53", "[::1]:53"]);
        assert_eq!(nameservers(""), [SocketAddr::from((Ipv4Addr::LOCALHOST, 53))]);
    }
}
