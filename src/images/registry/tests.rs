//! A registry that does nothing, or too slowly.
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::{Fetcher, Patience};
use crate::images::{ImageError, Reference};

fn fetcher() -> Fetcher {
    let short = Duration::from_millis(30);
    let patience = Patience { connect: short, answer: short, pause: short, longest_pause: short, tries: 2 };
    Fetcher::new(patience).unwrap()
}

async fn resolve(address: &str) -> ImageError {
    let Ok(Reference::Registry(place)) = Reference::parse(&format!("{address}/app:1")) else { panic!("no place") };
    fetcher().resolve(&place).await.unwrap_err()
}

#[tokio::test]
async fn a_registry_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = resolve(&address).await;
    assert!(error.is_retryable() && error.to_string().contains("does not answer"), "{error}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _asked = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{").unwrap();
            held.push(stream);
        }
        std::thread::sleep(Duration::from_secs(5));
    });
    let error = resolve(&address).await;
    assert!(error.is_retryable() && error.to_string().contains("broke off"), "{error}");
}
