//! Services by the real executor: a network of their own, reached by name, ready when they answer, gone when ended.
use danube::executor::{Executor, HostEntry, ReadyCheck, Signal, StepAt, StepKind, StepSpec, StepState};
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
