//! Followers of a running job, over restarts of the server: each gets every byte, once.
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use crate::support::danube;
use crate::support::server::{Danube, until};

/// Two steps side by side: one prints until it is let go, with bytes that are no text now and then.
const FILE: [&str; 3] = [
    "count = 'i=0; until test -e go; do i=$((i+1)); echo line $i; test $((i%50)) = 0 && printf \"\\\\377\\\\n\"; sleep 0.005; done; \
     echo end $i'",
    "quiet = 'until test -e go; do sleep 0.05; done; echo quiet'",
    "step.parallel(lambda: step.run(count, name='count', image='host'), lambda: step.run(quiet, name='quiet', \
     image='host'))",
];

/// A follower as a browser is one: what breaks is connected anew, with the id of the last event.
const BROWSER: &str = r#"
import base64, http.client, json, socket, sys, time
path, job, step, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), open(sys.argv[4], "wb")
last, length, connections = None, 0, 0

class Door(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)

def events(answer):
    fields = {}
    for line in answer:
        line = line.decode().rstrip("\r\n")
        if not line and fields:
            yield fields
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value

while True:
    try:
        door = Door("localhost", timeout=60)
        door.request("GET", f"/api/v1/jobs/{job}/events", headers={"last-event-id": last} if last else {})
        answer = door.getresponse()
        assert answer.status == 200, answer.status
        connections += 1
        for event in events(answer):
            last = event.get("id", last)
            data = json.loads(event["data"])
            if event["event"] == "log" and data["step"] == step:
                assert data["offset"] == length, (data["offset"], length)
                piece = data["text"].encode() if data.get("text") is not None else base64.b64decode(data["base64"])
                length += len(piece)
                out.write(piece)
                out.flush()
            if event["event"] == "end":
                print(connections)
                sys.exit(0)
    except (OSError, http.client.HTTPException, ValueError):
        time.sleep(0.05)
"#;

struct Follower {
    child: Child,
    out: &'static str,
}

#[test]
fn followers_go_on_over_restarts_and_get_every_byte_once() {
    let mut server = Danube::building(&FILE);
    let job = server.trigger();
    let count = until("the step prints", || {
        let job = server.job(&job);
        let steps = job["steps"].as_array()?.clone();
        let step = steps.iter().find(|step| step["name"] == "count")?;
        Some(u32::try_from(step["n"].as_u64()?).unwrap())
    });
    let log = server.data().join("logs").join(&job).join(format!("{count}.1.log"));
    let size = |path: &std::path::Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let socket = server.data().join("api.sock");
    let cli = |out: &'static str, words: &[&str]| {
        let child = Command::new(danube())
            .args(["logs", "--follow"])
            .args(words)
            .arg(&job)
            .arg("--socket")
            .arg(&socket)
            .env_remove("DANUBE_SERVER")
            .env_remove("DANUBE_TOKEN")
            .stdin(Stdio::null())
            .stdout(File::create(server.path(out)).unwrap())
            .stderr(File::create(server.path(&format!("{out}.err"))).unwrap())
            .spawn();
        Follower { child: child.unwrap(), out }
    };
    let step = count.to_string();
    let browser = Command::new("/usr/bin/python3")
        .args(["-I", "-c", BROWSER])
        .arg(&socket)
        .args([&job, &step])
        .arg(server.path("browser"))
        .stdin(Stdio::null())
        .stdout(File::create(server.path("browser.out")).unwrap())
        .spawn();
    let followers = [
        cli("one", &["--step", &step]),
        cli("two", &["--step", &step]),
        Follower { child: browser.unwrap(), out: "browser" },
    ];

    for restart in 0..3 {
        let before: Vec<u64> = followers.iter().map(|follower| size(&server.path(follower.out))).collect();
        until("every follower gets more", || {
            followers.iter().zip(&before).all(|(f, before)| size(&server.path(f.out)) > before + 200).then_some(())
        });
        if restart == 1 {
            server.stop()
        } else {
            server.kill()
        }
        let printed = size(&log);
        until("the step prints on", || (size(&log) > printed + 100).then_some(()));
        server.start();
    }
    let before: Vec<u64> = followers.iter().map(|follower| size(&server.path(follower.out))).collect();
    until("every follower gets more", || {
        followers.iter().zip(&before).all(|(f, before)| size(&server.path(f.out)) > *before).then_some(())
    });
    fs::write(server.workspace(&job).join("go"), "").unwrap();
    server.succeeds(&job);
    let whole = fs::read(&log).unwrap();
    for mut follower in followers {
        let ended = follower.child.wait().unwrap();
        assert!(ended.success(), "{}: {ended}", follower.out);
        let got = fs::read(server.path(follower.out)).unwrap();
        assert!(got == whole, "{} got {} bytes of {}", follower.out, got.len(), whole.len());
    }
    let connections: u32 = fs::read_to_string(server.path("browser.out")).unwrap().trim().parse().unwrap();
    assert!(connections >= 4, "{connections}");
    // Each outage is told once.
    let said = fs::read_to_string(server.path("one.err")).unwrap();
    assert_eq!(said.matches("trying again").count(), 3, "{said}");
}
