//! What no browser sends: wrong words in addresses, and far too many followers.
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::worlds::{self, World};
use crate::support::http::Door;

/// Streams that one visitor opens at once.
const STREAMS: usize = 1000;

/// Pages of a world, and the words that each knows in its address. `{job}` is a job of it.
const PAGES: [(&str, &[&str]); 21] = [
    ("/", &["page"]),
    ("/find", &["q"]),
    ("/pipelines", &["q", "team", "state", "after"]),
    ("/pipelines/web", &["branch", "status", "cursor"]),
    ("/pipelines/web/tests", &["show", "cursor"]),
    ("/pipelines/web/1", &["step", "from", "open", "rows"]),
    ("/jobs/{job}", &["step", "from", "open", "rows"]),
    ("/jobs/{job}/tests", &["show", "cursor"]),
    ("/jobs/{job}/log", &["step", "attempt", "line", "at", "before", "q", "case", "expr", "after", "times", "wrap"]),
    ("/jobs/{job}/log/lines", &["step", "attempt", "line", "at", "before"]),
    ("/config", &["page"]),
    ("/secrets", &["page"]),
    ("/audit", &["who", "action", "pipeline", "decision", "since", "limit", "cursor"]),
    ("/api/v1/jobs", &["pipeline", "status", "branch", "commit", "actor", "since", "until", "limit", "cursor"]),
    ("/api/v1/audit", &["pipeline", "who", "action", "decision", "since", "limit", "cursor"]),
    ("/api/v1/pipelines/web/tests", &["which", "limit", "cursor"]),
    ("/api/v1/jobs/{job}/tests", &["status", "limit", "cursor"]),
    ("/api/v1/jobs/{job}/log", &["from"]),
    ("/api/v1/jobs/{job}/steps/1/log", &["attempt", "from", "length"]),
    ("/api/v1/jobs/{job}/steps/1/lines", &["attempt", "from", "limit"]),
    ("/api/v1/jobs/{job}/search", &["q", "step", "limit", "cursor", "case", "regex"]),
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn wrong_words_in_an_address_are_answered_and_break_nothing() {
    let world = worlds::running();
    let job = world.fact("job");
    let other = world.fact("waiting");
    let long = "x".repeat(10_000);
    let values = ["1000000", "-1", "", "18446744073709551616", &other, "%00", "\u{202e}", "' OR 1=1 --", &long];
    for (page, names) in PAGES {
        let page = page.replace("{job}", &job);
        for name in names {
            for value in values {
                let address = format!("{page}?{name}={}", encoded(value));
                let status = world.server().get(&address).status;
                assert!(matches!(status, 200 | 302 | 303 | 400 | 404 | 414 | 422 | 431), "{status} of {address:.120}");
            }
        }
    }
    assert_eq!(world.server().get("/health/ready").status, 200);
}

#[test]
fn a_stream_begun_again_from_nowhere_is_answered() {
    let world = worlds::running();
    let path = format!("/api/v1/jobs/{}/events", world.fact("job"));
    for id in ["nonsense", "-1", "99999999999999999999999", "1.1:18446744073709551615", "\u{1f600}", &"9".repeat(4000)]
    {
        let status = status_of(&follow(&world, &path, &format!("Last-Event-ID: {id}\r\n")));
        assert!(matches!(status, 200 | 400 | 431), "{status} for {id:.40}");
    }
}

#[test]
fn a_thousand_open_streams_leave_the_pages_alive() {
    let most = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }).unwrap();
    let world = worlds::running();
    let path = format!("/api/v1/jobs/{}/events", world.fact("job"));
    let streams: Vec<UnixStream> = (0..STREAMS).map(|_| follow(&world, &path, "")).collect();
    let answers: Vec<u16> = streams.iter().map(status_of).collect();
    assert!(answers.contains(&200), "nobody could follow: {answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 429 | 503)), "{answers:?}");
    for page in ["/", "/pipelines/web", "/pipelines/web/1", "/health/ready"] {
        assert_eq!(world.server().get(page).status, 200, "{page}");
    }
    drop(streams);
    crate::support::server::until("there is room again", || {
        (status_of(&follow(&world, &path, "")) == 200).then_some(())
    });
}

/// A stream that was asked for.
fn follow(world: &World, path: &str, more: &str) -> UnixStream {
    let Door::Socket(socket) = world.server().socket() else { panic!("the machine's own door is a socket") };
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The first line of its answer; the rest is left in the stream.
fn status_of(mut stream: &UnixStream) -> u16 {
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}
