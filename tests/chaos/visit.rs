//! Everything that a server writes, done once: by people, forges, clocks, jobs and mistakes.
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use danube::auth::csrf;
use ring::hmac;
use serde_json::json;

use crate::http::{Door, Reply, send};
use crate::kills::{ended, open};
use crate::repo::{commit, git};
use crate::world::{World, until};

const PASSWORD: &str = "correct horse battery";
const WEBHOOK: &str = "a-webhook-key-of-the-harness";

/// The file of the pipeline `tick`: it asks for a name that is not on the list, so nobody is asked.
const TICK: &str = "from danube import pipeline, step\n\n\n@pipeline(name=\"tick\")\ndef build():\n    \
    step.run('getent hosts nobody.example.com; echo tick', image='host')\n";
/// What a shim writes: a log, a captured secret, and the flag of a log that is too long.
const SMALL: &str = "from danube import Retry, pipeline, step\n\nAGAIN = Retry(3, on=('infra',), backoff='1s')\n\n\n\
    def run(name, script, **more):\n    script = f'echo \"$DANUBE_JOB_ID {name}\" >> /ledger/ledger; {script}'\n    \
    return step.run(script, name=name, image='host', network=False, retry=AGAIN, **more)\n\n\n\
    @pipeline(name=\"small\")\ndef build():\n    run('plain', 'echo one; sleep 0.1; echo two')\n    \
    run('made', 'head -c 12 /dev/urandom | base64', capture='secret')\n    \
    run('much', 'head -c 3000000 /dev/zero | tr \"\\\\0\" x; sleep 5', check=False)\n    run('last', 'echo done')\n";

/// Has a service, and caches.
const BESIDE: &str = include_str!("beside.py");
/// Pushes an image.
const IMAGE: &str = include_str!("image.py");

/// A registry that has nothing, as long as this program runs; where it answers.
fn empty_registry() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // One that breaks off is the one that was killed.
            let _asked = stream.read(&mut [0; 4096]);
            let _told = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    Ok(address)
}

/// Adds what the visit needs to the repositories: pipelines, people, a webhook.
pub(crate) fn prepare(world: &World) {
    let registry = empty_registry().expect("a registry on loopback");
    let absent = format!(
        "from danube import pipeline, step\n\n\n@pipeline(name=\"absent\")\ndef build():\n    \
         step.run('true', image='{registry}/none:1')\n"
    );
    commit(
        &world.path("app"),
        &[("tick.py", TICK), ("small.py", SMALL), ("image.py", IMAGE), ("beside.py", BESIDE), ("absent.py", &absent)],
        "more pipelines",
    );
    let hash = bcrypt::hash(PASSWORD, 10).expect("a password is hashed");
    let pipeline = |name: &str, more: &str| {
        format!(
            "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}, team: core}}\nspec:\n  repository: \
             file://{}\n  script: {name}.py\n{more}",
            world.path("app").display()
        )
    };
    let head = |kind: &str, name: &str| {
        format!("apiVersion: danube.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n")
    };
    commit(
        &world.path("conf"),
        &[
            (
                "pipelines/tick.yaml",
                &pipeline("tick", "  triggers: [{on: push}, {on: cron, schedule: \"* * * * *\", branch: main}]\n"),
            ),
            ("pipelines/small.yaml", &pipeline("small", "  triggers: [{on: manual}]\n")),
            ("pipelines/absent.yaml", &pipeline("absent", "  triggers: [{on: manual}]\n  attempts: 5\n")),
            ("pipelines/beside.yaml", &pipeline("beside", "  triggers: [{on: manual}]\n  attempts: 9\n")),
            ("pipelines/image.yaml", &pipeline("image", "  triggers: [{on: manual}]\n  attempts: 5\n")),
            ("users.yaml", &format!("{}  email: ada@example.com\n  password_hash: {hash}\n", head("User", "ada"))),
            (
                "config.yaml",
                &format!(
                    "{}  concurrency: {{max_running_jobs: 100}}\n  webhooks: [{{forge: github, secret: WEBHOOK}}]\n  \
                     egress_allowlist: [files.example.org]\n  registries: [{{host: \"{registry}\"}}]\n",
                    head("Config", "global")
                ),
            ),
        ],
        "all that there is",
    );
}

/// Asks until the answer has one of these statuses.
pub(crate) fn must(world: &World, method: &str, path: &str, body: &[u8], good: &[u16]) -> Result<Reply, String> {
    let mut last = String::new();
    let found = until(&format!("{method} {path}"), || {
        let reply = world.ask(method, path, body)?;
        last = format!("{} {}", reply.status, reply.text());
        good.contains(&reply.status).then_some(reply)
    });
    found.map_err(|error| format!("{error}: {last}"))
}

fn network(world: &World) -> Option<Door> {
    Some(Door::Network(fs::read_to_string(world.path("data/http.addr")).ok()?.trim().to_owned()))
}

/// Asks over the network until the answer has one of these statuses.
fn knock(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    good: &[u16],
) -> Result<Reply, String> {
    let mut last = String::new();
    let found = until(&format!("{method} {path} over the network"), || {
        let reply = send(&network(world)?, method, path, headers, body).ok()?;
        last = format!("{} {}", reply.status, reply.text());
        good.contains(&reply.status).then_some(reply)
    });
    found.map_err(|error| format!("{error}: {last}"))
}

/// Logs in by link and by password, out again, and is refused once. Gives a session that is still open.
pub(crate) fn people(world: &World) -> Result<String, String> {
    let door = "d".repeat(43);
    let csrf = csrf::token(&door);
    let form = |path: &str, fields: &str, good: &[u16]| {
        let cookies = format!("danube_door={door}");
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookies.as_str())];
        knock(world, "POST", path, &headers, fields.as_bytes(), good)
    };
    let mut session = None;
    until("a link lets somebody in", || {
        let link = must(world, "POST", "/api/v1/login-links", b"", &[201]).ok()?.json();
        let (_, token) = link["path"].as_str()?.split_once("token=")?;
        // Used up by a server that died before it told: then another link is made.
        let reply = form("/login/link", &format!("csrf={csrf}&token={token}"), &[303, 410]).ok()?;
        session = cookie(&reply);
        session.clone()
    })?;
    let tried = format!("csrf={csrf}&email=ada%40example.com&password=");
    form("/login", &format!("{tried}wrong"), &[401])?;
    let reply = form("/login", &format!("{tried}{}", PASSWORD.replace(' ', "+")), &[303])?;
    let second = cookie(&reply).ok_or("a login gives a session")?;
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", &format!("danube_session={second}"))];
    let leave = format!("csrf={}", csrf::token(&second));
    knock(world, "POST", "/logout", &headers, leave.as_bytes(), &[303])?;
    session.ok_or_else(|| "a link gives a session".to_owned())
}

fn cookie(reply: &Reply) -> Option<String> {
    let lines = reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    lines.filter_map(|(_, line)| line.strip_prefix("danube_session=")?.split(';').next()).map(str::to_owned).next()
}

/// Makes a token, uses it by the command line and the API, and revokes it.
pub(crate) fn tokens(world: &World) -> Result<(), String> {
    let made = must(world, "POST", "/api/v1/tokens", br#"{"name":"ci","days":2}"#, &[201])?.json();
    let (id, token) = (made["id"].as_str().ok_or("an id")?, made["token"].as_str().ok_or("a token")?);
    let bearer = format!("Bearer {token}");
    knock(world, "GET", "/api/v1/jobs", &[("Authorization", &bearer)], b"", &[200])?;
    fs::write(world.path("token"), token).map_err(|error| error.to_string())?;
    until("danube login", || {
        let Some(Door::Network(address)) = network(world) else { return None };
        let input = fs::File::open(world.path("token")).ok()?;
        let mut login = Command::new(crate::world::program());
        login.arg("login").arg(format!("http://{address}")).env("HOME", world.path("")).env_remove("XDG_CONFIG_HOME");
        armed(world, &mut login, "cli.login");
        login.stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?.success().then_some(())
    })?;
    // Revoked by a server that died before it told, it is not there any more.
    must(world, "DELETE", &format!("/api/v1/tokens/{id}"), b"", &[204, 404]).map(drop)
}

/// Arms a command for one point.
fn armed(world: &World, command: &mut Command, points: &str) {
    let faults: Vec<String> =
        points.split(' ').flat_map(|name| [format!("{name}:kill"), format!("{name}+:kill")]).collect();
    command.env("DANUBE_FAULT", faults.join(",")).env("DANUBE_FAULT_HITS", world.path("hits"));
}

/// Secrets, also one that is deleted.
pub(crate) fn secrets(world: &World) -> Result<(), String> {
    for (name, value) in [("OPEN", "to be shown"), ("GONE", "not for long"), ("WEBHOOK", WEBHOOK)] {
        must(world, "PUT", &format!("/api/v1/secrets/global/{name}"), value.as_bytes(), &[204])?;
    }
    must(world, "DELETE", "/api/v1/secrets/global/GONE", b"", &[204, 404]).map(drop)
}

/// Deliveries: one that starts a job, one of a repository that nobody builds.
pub(crate) fn deliveries(world: &World) -> Result<(), String> {
    let app = world.path("app");
    let before = git(&app, &["rev-parse", "HEAD"]);
    let after = commit(&app, &[("pushed", "1")], "pushed");
    for (n, repository) in [app.display().to_string(), "/nowhere".to_owned()].iter().enumerate() {
        let body = json!({
            "ref": "refs/heads/main", "before": before, "after": after, "created": false, "deleted": false,
            "repository": { "full_name": "team/app", "clone_url": format!("file://{repository}") },
        });
        let body = body.to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK.as_bytes());
        let signature = format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())));
        let id = format!("delivery-{n}");
        let headers = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Delivery", id.as_str()),
            ("X-GitHub-Event", "push"),
            ("X-Hub-Signature-256", signature.as_str()),
        ];
        knock(world, "POST", "/webhooks/github", &headers, body.as_bytes(), &[200, 202])?;
    }
    met(world, "trigger.settle")?;
    met(world, "trigger.delivery")
}

/// A commit of the config repo with a mistake, and one without.
pub(crate) fn mistakes(world: &World) -> Result<(), String> {
    commit(&world.path("conf"), &[("pipelines/wrong.yaml", "kind: Nothing\n")], "a mistake");
    must(world, "POST", "/api/v1/config/sync", b"", &[202])?;
    met(world, "config_repo.refuse")?;
    git(&world.path("conf"), &["rm", "-q", "pipelines/wrong.yaml"]);
    commit(&world.path("conf"), &[], "mended");
    Ok(())
}

/// Jobs that are cancelled while a step runs, until that was written down once, and one that is run again.
pub(crate) fn cancelled(world: &World) -> Result<(), String> {
    let mut job = cancel_one(world)?;
    while !has_met(world, "orchestrator.stopped+") {
        job = cancel_one(world)?;
    }
    let again = must(world, "POST", &format!("/api/v1/jobs/{job}/rerun"), b"", &[201])?.json();
    let again = again["id"].as_str().ok_or("an id")?.to_owned();
    (1..=4).for_each(|door| open(world, &again, door));
    ended(world, &again)
}

fn cancel_one(world: &World) -> Result<String, String> {
    let job = world.trigger("")?;
    let log = world.path("data/logs").join(&job).join("1.1.log");
    until("its first step runs", || log.exists().then_some(()))?;
    open(world, &job, 1);
    until("its second step runs", || log.with_file_name("2.1.log").exists().then_some(()))?;
    must(world, "POST", &format!("/api/v1/jobs/{job}/cancel"), b"", &[200, 202])?;
    ended(world, &job)?;
    Ok(job)
}

/// Jobs that have more on disk than they may, until the executor died on both sides of noting that.
pub(crate) fn full(world: &World) -> Result<(), String> {
    while !has_met(world, "executor.full+") {
        let job = world.trigger(r#"{"params":{"full":"yes"}}"#)?;
        ended(world, &job)?;
    }
    Ok(())
}

/// A job whose coordinator dies until its attempt is given up; then nobody wants it any more.
pub(crate) fn lost(world: &World) -> Result<(), String> {
    let job = world.trigger("")?;
    let log = world.path("data/logs").join(&job).join("2.1.log");
    until("it waits at its door", || log.exists().then_some(()))?;
    until("the attempt is lost", || {
        crate::kills::kill_supervisor(world, &job);
        has_met(world, "queue.lost+").then_some(())
    })?;
    must(world, "POST", &format!("/api/v1/jobs/{job}/cancel"), b"", &[200, 202])?;
    ended(world, &job)
}

/// A step names an image that its registry does not have: whom the pull asked is on record.
pub(crate) fn absent(world: &World) -> Result<(), String> {
    let job = must(world, "POST", "/api/v1/pipelines/absent/trigger", b"", &[201])?.json();
    ended(world, job["id"].as_str().ok_or("an id")?)
}

/// Services and caches, which do not fit together and are deleted in the end.
pub(crate) fn beside(world: &World) -> Result<(), String> {
    for _ in 0..2 {
        let job = must(world, "POST", "/api/v1/pipelines/beside/trigger", b"", &[201])?.json();
        ended(world, job["id"].as_str().ok_or("an id")?)?;
    }
    until("a cache makes room for another", || has_met(world, "orchestrator.cache_evict+").then_some(()))?;
    until("caches are deleted", || {
        let _died = must(world, "DELETE", "/api/v1/pipelines/beside/caches", b"", &[200]).ok()?;
        has_met(world, "web.caches_delete+").then_some(())
    })
}

/// An image is pushed and looked at, then garbage is collected.
pub(crate) fn registry(world: &World) -> Result<(), String> {
    let job = must(world, "POST", "/api/v1/pipelines/image/trigger", b"", &[201])?.json();
    ended(world, job["id"].as_str().ok_or("an id")?)?;
    until("garbage is collected", || {
        let _died = must(world, "POST", "/api/v1/registry/collect", b"", &[200]).ok()?;
        has_met(world, "registry.collected+").then_some(())
    })
}

/// A run without a server, cut and begun again.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let repo = world.path("run/repo");
    crate::repo::repository(&repo, &[("danubefile.py", TICK)]);
    until("danube run", || {
        let mut run = Command::new(crate::world::program());
        run.arg("run").arg(&repo).arg("--data-dir").arg(world.path("run/data"));
        armed(world, &mut run, "cli.run_claim queue.enqueue queue.cancel");
        let output = run.stdin(Stdio::null()).output().ok()?;
        output.status.success().then_some(())
    })
}

/// A bench's filled database.
pub(crate) fn bench(world: &World) -> Result<(), String> {
    until("danube bench seed", || {
        let mut bench = Command::new(crate::world::program());
        bench.args(["bench", "seed", "--jobs", "100", "--requests", "1"]);
        armed(world, &mut bench, "cli.bench_fill");
        let before = grounds();
        let output = bench.stdin(Stdio::null()).output().ok()?;
        // What one that was killed left; a directory that somebody serves from is another's.
        for left in grounds().into_iter().filter(|dir| !before.contains(dir) && !is_served(dir)) {
            let _gone = fs::remove_dir_all(left);
        }
        output.status.success().then_some(())
    })
}

fn grounds() -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir("/tmp").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("danube-bench.")).map(|e| e.path()).collect()
}

fn is_served(dir: &std::path::Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let name = dir.as_os_str().as_encoded_bytes();
    lines.any(|line| line.windows(name.len()).any(|part| part == name))
}

/// Waits until a point was met on both sides.
pub(crate) fn met(world: &World, point: &str) -> Result<(), String> {
    until(&format!("{point} is met"), || has_met(world, &format!("{point}+")).then_some(()))
}

pub(crate) fn has_met(world: &World, name: &str) -> bool {
    fs::read_to_string(world.path("hits")).is_ok_and(|text| text.lines().any(|line| line == name))
}

/// The session is used a minute after it began, which is noted.
pub(crate) fn late(world: &World, session: &str) -> Result<(), String> {
    met(world, "trigger.tick")?;
    let cookies = format!("danube_session={session}");
    until("the session is noted as used", || {
        let _page: Option<Reply> = send(&network(world)?, "GET", "/", &[("Cookie", &cookies)], b"").ok();
        std::thread::sleep(Duration::from_millis(200));
        has_met(world, "auth.session_touch+").then_some(())
    })
}

/// The state of a job and how often each of its steps was tried.
pub(crate) fn attempts(world: &World, job: &str) -> Result<(String, Vec<(String, usize)>), String> {
    let sql = |error: rusqlite::Error| format!("the database: {error}");
    let db = world.database();
    let status = db.query_row("SELECT status FROM jobs WHERE id = ?1", [job], |row| row.get(0)).map_err(sql)?;
    let text = "SELECT name, count(*) FROM steps WHERE job_id = ?1 AND seq > 0 GROUP BY name ORDER BY name";
    let mut query = db.prepare(text).map_err(sql)?;
    let rows = query.query_map([job], |row| Ok((row.get(0)?, usize::from(row.get::<_, u16>(1)?)))).map_err(sql)?;
    Ok((status, rows.collect::<Result<_, _>>().map_err(sql)?))
}
