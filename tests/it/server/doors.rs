//! Who gets in: tokens, login links, the pages behind them.
use serde_json::json;

use crate::support::http::{Door, Reply, send};
use crate::support::server::Danube;

fn server() -> Danube {
    Danube::building(&["step.run('true', name='make', image='host')"])
}

fn form(door: &Door, path: &str, cookie: &str, fields: &str) -> Reply {
    let headers = [("Cookie", cookie), ("Content-Type", "application/x-www-form-urlencoded")];
    send(door, "POST", path, &headers, fields.as_bytes()).unwrap()
}

/// The cookies that an answer sets, as a browser would send them.
fn cookies(reply: &Reply) -> String {
    let set = reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    set.map(|(_, value)| value.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

/// The value of a hidden field.
fn field(page: &str, name: &str) -> String {
    let start = page.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    page[start..].split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn a_token_works_over_the_network_until_it_is_revoked() {
    let server = server();
    let door = server.network();
    let get = |token: &str| {
        let bearer = format!("Bearer {token}");
        send(&door, "GET", "/api/v1/pipelines", &[("Authorization", &bearer)], b"").unwrap()
    };
    assert_eq!(send(&door, "GET", "/api/v1/pipelines", &[], b"").unwrap().status, 401);
    let made = server.post("/api/v1/tokens", &json!({"name": "ci"})).with(201);
    let token = made["token"].as_str().unwrap();
    assert_eq!(get(token).with(200)["pipelines"][0]["name"], "app");
    let last = token.chars().next_back().unwrap();
    let forged = format!("{}{}", &token[..token.len() - 1], if last == 'A' { 'B' } else { 'A' });
    assert_eq!(get(&forged).status, 401);

    let bearer = format!("Bearer {token}");
    let reader = server.post("/api/v1/tokens", &json!({"name": "reader", "read_only": true})).with(201);
    let reader = format!("Bearer {}", reader["token"].as_str().unwrap());
    let trigger =
        |bearer: &str| send(&door, "POST", "/api/v1/pipelines/app/trigger", &[("Authorization", bearer)], b"").unwrap();
    assert_eq!(trigger(&reader).status, 404, "a token that only reads starts nothing");
    assert!(server.jobs().is_empty());
    let started = trigger(&bearer).with(201);
    let job = server.succeeds(started["id"].as_str().unwrap());
    assert_eq!(job["trigger"], "api");

    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(send(&server.socket(), "DELETE", &path, &[], b"").unwrap().status, 204);
    assert_eq!(get(token).status, 401);
    let wanted = send(&door, "POST", "/api/v1/login-links", &[("Authorization", &reader)], b"").unwrap();
    assert_ne!(wanted.status, 201, "only the machine's own socket makes login links");
}

#[test]
fn a_login_link_opens_the_console_once() {
    let server = server();
    let door = server.network();
    let page = send(&door, "GET", "/", &[("Accept", "text/html")], b"").unwrap();
    assert!((300..400).contains(&page.status), "{}", page.status);
    assert!(page.header("location").unwrap().starts_with("/login"));

    let output = server.danube(&["admin", "link"]);
    let link = String::from_utf8(output.stdout).unwrap();
    let path = link.trim().split_once("/login/link").unwrap_or_else(|| panic!("{link}")).1;
    let path = format!("/login/link{path}");
    let landing = send(&door, "GET", &path, &[("Accept", "text/html")], b"").unwrap();
    assert_eq!(landing.status, 200);
    let (csrf, token) = (field(&landing.text(), "csrf"), field(&landing.text(), "token"));
    let fields = format!("csrf={csrf}&token={token}");
    assert_ne!(form(&door, "/login/link", "danube_door=forged", &fields).status, 303, "a form of another browser");
    let entered = form(&door, "/login/link", &cookies(&landing), &fields);
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")), "{}", entered.text());
    let cookie = cookies(&entered);
    let dashboard = send(&door, "GET", "/", &[("Accept", "text/html"), ("Cookie", &cookie)], b"").unwrap();
    assert_eq!(dashboard.status, 200);
    assert!(dashboard.text().contains("href=\"/pipelines/app\""), "{}", dashboard.text());
    assert!(dashboard.header("content-security-policy").is_some());

    let again = form(&door, "/login/link", &cookies(&landing), &fields);
    assert_eq!(again.status, 410, "{}", again.text());

    // A page of a session starts a job; without the session's own form token nothing happens.
    assert_eq!(form(&door, "/pipelines/app/trigger", &cookie, "").status, 403);
    let page = send(&door, "GET", "/pipelines/app", &[("Accept", "text/html"), ("Cookie", &cookie)], b"").unwrap();
    let csrf = field(&page.text(), "csrf");
    let sent = form(&door, "/pipelines/app/trigger", &cookie, &format!("csrf={csrf}"));
    assert_eq!(sent.status, 303, "{}", sent.text());
    let id = server.jobs()[0]["id"].as_str().unwrap().to_owned();
    server.succeeds(&id);
    let page =
        send(&door, "GET", &format!("/jobs/{id}"), &[("Accept", "text/html"), ("Cookie", &cookie)], b"").unwrap();
    assert!(page.status == 200 || page.status == 303, "{}", page.status);
}

#[test]
fn the_machines_socket_is_closed_to_other_users() {
    use std::os::unix::process::CommandExt;
    let server = server();
    let knock = "import socket, sys\n\
                 s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n\
                 s.sendall(b'GET /api/v1/pipelines HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n\
                 print(len(s.recv(100)))\n";
    let output = std::process::Command::new("/usr/bin/python3")
        .args(["-c", knock])
        .arg(server.data().join("api.sock"))
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.trim() == "0" || wrong.contains("reset") || wrong.contains("Broken pipe"), "{said}{wrong}");
}

#[test]
fn nothing_that_the_executor_opens_by_name_can_be_moved_by_the_server() {
    use std::os::unix::fs::MetadataExt;
    let server = server();
    let (_, words) = server.executor().expect("the executor runs");
    let master: u32 = words[words.iter().position(|word| word == "--master-uid").unwrap() + 1].parse().unwrap();
    assert_ne!(master, 0);
    for name in ["--root", "--run-dir"] {
        let dir = std::path::PathBuf::from(&words[words.iter().position(|word| word == name).unwrap() + 1]);
        for part in dir.ancestors() {
            let meta = std::fs::symlink_metadata(part).unwrap();
            assert!(meta.is_dir(), "{} of {name} is no directory", part.display());
            assert_eq!(meta.uid(), 0, "{} of {name} belongs to somebody else", part.display());
            assert_eq!(meta.mode() & 0o022, 0, "{} of {name} can be written by others", part.display());
        }
    }
}
