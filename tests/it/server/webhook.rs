//! Deliveries that no forge of ours sent, over the real socket.
use serde_json::json;

use crate::support::http::send;
use crate::support::server::{Danube, head, sign, until};

#[test]
fn a_bad_delivery_creates_no_job_and_is_told_why() {
    let server = Danube::building(&["step.run('true', name='make', image='host')"]);
    let head = head(&server.app());
    let event = server.push_event("refs/heads/main", &"0".repeat(40), &head).to_string();
    let body = event.as_bytes();
    let good = sign(body);

    let other = sign(b"another body");
    for signature in [other.as_str(), "sha256=", "sha256=00", "", &good["sha256=".len()..], &good.replace("256", "1")] {
        let reply = server.deliver_body("bad", body, signature);
        assert_eq!(reply.status, 401, "{signature}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    }
    let changed = event.replace("refs/heads/main", "refs/heads/evil");
    assert_eq!(server.deliver_body("bad", changed.as_bytes(), &good).status, 401);

    let door = server.network();
    let all = [("X-GitHub-Delivery", "d"), ("X-GitHub-Event", "push"), ("X-Hub-Signature-256", good.as_str())];
    for (missing, status) in [(0, 400), (1, 400), (2, 401)] {
        let headers: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, pair)| *pair).collect();
        let reply = send(&door, "POST", "/webhooks/github", &headers, body).unwrap();
        assert_eq!(reply.status, status, "without {}: {}", all[missing].0, reply.text());
        let name = if missing == 2 { "signature" } else { all[missing].0 };
        assert!(reply.text().to_lowercase().contains(&name.to_lowercase()), "{}", reply.text());
    }

    for wrong in ["{", "[]", "null", "", "payload=%7B%7D", "{\"ref\": 1}", &format!("{{\"a\": {}", "[".repeat(100_000))]
    {
        let reply = server.deliver_body("bad", wrong.as_bytes(), &sign(wrong.as_bytes()));
        assert_eq!(reply.status, 400, "{}", reply.text());
    }

    let huge = vec![b' '; 30 << 20];
    let reply = server.deliver_body("bad", &huge, &sign(&huge));
    assert_eq!(reply.status, 413, "{}", reply.text());

    for path in ["/webhooks/github/other", "/webhooks/gitlab", "/webhooks/nobody"] {
        assert_eq!(send(&door, "POST", path, &all, body).unwrap().status, 404, "{path}");
    }

    let stored: u32 =
        server.database().query_row("SELECT count(*) FROM webhook_deliveries", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 0);
    assert!(server.jobs().is_empty());
    // And the good one is taken still.
    server.deliver_body("good", body, &good).with(202);
    let id = until("a job", || Some(server.jobs().first()?["id"].as_str().unwrap().to_owned()));
    server.succeeds(&id);
}

#[test]
fn a_delivery_that_names_nothing_to_build_is_kept_with_its_outcome() {
    let server = Danube::building(&["step.run('true', name='make', image='host')"]);
    let (head, zero) = (head(&server.app()), "0".repeat(40));
    let mut foreign = server.push_event("refs/heads/main", &zero, &head);
    foreign["repository"] = json!({"full_name": "team/other", "clone_url": "https://git.example.com/team/other.git"});
    let foreign = foreign.to_string();
    server.deliver_body("foreign", foreign.as_bytes(), &sign(foreign.as_bytes())).with(202);
    server.deliver("gone", "refs/heads/gone", &head, &zero).with(202);
    server.deliver("odd", "refs/notes/x", &zero, &head).with(202);
    // What the payload says about the commit counts for nothing: the branch is looked at.
    server.deliver("lie", "refs/heads/never", &zero, &"a".repeat(40)).with(202);
    let outcome = |id: &str| {
        until(&format!("the delivery {id} is done with"), || {
            let db = server.database();
            let read = "SELECT state, outcome FROM webhook_deliveries WHERE delivery_id = ?1";
            let row: (String, Option<String>) = db.query_row(read, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            (row.0 != "received").then(|| format!("{}: {}", row.0, row.1.unwrap_or_default()))
        })
    };
    assert_eq!(outcome("foreign"), "ignored: no pipeline builds team/other");
    assert_eq!(outcome("gone"), "ignored: refs/heads/gone is gone: nothing to build");
    assert_eq!(outcome("odd"), "ignored: refs/notes/x is neither a branch nor a tag");
    assert_eq!(outcome("lie"), "ignored: refs/heads/never is gone: nothing to build");
    assert!(server.jobs().is_empty());
}
