//! The privileged process and its containers, asked over its socket as a master asks.
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::Command;

use base64::Engine as _;
use danube::executor::{Executor, ExecutorError, Signal};

use super::support::executor::{Box, mask, spawn, spec};

#[tokio::test]
async fn a_step_sees_the_commit_and_leaves_files_for_the_next() {
    let this = Box::start();
    let job = this.job().await;
    let (end, log) =
        this.sh(job, 1, "git log --format=%s; cat src/a.txt; git status --short; echo out > made; exit 7").await;
    assert_eq!((end.exit_code, log.as_str()), (7, "first\na\n"));
    let (end, log) = this.sh(job, 2, "cat made; ls /tmp | wc -l; echo err >&2").await;
    assert_eq!((end.exit_code, log.as_str()), (0, "out\n0\nerr\n"));
    this.client.teardown(job).await.unwrap();
    assert!(this.client.list().await.unwrap().is_empty());
    this.client.teardown(job).await.expect("once more is well");
}

#[tokio::test]
async fn a_step_is_boxed_in() {
    let this = Box::start();
    let job = this.job().await;
    let probe = "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; \
        unshare -U true 2>/dev/null && echo HOLE-userns; mount -t tmpfs x /mnt 2>/dev/null && echo HOLE-mount; \
        test -e /etc/shadow && echo HOLE-shadow; ls /home /root /run 2>/dev/null | grep -v build; \
        cat /proc/1/environ 2>/dev/null | head -c1 | wc -c; test -w /usr && echo HOLE-usr; \
        ls /sys 2>/dev/null; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | grep -c : ; \
        ls /danube; ls /workspace | head -1; echo x > /opt-test && echo root-writable";
    let (end, log) = this.sh(job, 1, probe).await;
    assert_eq!(end.exit_code, 0, "{log}");
    assert!(!log.contains("HOLE"), "{log}");
    assert!(log.contains("NoNewPrivs:1") && log.contains("Seccomp:2"), "{log}");
    assert!(log.contains("CapBnd:00000000000000fb"), "the seven capabilities and no more: {log}");
    assert!(log.contains("root-writable"), "{log}");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn limits_end_a_step_and_are_named() {
    let this = Box::start();
    let job = this.job().await;
    let eat = "python3 -c \"b = bytearray(600 << 20); print(len(b))\"";
    let (end, log) = this.sh(job, 1, eat).await;
    assert!(end.exit_code != 0 && end.oom_kills > 0, "{end:?} {log}");
    let mut loud = spec("head -c 100000000 /dev/zero | tr '\\0' x; sleep 600");
    loud.log_limit = 1 << 20;
    let (end, log) = this.run(this.at(job, 2), loud).await;
    assert!(end.log_overflow && end.exit_code == 137, "{end:?}");
    assert!(log.len() < 2 << 20 && log.contains("log limit"), "{}", log.len());
    let (end, log) = this.sh(job, 3, "i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done; echo all").await;
    assert!(!log.contains("all") || end.exit_code != 0, "{log}");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn secrets_never_reach_the_log_nor_any_file() {
    let this = Box::start();
    let job = this.job().await;
    let mut step = spec(
        "printf '%s' \"$TOKEN\" | sed 's/./&\\n/g' | while read -r c; do printf '%s' \"$c\"; done; echo; \
        printf '%s' \"$TOKEN\" | base64; cat \"$KEY\"; cat /proc/1/cmdline | tr '\\0' ' '; cat run/key",
    );
    step.env.push(("TOKEN".into(), "hunter22-secret".into()));
    step.env.push(("KEY".into(), "/run/key".into()));
    step.files.push(danube::executor::FileSpec {
        path: "/run/key".into(),
        content: base64::engine::general_purpose::STANDARD.encode("file-secret-value"),
    });
    step.masks = vec![mask("TOKEN", "hunter22-secret"), mask("KEY", "file-secret-value")];
    let (_, log) = this.run(this.at(job, 1), step).await;
    assert!(log.contains("[secret TOKEN]") && log.contains("[secret KEY]"), "{log}");
    for trace in ["hunter22", "aHVudGVyMjI", "file-secret"] {
        assert!(!log.contains(trace), "{log}");
        let found = Command::new("grep").args(["-rla", trace]).arg(this.dir.path()).arg(&this.run).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_mask_made_at_run_time_reaches_a_living_step() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    this.begin(at, spec("echo ready; until test -e go; do sleep 0.01; done; echo made-at-run-time")).await.unwrap();
    while !this.log(at).contains("ready") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    this.client.add_mask(job, vec![mask("masked value 1", "made-at-run-time")]).await.unwrap();
    this.sh(job, 2, "touch go").await;
    let (_, log) = this.end(at).await;
    assert_eq!(log, "ready\n[secret masked value 1]\n");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn signals_end_the_whole_tree() {
    let this = Box::start();
    let job = this.job().await;
    let polite = this.at(job, 1);
    this.begin(polite, spec("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")).await.unwrap();
    let stubborn = this.at(job, 2);
    this.begin(
        stubborn,
        spec("trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 600' &); echo up; while :; do sleep 600; done"),
    )
    .await
    .unwrap();
    for at in [polite, stubborn] {
        while !this.log(at).contains("up") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        this.client.signal(at, Signal::Term).await.unwrap();
    }
    let (end, log) = this.end(polite).await;
    assert!(end.exit_code == 3 && log.starts_with("up\n") && log.contains("bye\n"), "{end:?} {log}");
    this.client.signal(stubborn, Signal::Kill).await.unwrap();
    let (end, _) = this.end(stubborn).await;
    assert_eq!(end.exit_code, 137);
    this.client.signal(stubborn, Signal::Kill).await.expect("once more is well");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn what_cleans_up_gets_its_time_though_the_command_was_quicker() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let command =
        "(trap 'sleep 0.3; echo cleaned; exit 0' TERM; echo up; while :; do sleep 0.05; done) & exec sleep 600";
    this.begin(at, spec(command)).await.unwrap();
    while !this.log(at).contains("up") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    this.client.signal(at, Signal::Term).await.unwrap();
    let (end, log) = this.end(at).await;
    // The shell may say in between that what it waited for was ended.
    assert!(end.exit_code == 143 && log.starts_with("up\n") && log.ends_with("cleaned\n"), "{end:?} {log}");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_step_that_is_just_starting_hears_its_signal() {
    let this = Box::start();
    let job = this.job().await;
    for step in 1..=5 {
        let at = this.at(job, step);
        this.begin(at, spec("exec sleep 600")).await.unwrap();
        this.client.signal(at, Signal::Term).await.unwrap();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), this.end(at)).await;
        let (end, log) = ended.expect("the signal was lost");
        assert_eq!(end.exit_code, 143, "{end:?} {log}");
    }
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn an_attempt_is_started_once_and_outlives_the_executor() {
    let mut this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let command = "echo started >> count; echo one; until test -e go; do sleep 0.01; done; echo two";
    this.begin(at, spec(command)).await.unwrap();
    this.child.kill().unwrap();
    this.child.wait().unwrap();
    let instance = this.run.file_name().unwrap().to_string_lossy().into_owned();
    this.child = spawn(this.dir.path(), &this.run, &instance, 0);
    this.begin(at, spec(command)).await.expect("said again, it is met");
    this.sh(job, 2, "touch go").await;
    let (end, log) = this.end(at).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "one\ntwo\n"));
    let (_, log) = this.sh(job, 3, "cat count").await;
    assert_eq!(log, "started\n");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn files_cross_the_border_by_descriptor_alone() {
    let this = Box::start();
    let job = this.job().await;
    this.sh(job, 1, "mkdir -p d/e; echo hi > d/e/f; ln -s /etc/passwd evil; ln -s /etc dir; head -c 100000 /dev/urandom > big; sha256sum big > sum").await;
    let (mut reader, writer) = pipe();
    let (exported, bytes) = tokio::join!(
        this.client.export(job, "big".into(), writer),
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        })
    );
    exported.unwrap();
    let mut bytes = bytes.unwrap();
    let header: danube_shim::transfer::Item = danube_shim::frame::read(&mut bytes.as_slice(), 65536).unwrap();
    assert_eq!(header.size, Some(100_000));
    bytes.drain(..bytes.len() - 100_000);
    for wrong in ["evil", "dir/passwd", "../../../etc/passwd", "/etc/passwd", "missing"] {
        let (_reader, writer) = pipe();
        let error = this.client.export(job, wrong.into(), writer).await.unwrap_err();
        assert!(matches!(&error, ExecutorError::User(text) if !text.is_empty()), "{wrong}: {error:?}");
    }
    let mut stream = tempfile::tempfile().unwrap();
    let header = danube_shim::transfer::Item {
        version: 1,
        kind: danube_shim::transfer::Kind::File,
        name: "copy".into(),
        size: Some(100_000),
    };
    danube_shim::frame::write(&mut stream, &header).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.rewind().unwrap();
    this.client.import(job, "in".into(), stream).await.unwrap();
    let (end, log) = this.sh(job, 2, "cmp big in/copy && echo same").await;
    assert_eq!((end.exit_code, log.as_str()), (0, "same\n"));
    this.client.teardown(job).await.unwrap();
}

fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

#[tokio::test]
async fn what_the_policy_does_not_give_is_refused() {
    let this = Box::start();
    let job = this.job().await;
    let mut images = spec("true");
    images.image = "alpine:3".into();
    assert!(matches!(this.begin(this.at(job, 1), images).await, Err(ExecutorError::ImageUnavailable { .. })));
    let mut huge = spec("true");
    huge.limits.memory_bytes = u64::MAX;
    assert!(matches!(this.begin(this.at(job, 2), huge).await, Err(ExecutorError::PolicyDenied(_))));
    let mut root = spec("true");
    root.user = Some("99999999".into());
    assert!(matches!(this.begin(this.at(job, 3), root).await, Err(ExecutorError::User(_))));
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_kept_workspace_goes_to_the_next_job_with_its_files_and_to_no_other() {
    let mut this = Box::start();
    let first = this.job().await;
    this.sh(first, 1, "echo one > made; mkdir deep; echo x > deep/file; chown 1000 deep; ln -s /etc/passwd link").await;
    let jobs = this.dir.path().join("executor/jobs");
    let bytes = this.client.keep(first).await.unwrap().expect("it is kept");
    assert!(bytes > 0 && bytes < 1 << 20, "{bytes}");
    assert_eq!(this.client.keep(first).await.unwrap(), Some(bytes), "once more is well");
    let beside = |job| {
        let mut names: Vec<String> = std::fs::read_dir(jobs.join(format!("{job}")))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(beside(first), ["kept", "workspace"]);
    let closed = std::fs::metadata(jobs.join(first.to_string())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&closed) & 0o777, 0o700, "nobody else reads what it left");
    assert!(!this.run.join("jobs").join(first.to_string()).exists(), "its sockets are gone");
    assert_eq!(this.client.list().await.unwrap(), [first]);
    let other = this.job().await;
    // It outlives the executor.
    this.child.kill().unwrap();
    this.child.wait().unwrap();
    let instance = this.run.file_name().unwrap().to_str().unwrap().to_owned();
    this.child = spawn(this.dir.path(), &this.run, &instance, 0);
    assert_eq!(this.client.list().await.unwrap().len(), 2);
    let next = this.job_after(Some(first)).await.unwrap();
    let (end, log) = this
        .sh(next, 1, "cat made deep/file; stat -c %u made deep; echo two >> made; touch deep/more; git log --format=%s")
        .await;
    assert_eq!((end.exit_code, log.as_str()), (0, "one\nx\n0\n1000\nfirst\n"));
    let sources = std::fs::read_dir(jobs.join(next.to_string()).join("source")).unwrap();
    let mut sources: Vec<_> = sources.map(|entry| entry.unwrap().file_name()).collect();
    sources.sort();
    assert_eq!(sources, ["danubefile.py", "src"], "the coordinator's checkout is the commit, and no repository");
    let error = this.job_after(Some(first)).await.unwrap_err();
    assert!(matches!(&error, ExecutorError::User(text) if text.contains("not on this machine any more")), "{error:?}");
    let (end, log) = this.sh(other, 1, "ls").await;
    assert_eq!((end.exit_code, log.as_str()), (0, "danubefile.py\nsrc\n"));
    // Again and again.
    this.client.keep(next).await.unwrap().expect("it is kept");
    let last = this.job_after(Some(next)).await.unwrap();
    assert_eq!(this.sh(last, 1, "cat made").await.1, "one\ntwo\n");
    for job in [first, next, last, other] {
        this.client.teardown(job).await.unwrap();
    }
    assert!(this.client.list().await.unwrap().is_empty());
    assert_eq!(this.client.keep(last).await.unwrap(), None, "nothing is kept of a job that is gone");
}
