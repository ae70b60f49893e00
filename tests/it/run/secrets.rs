//! Secrets in everything that a run prints, stores and keeps on the machine.
use std::path::Path;
use std::process::Command;

use crate::support::run::{Run, pipeline};

/// Characters that every encoding changes, and a second line.
const TOKEN: &str = "hunter22-se\"cr $x%y/Z~'q+\nline-two-of-it";
const OTHER: &str = "other-secret-value";

/// Prints every form of a secret that the masks promise, by one byte at a time, on both outputs at once.
const FORMS: &str = r#"
import os, base64, json, re, shlex, threading, urllib.parse
t = os.environ["T"]; raw = t.encode()
quoted = urllib.parse.quote(t, safe="")
forms = [raw, json.dumps(t).encode(), quoted.encode(), re.sub("%..", lambda m: m[0].lower(), quoted).encode(),
         urllib.parse.quote_plus(t).encode(), shlex.quote(t).encode(), raw.hex().encode(), raw.hex().upper().encode(),
         t.replace("$", "$$").encode(), *[line.encode() for line in t.split("\n")]]
for before in range(3):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms.append(encode(b"a" * before + raw + b"zz"))
def show(fd):
    for n, form in enumerate(forms):
        for byte in b"%d:" % n + form + b"\n":
            os.write(fd, bytes([byte]))
threads = [threading.Thread(target=show, args=(fd,)) for fd in (1, 2)]
for t in threads: t.start()
for t in threads: t.join()
print("all forms shown")
"#;

/// What must be nowhere: parts of the secrets that each encoding leaves recognisable.
fn needles() -> Vec<String> {
    use base64::Engine as _;
    let mut needles = vec!["hunter22".to_owned(), "line-two-of".to_owned(), OTHER.to_owned()];
    needles.push(hex::encode("hunter22"));
    needles.push(hex::encode_upper("hunter22"));
    for before in 0..3 {
        let text = format!("{}{TOKEN}", "a".repeat(before));
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        needles.push(encoded[4..20].to_owned());
    }
    needles
}

/// The files below a directory that hold a secret in some form.
fn hits(dir: &Path) -> String {
    let mut grep = Command::new("grep");
    // Networks are held by files that can't be read.
    grep.args(["-rlaF", "--devices=skip", "--exclude-dir=net"]);
    for needle in needles() {
        grep.args(["-e", &needle]);
    }
    let output = grep.arg(dir).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_form_of_a_secret_reaches_a_file() {
    let body = r#"
t = secrets.get("TOKEN"); o = secrets.get("OTHER")
step.run("python3 forms.py", name="forms", env={"T": t})
step.run("set -x; : \"$T\"; echo \"$T\"; printf %s \"$O\"", name="traced", env={"T": t, "O": o})
step.run("echo other-secret-value; echo up; until test -e go; do sleep 0.01; done; rm go; cat /run/key",
         name="another other-secret-value", files={"/run/key": t})
print("the danubefile prints other-secret-value", flush=True)
step.run("touch file", name="make", env={"PLAIN": "other-secret-value"})
for path, name in [("file", "other-secret-value"), ("other-secret-value", "missing")]:
    try: artifacts.upload(path, name=name)
    except DanubeError as e: print("refused:", e, flush=True)
raise ValueError("it was other-secret-value")
"#;
    let run = Run::with(&[("danubefile.py", &pipeline(body)), ("forms.py", FORMS)])
        .env("DANUBE_SECRET_TOKEN", TOKEN)
        .env("DANUBE_SECRET_OTHER", OTHER);
    let started = run.start(run.command());
    run.until("the step that waits", || run.log(3, 1).contains("up\n"));
    // While containers run: logs, database and its journal, the executor's tree, sockets' directories. The checkout
    // holds this test's own danubefile, which names one of them.
    let job = std::fs::read_dir(run.executor().join("jobs")).unwrap().flatten().next().unwrap().path();
    let running = hits(&run.executor().join("jobs"));
    let outside = running.lines().filter(|line| !line.ends_with("/danubefile.py")).collect::<Vec<_>>();
    assert!(outside.is_empty(), "{outside:#?}");
    assert_eq!(hits(&Path::new("/run/danube").join(run.instance())), "");
    std::fs::write(job.join("workspace/go"), "").unwrap();
    let end = started.end();
    assert_eq!((end.code, end.reason()), (1, "danubefile.py:14: ValueError: it was [secret OTHER]"), "{end:?}");
    assert_eq!(hits(&run.data()), "");
    for needle in needles() {
        assert!(!end.out.contains(&needle) && !end.err.contains(&needle), "{needle}: {end:?}");
    }
    assert!(run.log(1, 1).contains("all forms shown") && run.log(1, 1).contains("[secret TOKEN]"), "{}", run.log(1, 1));
    assert!(run.log(3, 1).contains("[secret OTHER]"), "{}", run.log(3, 1));
    let log = run.log(0, 1);
    assert!(log.contains("the danubefile prints [secret OTHER]") && log.matches("refused: ").count() == 2, "{log}");
    assert!(log.contains("the artifact's name contains the value of a secret: choose another name"), "{log}");
}
