//! Registries that do nothing, or too slowly; that lead elsewhere; that give tokens.
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Fetcher, Patience, Pull};
use crate::images::{ImageError, Login, Place, Reference, Registry, Settings};
use crate::model::Secret;

fn fetcher() -> Fetcher {
    let short = Duration::from_millis(30);
    fetcher_with(Patience { connect: short, answer: short, pause: short, longest_pause: short, tries: 2, ..patience() })
}

fn patience() -> Patience {
    Patience { pause: Duration::from_millis(1), ..Patience::default() }
}

fn fetcher_with(patience: Patience) -> Fetcher {
    Fetcher::new(patience).unwrap()
}

fn place(name: &str) -> Place {
    let Ok(Reference::Registry(place)) = Reference::parse(name) else { panic!("no place") };
    place
}

fn anywhere() -> Pull {
    Pull::new(Settings { anywhere: true, ..Settings::default() })
}

/// A pull for which the config names these hosts.
fn naming(hosts: &[&String]) -> Pull {
    let registries = hosts.iter().map(|host| ((*host).clone(), Registry::default())).collect();
    Pull::new(Settings { registries, ..Settings::default() })
}

async fn resolve(address: &str) -> ImageError {
    fetcher().resolve(&anywhere(), &place(&format!("{address}/app:1"))).await.unwrap_err()
}

/// A server that answers each request by its head; what it was asked.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let heads = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece).unwrap() {
                    0 => break,
                    read => head.extend_from_slice(&piece[..read]),
                }
            }
            let head = String::from_utf8(head).unwrap();
            let reply = answer(&head);
            heads.lock().unwrap().push(head);
            let _gone = stream.write_all(reply.as_bytes());
        }
    });
    (address, asked)
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
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

#[tokio::test]
async fn a_registry_that_trickles_is_given_up_for_manifests_and_blobs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _asked = stream.read(&mut [0; 4096]).unwrap();
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
                let mut sent = stream.write_all(head);
                for _ in 0..100_000 {
                    if sent.is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                    sent = stream.write_all(b"x");
                }
            });
        }
    });
    let least = (1000, Duration::from_millis(300));
    let (fetcher, pull) = (fetcher_with(Patience { least, tries: 1, ..patience() }), anywhere());
    let place = place(&format!("{address}/app:1"));
    let error = fetcher.resolve(&pull, &place).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("too slow"), "{error}");
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut blob = fetcher.blob(&pull, &place, &digest).await.unwrap();
    let error = loop {
        match blob.next().await {
            Ok(piece) => assert!(piece.is_some(), "it came to its end"),
            Err(error) => break error,
        }
    };
    assert!(error.is_retryable() && error.to_string().contains("too slow"), "{error}");
}

#[tokio::test]
async fn a_host_that_nobody_named_is_asked_at_an_address_of_the_internet_alone() {
    let (address, asked) = serve(|_| reply("404 Not Found", "", ""));
    let port = address.split_once(':').unwrap().1;
    let fetcher = fetcher_with(patience());
    for (host, why) in [
        (address.clone(), "127.0.0.1 is a loopback address"),
        (format!("localhost:{port}"), "localhost leads to "),
        (format!("[::1]:{port}"), "[::1] is a loopback address"),
        (format!("[::ffff:127.0.0.1]:{port}"), "is a loopback address"),
        (format!("0x7f.1:{port}"), "127.0.0.1 is a loopback address"),
        ("169.254.169.254".to_owned(), "169.254.169.254 is a link-local address, where clouds answer"),
        ("10.0.0.1:5000".to_owned(), "10.0.0.1 is a private address"),
    ] {
        // Another port of the same host is named.
        let pull = naming(&[&"127.0.0.1:1".to_owned(), &"10.0.0.1".to_owned()]);
        let error = fetcher.resolve(&pull, &place(&format!("{host}/app:1"))).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(why) && said.contains("under `registries`"), "{host}: {said}");
        assert!(matches!(error, ImageError::Refused(_)) && pull.take_asked().is_empty(), "{host}: {error:?}");
    }
    assert!(asked.lock().unwrap().is_empty());
    let pull = naming(&[&address]);
    let error = fetcher.resolve(&pull, &place(&format!("{address}/app:1"))).await.unwrap_err();
    assert!(matches!(error, ImageError::NotFound(_)), "{error}");
    assert_eq!((asked.lock().unwrap().len(), pull.take_asked()), (1, vec!["127.0.0.1".to_owned()]));
}

#[tokio::test]
async fn a_registry_leads_nobody_to_an_inner_address() {
    let (inner, asked) = serve(|_| reply("200 OK", "", "{\"token\":\"t\"}"));
    let away = inner.clone();
    let (moves, _) = serve(move |_| reply("307 Moved", &format!("location: http://{away}/secret\r\n"), ""));
    let away = inner.clone();
    let (wants, _) = serve(move |_| {
        let challenge = format!("www-authenticate: Bearer realm=\"http://{away}/token\"\r\n");
        reply("401 Unauthorized", &challenge, "")
    });
    let fetcher = fetcher_with(patience());
    for address in [&moves, &wants] {
        let name = place(&format!("{address}/app:1"));
        let error = fetcher.resolve(&naming(&[address]), &name).await.unwrap_err();
        assert!(matches!(error, ImageError::Refused(_)) && error.to_string().contains("a loopback address"), "{error}");
        assert!(asked.lock().unwrap().is_empty());
    }
    for address in [&moves, &wants] {
        let _no_manifest = fetcher.resolve(&naming(&[address, &inner]), &place(&format!("{address}/app:1"))).await;
        assert_eq!(std::mem::take(&mut *asked.lock().unwrap()).len(), 1, "both are named");
    }
}

#[tokio::test]
async fn what_one_login_was_given_is_shown_for_nobody_else() {
    let own = Arc::<Mutex<String>>::default();
    let realm = Arc::clone(&own);
    let (address, asked) = serve(move |head| {
        let lower = head.to_ascii_lowercase();
        if lower.starts_with("get /token") {
            let token = if lower.contains("authorization: basic") { "theirs" } else { "anybodys" };
            return reply("200 OK", "", &format!("{{\"token\":\"{token}\"}}"));
        }
        if lower.contains("authorization: bearer theirs") {
            return reply("200 OK", "", "");
        }
        let challenge = format!("www-authenticate: Bearer realm=\"http://{}/token\"\r\n", realm.lock().unwrap());
        reply("401 Unauthorized", &challenge, "")
    });
    own.lock().unwrap().clone_from(&address);
    let with = |login: Option<(&str, &str)>| {
        let login = login.map(|(user, password)| Login { user: user.into(), password: Secret::new(password.into()) });
        let registries = [(address.clone(), Registry { login, ..Registry::default() })].into();
        Pull::new(Settings { registries, ..Settings::default() })
    };
    let fetcher = fetcher_with(patience());
    let (name, digest) = (place(&format!("{address}/app:1")), format!("sha256:{}", "0".repeat(64)));
    let ask = async |login| fetcher.may_read(&with(login), &name, &digest, 0).await;
    ask(Some(("me", "hunter22"))).await.unwrap();
    asked.lock().unwrap().clear();
    ask(Some(("me", "hunter22"))).await.unwrap();
    assert_eq!(std::mem::take(&mut *asked.lock().unwrap()).len(), 1, "the token is kept");
    let error = ask(None).await.unwrap_err();
    assert!(matches!(error, ImageError::Refused(_)), "{error}");
    let heads = std::mem::take(&mut *asked.lock().unwrap());
    assert!(heads.iter().all(|head| !head.contains("theirs")), "{heads:?}");
    for other in [("you", "hunter22"), ("me", "hunter23")] {
        ask(Some(other)).await.unwrap();
        let heads = std::mem::take(&mut *asked.lock().unwrap());
        assert!(!heads[0].contains("theirs") && heads.len() == 3, "{heads:?}");
    }
}

#[tokio::test]
async fn whether_a_blob_may_be_read_is_asked_without_fetching_it() {
    let (address, asked) = serve(|head| match head.split('/').nth(2).unwrap() {
        "here" => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\n".to_owned(),
        "moved" => reply("307 Moved", "location: /a/signed/it\r\n", ""),
        "signed" if head.starts_with("GET ") => reply("200 OK", "", "content"),
        "signed" => reply("403 Forbidden", "", ""),
        _ => reply("404 Not Found", "", ""),
    });
    let (fetcher, pull) = (fetcher_with(patience()), naming(&[&address]));
    let digest = format!("sha256:{}", "0".repeat(64));
    let ask = async |repository: &str, size| {
        fetcher.may_read(&pull, &place(&format!("{address}/{repository}:1")), &digest, size).await
    };
    ask("here", 7).await.unwrap();
    assert!(matches!(ask("here", 8).await, Err(ImageError::Damaged(_))));
    assert!(matches!(ask("none", 7).await, Err(ImageError::NotFound(_))));
    let heads = std::mem::take(&mut *asked.lock().unwrap());
    assert!(heads.len() == 3 && heads.iter().all(|head| head.starts_with("HEAD ")), "{heads:?}");
    ask("moved", 7).await.unwrap();
}
