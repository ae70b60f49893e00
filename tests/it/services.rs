//! Services by the real executor: a network of their own, reached by name, ready when they answer, gone when ended.
use std::net::Ipv4Addr;
use std::process::Command;

use danube::executor::{Executor, ExecutorError, HostEntry, ReadyCheck, Signal, StepAt, StepKind, StepSpec, StepState};
use danube::model::JobId;

use super::support::executor::{Box, spec};

const SERVER: &str = "mkdir /tmp/www && cd /tmp/www && echo \"hello from $WHO\" > index.html && \
                      exec python3 -m http.server --bind 0.0.0.0 8000";

struct World {
    executor: Box,
    job: JobId,
}

impl World {
    async fn start() -> Self {
        let executor = Box::start();
        let job = executor.job().await;
        executor.client.connect(job, false).await.unwrap();
        Self { executor, job }
    }

    /// A service that is started, and what a step finds it by.
    async fn service(&self, number: u8, command: &str, ready: &str) -> (StepAt, HostEntry) {
        let net = self.executor.client.attach_service(self.job, number).await.unwrap();
        let at = self.executor.at(self.job, 10 + u32::from(number));
        let argv = if ready.is_empty() { Vec::new() } else { vec!["/bin/sh".into(), "-c".into(), ready.into()] };
        let mut service = StepSpec {
            kind: StepKind::Service,
            workdir: String::new(),
            network: true,
            dns: Some(net.dns),
            service: Some(number),
            ready: Some(ReadyCheck { argv, address: format!("{}:8000", net.address) }),
            ..spec(command)
        };
        service.env.push(("WHO".to_owned(), format!("service {number}")));
        self.executor.begin(at, service).await.unwrap();
        (at, HostEntry { address: net.address, names: vec!["db".to_owned()] })
    }

    /// Does something in the network of the job's steps.
    fn in_network(&self, command: &[&str]) -> String {
        let name = self.executor.run.join("net").join(format!("{}.open", self.job));
        let output = Command::new("nsenter").arg(format!("--net={}", name.display())).args(command).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a step that finds a service under `db` reads from it.
    async fn asked(&self, step: u32, entry: &HostEntry) -> (i32, String) {
        let read = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://db:8000/\").read().decode())'";
        let mut step_spec = spec(&format!("{read}; code=$?; ls /workspace > /dev/null; exit $code"));
        step_spec.network = true;
        step_spec.dns = Some(std::net::Ipv4Addr::new(127, 1, 0, 1));
        step_spec.hosts = vec![entry.clone()];
        let (end, log) = self.executor.run(self.executor.at(self.job, step), step_spec).await;
        (end.exit_code, log)
    }

    async fn ended(&self, at: StepAt) -> i32 {
        let StepState::Ended(end) = self.executor.client.observe(at).await.unwrap() else { panic!("it did not end") };
        end.exit_code
    }
}

#[tokio::test]
async fn two_services_of_one_name_and_port_are_reached_by_the_steps_of_their_own_branch() {
    let world = World::start().await;
    let (first, one) = world.service(0, SERVER, "").await;
    let (second, other) = world.service(1, SERVER, "").await;
    assert!(world.executor.client.ready(first).await.unwrap());
    assert!(world.executor.client.ready(second).await.unwrap());
    for (step, entry, said) in [(1, &one, "hello from service 0"), (2, &other, "hello from service 1")] {
        let (code, log) = world.asked(step, entry).await;
        assert!(code == 0 && log.contains(said), "{log}");
    }
    for (at, number) in [(first, 0), (second, 1)] {
        world.executor.client.signal(at, Signal::Kill).await.unwrap();
        assert_eq!(world.ended(at).await, 137);
        world.executor.client.detach_service(world.job, number).await.unwrap();
    }
    assert_ne!(world.asked(3, &one).await.0, 0, "what has ended is not reached");
    world.executor.client.teardown(world.job).await.unwrap();
}

#[tokio::test]
async fn a_ready_command_runs_in_the_services_container_until_it_succeeds() {
    let world = World::start().await;
    let ready = "test \"$WHO\" = 'service 0' && test -e /tmp/open";
    let command = "test ! -e /workspace/danubefile.py || exit 9; while [ ! -e /tmp/go ]; do touch /tmp/go; done; sleep 0.3; \
                   touch /tmp/open; exec sleep 1000";
    let (at, _) = world.service(0, command, ready).await;
    assert!(world.executor.client.ready(at).await.unwrap());
    assert!(world.executor.client.ready(at).await.unwrap(), "said again, the same answer");
    world.executor.client.signal(at, Signal::Term).await.unwrap();
    assert_eq!(world.ended(at).await, 143);
    world.executor.client.teardown(world.job).await.unwrap();
}

#[tokio::test]
async fn a_service_that_ends_before_it_answers_is_never_ready() {
    let world = World::start().await;
    // It forks and leaves.
    let (at, _) = world.service(0, "echo starting; (sleep 1000 &) ; exit 0", "false").await;
    assert!(!world.executor.client.ready(at).await.unwrap());
    assert_eq!(world.ended(at).await, 0);
    let (at, _) = world.service(1, "exec python3 -c 'raise SystemExit(7)'", "").await;
    assert!(!world.executor.client.ready(at).await.unwrap());
    assert_eq!(world.ended(at).await, 7);
    world.executor.client.teardown(world.job).await.unwrap();
}

#[tokio::test]
async fn a_service_reaches_another_one_of_its_job_and_nothing_else() {
    let world = World::start().await;
    let (first, outer) = world.service(0, SERVER, "").await;
    assert!(world.executor.client.ready(first).await.unwrap());
    let net = world.executor.client.attach_service(world.job, 1).await.unwrap();
    let at = world.executor.at(world.job, 11);
    let asking = |address: &str| {
        format!(
            "python3 -c 'import socket; socket.create_connection((\"{address}\", 8000), 20)' 2>&1 | tail -n 1; echo asked"
        )
    };
    let ask = format!("{}; {}; {}", asking("db"), asking(&net.dns.to_string()), asking("192.0.2.1"));
    let service = StepSpec {
        kind: StepKind::Service,
        workdir: String::new(),
        network: true,
        dns: Some(net.dns),
        hosts: vec![outer],
        service: Some(1),
        ..spec(&ask)
    };
    let (_, log) = world.executor.run(at, service).await;
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0] == "asked" && lines.len() == 5, "the service of an outer block: {log}");
    // The job's own end of its link, and a host of the world that no name led to.
    for line in [lines[1], lines[3]] {
        assert!(line.contains("refused") || line.contains("No route") || line.contains("unreachable"), "{log}");
    }
    world.executor.client.teardown(world.job).await.unwrap();
}

#[tokio::test]
async fn a_link_that_was_cut_short_is_made_whole_when_asked_for_again() {
    let world = World::start().await;
    let (first, entry) = world.service(0, SERVER, "").await;
    assert!(world.executor.client.ready(first).await.unwrap());
    // As a kill leaves it right after the link was made.
    world.in_network(&["ip", "address", "flush", "dev", "sv0"]);
    world.in_network(&["ip", "link", "set", "sv0", "down"]);
    assert_ne!(world.asked(1, &entry).await.0, 0);
    world.executor.client.attach_service(world.job, 0).await.unwrap();
    let (code, log) = world.asked(2, &entry).await;
    assert!(code == 0 && log.contains("hello from service 0"), "{log}");
    world.executor.client.teardown(world.job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_times_for_one_address_the_longer_one_holds_and_none_for_a_job_that_is_gone() {
    let world = World::start().await;
    let client = &world.executor.client;
    let addresses: Vec<Ipv4Addr> = (1..=50).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect();
    for address in &addresses {
        let allow = |seconds| client.allow(world.job, vec![*address], seconds);
        let (one, two, three) = tokio::join!(allow(40), allow(7200), allow(60));
        one.and(two).and(three).unwrap();
    }
    let set = world.in_network(&["nft", "list", "set", "inet", "danube", "allow4"]);
    let long = set.matches("timeout 2h").count();
    assert_eq!(long, addresses.len(), "{set}");
    client.teardown(world.job).await.unwrap();
    let late = client.allow(world.job, addresses, 60).await;
    assert!(matches!(late, Err(ExecutorError::Lost(_))), "{late:?}");
}
