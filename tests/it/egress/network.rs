//! The network of a step: the filter, other jobs, the machine.
use super::super::support::world::{EVIL, GOOD, MACHINE, NAMESERVER, PRIVATE, Record, World, closed_port};
use super::{end_in, run_in, trying};

#[test]
fn a_step_reaches_the_names_in_force_and_everything_else_is_refused_at_once() {
    let world =
        World::new(&[("good.example.com", &[Record::To(GOOD, 300)]), ("evil.example.com", &[Record::To(EVIL, 300)])]);
    let (_open, closed) = closed_port(&world);
    let said = trying(
        &world,
        &["good.example.com"],
        &format!(
            "tcp/{GOOD} tcp/good.example.com tcp/{GOOD} tcp/evil.example.com tcp/{EVIL} udp/{EVIL} udp/{EVIL}/443 \
             tcp/{MACHINE}/{port} tcp/169.254.169.254 tcp/{PRIVATE} udp/{NAMESERVER}/53 stream/good.example.com/{NAMESERVER} \
             stream/good.example.com/{GOOD} tcp/127.0.0.1/{port} v6/2001:db8::1 v6/fe80::1 icmp/{EVIL} icmp/{GOOD}",
            port = closed.port()
        ),
    );
    let lines: Vec<&str> = said.lines().collect();
    let refused = "ECONNREFUSED";
    let expected = [
        format!("tcp {GOOD} 80: {refused}"),
        format!("tcp good.example.com 80: hello from {GOOD}"),
        format!("tcp {GOOD} 80: hello from {GOOD}"),
        "danube: denied: evil.example.com is not in egress_allowlist (pipeline repo)".to_owned(),
        "tcp evil.example.com 80: no name".to_owned(),
        format!("tcp {EVIL} 80: {refused}"),
        format!("udp {EVIL} 9: EPERM"),
        format!("udp {EVIL} 443: EPERM"),
        format!("tcp {MACHINE} {}: {refused}", closed.port()),
        format!("tcp 169.254.169.254 80: {refused}"),
        format!("tcp {PRIVATE} 80: {refused}"),
        format!("udp {NAMESERVER} 53: EPERM"),
        format!("stream good.example.com {NAMESERVER}: {refused}"),
        format!("stream good.example.com {GOOD}: {refused}"),
        format!("tcp 127.0.0.1 {}: {refused}", closed.port()),
        "v6 2001:db8::1: ENETUNREACH".to_owned(),
        "v6 fe80::1: EINVAL".to_owned(),
        format!("icmp {EVIL}: EACCES"),
        format!("icmp {GOOD}: EACCES"),
    ];
    assert_eq!(lines, expected, "{said}");
    assert_eq!((world.asked("good.example.com"), world.asked("evil.example.com")), (1, 0));
}

#[test]
fn without_names_and_without_a_network_nothing_is_there() {
    let world = World::new(&[]);
    let run = run_in(&format!(
        "step.run(\"python3 attempts.py tcp/{GOOD} tcp/x.example.com\", name=\"no names\")\n\
         step.run(\"python3 attempts.py tcp/{GOOD} tcp/x.example.com; cat /etc/resolv.conf\", name=\"no network\", network=False)"
    ));
    end_in(&world, &run, &[]).succeeded();
    let denied = "danube: denied: x.example.com is not in egress_allowlist (pipeline repo)\n";
    let unreachable = format!("tcp {GOOD} 80: ENETUNREACH\n");
    assert_eq!(run.log(1, 1), format!("{unreachable}{denied}tcp x.example.com 80: no name\n"));
    assert_eq!(run.log(2, 1), format!("{unreachable}tcp x.example.com 80: no name\n"));
    assert!(!world.shown().contains("dnb"), "{}", world.shown());
}

#[test]
fn jobs_of_any_instance_do_not_reach_each_other() {
    let world = World::new(&[("good.example.com", &[Record::To(GOOD, 300)])]);
    let server = "import socket, time, os\n\
                  s = socket.create_server(('0.0.0.0', 9000))\n\
                  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(('198.51.100.10', 80))\n\
                  open('/workspace/address.tmp', 'w').write(u.getsockname()[0]); os.rename('/workspace/address.tmp', '/workspace/address')\n\
                  print('listens at', u.getsockname()[0], flush=True)\n\
                  s.settimeout(120)\n\
                  try:\n    s.accept(); print('SOMEBODY CAME')\n\
                  except TimeoutError: pass\n";
    let first = super::Run::with(&[
        ("danubefile.py", &super::pipeline("step.run(\"python3 server.py\", timeout=\"60s\", check=False)")),
        ("server.py", server),
    ])
    .env("DANUBE_EXECUTOR__DNS", NAMESERVER);
    let mut command = first.command();
    command.args(["--egress", "good.example.com"]);
    let running = first.start(world.enter(&command));
    first.until("the server listens", || first.log(1, 1).contains("listens at "));
    let log = first.log(1, 1);
    let theirs: std::net::Ipv4Addr = log.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let ours = std::net::Ipv4Addr::from_bits(theirs.to_bits() - 1);
    let said = trying(&world, &["good.example.com"], &format!("tcp/{theirs}/9000 tcp/{ours}/9000 udp/{theirs}"));
    let expected = format!("tcp {theirs} 9000: ECONNREFUSED\ntcp {ours} 9000: ECONNREFUSED\nudp {theirs} 9: EPERM\n");
    assert_eq!(said, expected);
    rustix::process::kill_process(rustix::process::Pid::from_child(&running.child), rustix::process::Signal::INT)
        .unwrap();
    running.end();
    assert!(!first.log(1, 1).contains("SOMEBODY"), "{}", first.log(1, 1));
}

#[test]
fn steps_of_a_job_share_its_network_and_leave_nothing_on_the_machine() {
    let world = World::new(&[("good.example.com", &[Record::To(GOOD, 300)])]);
    let before = world.shown();
    let run = run_in(
        "step.run(\"python3 -m http.server --bind 127.0.0.1 8123 >/dev/null 2>&1 & echo $! > pid; \
         until curl -s -o /dev/null http://127.0.0.1:8123/; do sleep 0.05; done; curl -s http://good.example.com/; cat /etc/hosts\")",
    );
    end_in(&world, &run, &["*.example.com"]).succeeded();
    assert_eq!(run.log(1, 1), format!("hello from {GOOD}\n127.0.0.1 localhost step\n::1 localhost\n"));
    assert_eq!(world.shown(), before, "left on the machine");
}
