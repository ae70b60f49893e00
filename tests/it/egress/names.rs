//! Names: what they may lead to, and questions that are not meant well.
use super::super::support::world::{EVIL, GOOD, MACHINE, NAMESERVER, PRIVATE, Record, World};
use super::{Run, TRY, end_in, pipeline, run_in, trying};

#[test]
fn a_name_that_leads_inside_is_denied_and_told() {
    let world = World::new(&[
        ("loop.example.com", &[Record::To("127.0.0.1", 60)]),
        ("private.example.com", &[Record::To(PRIVATE, 60)]),
        ("cloud.example.com", &[Record::To("169.254.169.254", 60)]),
        ("machine.example.com", &[Record::To(MACHINE, 60)]),
        ("mixed.example.com", &[Record::To(GOOD, 60), Record::To("127.0.0.1", 60)]),
    ]);
    let names = ["loop", "private", "cloud", "machine", "mixed"];
    let attempts: String = names.map(|name| format!("tcp/{name}.example.com ")).concat();
    let said = trying(&world, &["*.example.com"], &format!("{attempts} tcp/{GOOD}"));
    let line = |name: &str, why: &str| {
        format!(
            "danube: denied: {name}.example.com leads to an address that no job may reach: {why}\ntcp {name}.example.com 80: no name\n"
        )
    };
    let expected = [
        line("loop", "127.0.0.1 is an address of this machine"),
        line("private", &format!("{PRIVATE} is a private address")),
        line("cloud", "169.254.169.254 is a link-local address, where clouds answer for the machine"),
        line("machine", &format!("{MACHINE} is an address of this machine")),
        line("mixed", "127.0.0.1 is an address of this machine"),
        format!("tcp {GOOD} 80: ECONNREFUSED\n"),
    ];
    assert_eq!(said, expected.concat());

    // Root may list a network of the company.
    let run = run_in("step.run(\"python3 attempts.py tcp/private.example.com tcp/machine.example.com\")");
    let run = run.env("DANUBE_EXECUTOR__EGRESS_PRIVATE", "10.77.0.0/16,203.0.113.0/24");
    end_in(&world, &run, &["*.example.com"]).succeeded();
    let expected = [
        format!("tcp private.example.com 80: hello from {PRIVATE}\n"),
        line("machine", &format!("{MACHINE} is an address of this machine")),
    ];
    assert_eq!(run.log(1, 1), expected.concat());
}

#[test]
fn an_alias_counts_only_where_it_is_listed_too() {
    let world = World::new(&[
        ("a.example.com", &[Record::Alias("b.cdn.example.net")]),
        ("b.cdn.example.net", &[Record::To(GOOD, 60)]),
        ("circle.example.com", &[Record::Alias("a.example.com"), Record::Alias("b.cdn.example.net")]),
    ]);
    let said = trying(&world, &["*.example.com"], &format!("tcp/a.example.com tcp/b.cdn.example.net tcp/{GOOD}"));
    assert_eq!(
        said,
        format!(
            "danube: denied: a.example.com is an alias of b.cdn.example.net, which is not in egress_allowlist (pipeline repo)\n\
             tcp a.example.com 80: no name\n\
             danube: denied: b.cdn.example.net is not in egress_allowlist (pipeline repo)\n\
             tcp b.cdn.example.net 80: no name\n\
             tcp {GOOD} 80: ECONNREFUSED\n"
        )
    );
    let said = trying(&world, &["a.example.com", "*.cdn.example.net"], "tcp/a.example.com");
    assert_eq!(said, format!("tcp a.example.com 80: hello from {GOOD}\n"));
}

#[test]
fn short_lived_long_and_unknown_answers_are_taken_as_they_are_meant() {
    let world =
        World::new(&[("short.example.com", &[Record::To(GOOD, 0)]), ("long.example.com", &[Record::Long(GOOD)])]);
    let said = trying(
        &world,
        &["*.example.com"],
        "dns/short.example.com tcp/short.example.com dns/long.example.com dns/none.example.com stream/short.example.com",
    );
    assert_eq!(
        said,
        format!(
            "dns 'short.example.com': code 0, 1 answers\ntcp short.example.com 80: hello from {GOOD}\n\
             dns 'long.example.com': code 0, 1 answers\ndns 'none.example.com': code 3, 0 answers\n\
             stream short.example.com own: code 0, 1 answers\n"
        )
    );
}

#[test]
fn ten_thousand_names_and_odd_bytes_are_refused_and_told_within_bounds() {
    let world = World::new(&[("good.example.com", &[Record::To(GOOD, 60)])]);
    let flood = "from attempts import dns\ndns(*[f'n{n}.example.org' for n in range(10000)])\n";
    let odd = "from attempts import dns\ndns('a\\0b.example.com', '\\x1b[31m.example.org', 'GOOD.example.com')\n";
    let steps = "step.run(\"python3 flood.py | wc -l\")\nstep.run(\"python3 odd.py\")\n\
                 step.run(\"python3 attempts.py tcp/good.example.com\")";
    let files = [("danubefile.py", &*pipeline(steps)), ("attempts.py", TRY), ("flood.py", flood), ("odd.py", odd)];
    let run = Run::with(&files).env("DANUBE_EXECUTOR__DNS", NAMESERVER);
    end_in(&world, &run, &["good.example.com"]).succeeded();
    let flood = run.log(1, 1);
    let told: Vec<&str> = flood.lines().filter(|line| line.starts_with("danube: denied")).collect();
    assert_eq!((told.len(), flood.lines().count()), (21, 22), "{flood}");
    assert_eq!(told[20], "danube: denied: further names of this step are not listed");
    assert_eq!(flood.lines().last(), Some("10000"), "{flood}");
    let odd = run.log(2, 1);
    assert!(odd.contains("denied: a\\000b.example.com is not"), "{odd}");
    assert!(odd.contains("denied: \\027\\09131m.example.org is not") && !odd.contains('\u{1b}'), "{odd}");
    assert!(odd.ends_with("dns 'GOOD.example.com': code 0, 1 answers\n"), "{odd}");
    assert_eq!(run.log(3, 1), format!("tcp good.example.com 80: hello from {GOOD}\n"));
    assert_eq!(world.asked("n1.example.org"), 0);
}

#[test]
fn a_failed_step_says_what_it_was_denied() {
    let world = World::new(&[("evil.example.com", &[Record::To(EVIL, 60)])]);
    let run = run_in("step.run(\"curl -sf http://evil.example.com/ || exit 6\", name=\"fetch\")");
    let end = end_in(&world, &run, &[]);
    assert_eq!(end.step("fetch").reason(), "exit code 6; egress denied to evil.example.com");
    let declared = "from danube import *\n@pipeline(name=\"test\", egress=[\"good.example.com\"])\ndef build():\n    \
                    step.run(\"getent hosts evil.example.com; getent hosts good.example.com\")\n";
    let world = World::new(&[("good.example.com", &[Record::To(GOOD, 60)])]);
    let run = Run::new(declared).env("DANUBE_EXECUTOR__DNS", NAMESERVER);
    end_in(&world, &run, &["*.example.com"]).succeeded();
    let log = run.log(1, 1);
    assert!(log.starts_with("danube: denied: evil.example.com is left out by egress= of the danubefile\n"), "{log}");
    assert!(log.contains(GOOD), "{log}");
    let end = end_in(&world, &run, &["other.example.com"]);
    assert!(end.reason().contains("--egress NAME"), "{}", end.reason());
}
