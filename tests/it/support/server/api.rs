//! The server's API, as a test asks it.
use std::fs;
use std::path::Path;
use std::process::Command;

use ring::hmac;
use serde_json::{Value, json};

use super::{Danube, WEBHOOK_KEY, until};
use crate::support::danube;
use crate::support::http::{Door, Reply, send};
use crate::support::repo::{commit, git};

impl Danube {
    /// The machine's own door.
    pub(crate) fn socket(&self) -> Door {
        Door::Socket(self.data().join("api.sock"))
    }

    /// The network's door.
    pub(crate) fn network(&self) -> Door {
        Door::Network(fs::read_to_string(self.data().join("http.addr")).unwrap().trim().to_owned())
    }

    pub(super) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        send(&self.socket(), method, path, headers, body)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.try_send("GET", path, &[], b"").unwrap()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.try_send("POST", path, &[("Content-Type", "application/json")], body.as_bytes()).unwrap()
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.try_send("PUT", path, &[], body).unwrap()
    }

    /// The program as a client of this server.
    pub(crate) fn danube(&self, words: &[&str]) -> std::process::Output {
        Command::new(danube())
            .args(words)
            .arg("--socket")
            .arg(self.data().join("api.sock"))
            .env_remove("DANUBE_SERVER")
            .env_remove("DANUBE_TOKEN")
            .output()
            .unwrap()
    }

    /// Starts a job of `app`; its id.
    #[track_caller]
    pub(crate) fn trigger(&self) -> String {
        self.trigger_of("app")
    }

    #[track_caller]
    pub(crate) fn trigger_of(&self, pipeline: &str) -> String {
        let started = self.post(&format!("/api/v1/pipelines/{pipeline}/trigger"), &Value::Null).with(201);
        started["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn trigger_on(&self, branch: &str) -> String {
        let started = self.post("/api/v1/pipelines/app/trigger", &serde_json::json!({ "branch": branch })).with(201);
        started["id"].as_str().unwrap().to_owned()
    }

    /// The log of a step as it is, with the lines of danube's own.
    #[track_caller]
    pub(crate) fn raw_log(&self, id: &str, step: u32) -> String {
        let reply = self.get(&format!("/api/v1/jobs/{id}/steps/{step}/log"));
        if reply.status == 200 { reply.text() } else { String::new() }
    }

    #[track_caller]
    pub(crate) fn job(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/jobs/{id}")).with(200)
    }

    /// All jobs, newest first.
    #[track_caller]
    pub(crate) fn jobs(&self) -> Vec<Value> {
        self.get("/api/v1/jobs").with(200)["jobs"].as_array().unwrap().clone()
    }

    /// The job once it has one of these states.
    #[track_caller]
    pub(crate) fn reaches(&self, id: &str, states: &[&str]) -> Value {
        until(&format!("job {id} is {states:?}"), || {
            let job = self.job(id);
            states.contains(&job["status"].as_str().unwrap()).then_some(job)
        })
    }

    /// The job once it has ended.
    #[track_caller]
    pub(crate) fn ended(&self, id: &str) -> Value {
        self.reaches(id, &["success", "failure", "cancelled", "timeout"])
    }

    /// The job's end, which must be success.
    #[track_caller]
    pub(crate) fn succeeds(&self, id: &str) -> Value {
        let job = self.ended(id);
        let log = self.get(&format!("/api/v1/jobs/{id}/log")).text();
        assert_eq!(job["status"], "success", "{job:#}\n{log}");
        job
    }

    /// The log of one step, without the remark that it has no network.
    #[track_caller]
    pub(crate) fn log(&self, id: &str, step: u32) -> String {
        let reply = self.get(&format!("/api/v1/jobs/{id}/steps/{step}/log"));
        let text = if reply.status == 200 { reply.text() } else { String::new() };
        text.lines().filter(|line| !line.starts_with("danube: ")).map(|line| format!("{line}\n")).collect()
    }

    /// The signed record of an ended job.
    #[track_caller]
    pub(crate) fn attestation(&self, id: &str) -> String {
        until("the record is signed", || {
            let reply = self.get(&format!("/api/v1/jobs/{id}/attestation"));
            (reply.status == 200).then(|| reply.text())
        })
    }

    /// A signed delivery of a push, as GitHub sends it.
    #[track_caller]
    pub(crate) fn deliver(&self, id: &str, reference: &str, before: &str, after: &str) -> Reply {
        let body = self.push_event(reference, before, after);
        self.deliver_body(id, body.to_string().as_bytes(), &sign(body.to_string().as_bytes()))
    }

    #[track_caller]
    pub(crate) fn deliver_body(&self, id: &str, body: &[u8], signature: &str) -> Reply {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Delivery", id),
            ("X-GitHub-Event", "push"),
            ("X-Hub-Signature-256", signature),
        ];
        send(&self.network(), "POST", "/webhooks/github", &headers, body).unwrap()
    }

    /// The body of a push to the built repository.
    pub(crate) fn push_event(&self, reference: &str, before: &str, after: &str) -> Value {
        let zero = "0".repeat(40);
        json!({
            "ref": reference, "before": before, "after": after, "created": before == zero, "deleted": after == zero,
            "repository": { "full_name": "team/app", "clone_url": format!("file://{}", self.app().display()) },
        })
    }

    /// Commits to the config repo, and waits until the server has looked at it.
    #[track_caller]
    pub(crate) fn configure(&self, files: &[(&str, &str)]) -> String {
        let sha = commit(&self.conf(), files, "change");
        self.looked_at(&sha);
        sha
    }

    /// Waits until the server has looked at a commit of the config repo.
    #[track_caller]
    pub(crate) fn looked_at(&self, sha: &str) -> Value {
        self.post("/api/v1/config/sync", &Value::Null).with(202);
        until("the commit is looked at", || {
            let status = self.get("/api/v1/config/status").with(200);
            (status["last_seen"]["commit"] == sha).then_some(status)
        })
    }
}

/// `X-Hub-Signature-256` of a body.
pub(crate) fn sign(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_KEY.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

/// Where a branch of a repository is.
pub(crate) fn head(dir: &Path) -> String {
    git(dir, &["rev-parse", "HEAD"])
}
