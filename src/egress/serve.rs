//! Answers at a pair of sockets inside a job's network.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, answer};
use super::message::LARGEST_UDP;

/// Questions that are worked on at once; more wait in the socket, and beyond that are lost and asked again.
const QUESTIONS: usize = 64;
/// Streams at once, questions on one, and how long one may be silent.
const STREAMS: usize = 16;
const ON_A_STREAM: usize = 100;
const SILENCE: Duration = Duration::from_secs(10);
/// After an error of a socket.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until it is told to stop.
pub async fn serve(udp: UdpSocket, tcp: TcpListener, desk: Arc<dyn Desk>, stop: CancellationToken) {
    let datagrams = datagrams(Arc::new(udp), Arc::clone(&desk));
    let streams = streams(tcp, desk);
    tokio::select! {
        () = stop.cancelled() => {}
        never = datagrams => match never {},
        never = streams => match never {},
    }
}

async fn datagrams(udp: Arc<UdpSocket>, desk: Arc<dyn Desk>) -> std::convert::Infallible {
    let room = Arc::new(Semaphore::new(QUESTIONS));
    let mut work = JoinSet::new();
    // A byte more than is taken shows what is longer.
    let mut buffer = [0; LARGEST_UDP + 1];
    loop {
        while work.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return std::future::pending().await };
        let (length, from) = match udp.recv_from(&mut buffer).await {
            Ok((length, from)) if length <= LARGEST_UDP => (length, from),
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "a question could not be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (question, udp, desk) = (buffer[..length].to_vec(), Arc::clone(&udp), Arc::clone(&desk));
        work.spawn(async move {
            if let Some(reply) = answer(desk.as_ref(), &question).await {
                // Who asked may be gone.
                let _gone = udp.send_to(&reply, from).await;
            }
            drop(permit);
        });
    }
}

async fn streams(tcp: TcpListener, desk: Arc<dyn Desk>) -> std::convert::Infallible {
    let room = Arc::new(Semaphore::new(STREAMS));
    let mut work = JoinSet::new();
    loop {
        while work.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return std::future::pending().await };
        match tcp.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                work.spawn(async move {
                    // A stream that breaks is its owner's business.
                    let _broken = converse(stream, desk.as_ref()).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a stream could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, desk: &dyn Desk) -> io::Result<()> {
    for _ in 0..ON_A_STREAM {
        let question = timeout(SILENCE, async {
            let length = usize::from(stream.read_u16().await?);
            if length > LARGEST_UDP {
                return Err(io::Error::other("a question that is too long"));
            }
            let mut question = vec![0; length];
            stream.read_exact(&mut question).await?;
            Ok(question)
        });
        let question = question.await??;
        let Some(reply) = answer(desk, &question).await else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        timeout(SILENCE, stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())).await??;
    }
    Ok(())
}
