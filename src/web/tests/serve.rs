//! The two listeners, over real sockets.
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use crate::web::{serve_tcp, serve_unix};

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A server that hangs up early resets the connection; what came before counts.
    let _read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

const STATUS: &str = "GET /api/v1/config/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn the_machines_socket_knows_its_user_and_the_network_knows_nobody() {
    let bench = Bench::new().await;
    let stop = CancellationToken::new();
    let path = bench.dir.path().join("api.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = tokio::spawn(serve_unix(unix, bench.app.clone(), stop.clone()));
    let tcp = tokio::spawn(serve_tcp(tcp, bench.app.clone(), stop.clone()));
    let local = ask(UnixStream::connect(&path).await.unwrap(), STATUS).await;
    assert!(local.starts_with("HTTP/1.1 200"), "{local}");
    let remote = ask(TcpStream::connect(address).await.unwrap(), STATUS).await;
    assert!(remote.starts_with("HTTP/1.1 401"), "{remote}");
    stop.cancel();
    unix.await.unwrap();
    tcp.await.unwrap();
}

#[tokio::test]
async fn thousands_of_headers_are_refused() {
    let bench = Bench::new().await;
    let stop = CancellationToken::new();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let serving = tokio::spawn(serve_tcp(tcp, bench.app.clone(), stop.clone()));
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = ask(TcpStream::connect(address).await.unwrap(), &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let after = ask(TcpStream::connect(address).await.unwrap(), STATUS).await;
    assert!(after.starts_with("HTTP/1.1 401"), "{after}");
    stop.cancel();
    serving.await.unwrap();
}
