//! The executor's verbs alone: services, refusals, and many jobs.
use std::net::{Ipv4Addr, SocketAddrV4};

use danube::executor::{Executor as _, ExecutorError, Space, StepKind, StepSpec, Transport};

use super::super::support::executor::{Box, spec};
use super::super::support::world::World;

const DNS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// On a machine of its own: what the executor makes there is what the machine shows.
fn on(world: &World, test: impl AsyncFnOnce(Box) + Send) {
    world.on_the_machine(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(test(Box::start()));
    });
}

fn networked(command: &str) -> StepSpec {
    StepSpec { network: true, dns: Some(DNS), ..spec(command) }
}

/// In the network of the first service.
fn serving(command: &str) -> StepSpec {
    StepSpec { kind: StepKind::Service, service: Some(0), workdir: String::new(), ..networked(command) }
}

fn connecting(address: Ipv4Addr, port: u16) -> String {
    format!(
        "python3 -c \"import socket; print(socket.create_connection(('{address}', {port}), timeout=20).recv(9).decode())\" 2>&1 | tail -1"
    )
}

#[test]
fn a_service_is_reached_by_its_own_job_alone() {
    let world = World::new(&[]);
    on(&world, async |executor| {
        let (own, other) = (executor.job().await, executor.job().await);
        for job in [own, other] {
            executor.client.connect(job, true).await.unwrap();
        }
        let service = executor.client.attach_service(own, 0).await.unwrap();
        assert_eq!(executor.client.attach_service(own, 0).await.unwrap(), service, "the same when asked again");
        let server = "import socket\ns = socket.create_server(('0.0.0.0', 80))\nprint('ready', flush=True)\n\
                      c, _ = s.accept()\nc.sendall(b'served')\n";
        let at = executor.at(own, 1);
        let server = StepSpec { dns: Some(service.dns), ..serving(&format!("python3 -c \"{server}\"")) };
        executor.begin(at, server).await.unwrap();
        while !executor.log(at).contains("ready") {
            assert!(!executor.log(at).contains("Error"), "{}", executor.log(at));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let (_, seen) = executor.run(executor.at(other, 1), networked(&connecting(service.address, 80))).await;
        assert!(seen.contains("Connection refused"), "{seen}");
        let (_, seen) = executor.run(executor.at(own, 2), networked(&connecting(service.address, 80))).await;
        assert_eq!(seen, "served\n");
        assert_eq!(executor.end(at).await.0.exit_code, 0);
        // From a service, the job's filter holds.
        let outside = StepSpec { dns: Some(service.dns), ..serving(&connecting(Ipv4Addr::new(198, 51, 100, 10), 80)) };
        let (_, seen) = executor.run(executor.at(own, 3), outside).await;
        assert!(seen.contains("Connection refused"), "{seen}");
        executor.client.detach_service(own, 0).await.unwrap();
        executor.client.detach_service(own, 0).await.unwrap();
    });
}

#[test]
fn addresses_that_no_job_may_reach_are_refused_by_the_executor_itself() {
    let world = World::new(&[]);
    on(&world, async |executor| {
        let job = executor.job().await;
        executor.client.connect(job, true).await.unwrap();
        for inner in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "203.0.113.1", "198.19.64.2", "0.0.0.0"] {
            let denied = executor.client.allow(job, vec![inner.parse().unwrap()], 60).await.unwrap_err();
            assert!(matches!(denied, ExecutorError::PolicyDenied(_)), "{inner}: {denied}");
        }
        let many = vec![Ipv4Addr::new(198, 51, 100, 1); 65];
        assert!(executor.client.allow(job, many, 60).await.is_err());
        executor.client.allow(job, vec![Ipv4Addr::new(198, 51, 100, 10)], 60).await.unwrap();
    });
}

#[test]
fn the_quiet_network_holds_what_listens_in_it_and_nothing_else() {
    let world = World::new(&[]);
    on(&world, async |executor| {
        let job = executor.job().await;
        let at = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 5), 5000);
        let socket = executor.client.listen(job, Space::Quiet, Transport::Tcp, at).await.unwrap();
        let again = executor.client.listen(job, Space::Quiet, Transport::Tcp, at).await.unwrap();
        let listener = std::net::TcpListener::from(again);
        let answering = std::thread::spawn(move || {
            use std::io::Write as _;
            listener.accept().unwrap().0.write_all(b"here").unwrap();
        });
        let (_, seen) = executor.sh(job, 1, &connecting(*at.ip(), 5000)).await;
        assert_eq!(seen, "here\n");
        answering.join().unwrap();
        drop(socket);
        let (_, seen) = executor.sh(job, 2, &connecting(Ipv4Addr::new(198, 51, 100, 10), 80)).await;
        assert!(seen.contains("Network is unreachable"), "{seen}");
    });
}

#[test]
fn fifty_jobs_leave_the_machine_as_it_was() {
    let world = World::new(&[]);
    let before = world.shown();
    on(&world, async |executor| {
        let mut jobs = Vec::new();
        for _ in 0..50 {
            let job = executor.job().await;
            executor.client.connect(job, true).await.unwrap();
            executor.client.connect(job, true).await.unwrap();
            executor.client.allow(job, vec![Ipv4Addr::new(198, 51, 100, 10)], 60).await.unwrap();
            jobs.push(job);
        }
        assert_eq!(world.shown().matches("\ndnb").count() + usize::from(world.shown().starts_with("dnb")), 50);
        for job in jobs {
            executor.client.teardown(job).await.unwrap();
        }
        assert_eq!(world.shown(), before, "left on the machine");
    });
    assert_eq!(world.shown(), before);
}
