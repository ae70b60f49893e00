//! Kills of master and executor while a step asks for names, and what is on record afterwards.
use base64::Engine as _;

use super::super::support::server::{Danube, Setup, danubefile, until};
use super::super::support::world::{GOOD, NAMESERVER, Record, World};

/// Asks for a name and connects, again and again, until it is told to stop; says how often it failed.
const LOOP: &str = "import os, socket, urllib.request\n\
                    rounds, failures = 0, []\n\
                    while not os.path.exists('stop'):\n\
                    \x20   rounds += 1\n\
                    \x20   try:\n\
                    \x20       assert 'hello' in urllib.request.urlopen('http://good.example.com/', timeout=60).read().decode()\n\
                    \x20   except Exception as error:\n\
                    \x20       failures.append(f'{rounds}: {error}')\n\
                    \x20   open('rounds.tmp', 'w').write(str(rounds)); os.rename('rounds.tmp', 'rounds')\n\
                    print('failures:', failures)\n";

fn prepared() -> Danube {
    let lines = [
        "step.run(\"curl -s http://denied.example.org/\", name=\"denied\", check=False)",
        "step.run(\"python3 loop.py\", name=\"loop\")",
    ];
    let danube = Danube::prepared(&Setup {
        files: &[("danubefile.py", &danubefile(&lines)), ("loop.py", LOOP)],
        pipeline: "  triggers: [{on: manual}]\n  egress_allowlist: [good.example.com]\n",
        global: "  egress_allowlist: ['*.example.com']\n",
    });
    let toml = std::fs::read_to_string(danube.toml()).unwrap();
    let dns = format!("[executor]\ndns = [\"{NAMESERVER}\"]\n");
    std::fs::write(danube.toml(), toml.replace("[executor]\n", &dns)).unwrap();
    danube
}

#[test]
fn names_are_answered_through_kills_of_master_and_executor_and_are_on_record() {
    let world = World::new(&[("good.example.com", &[Record::To(GOOD, 0)])]);
    world.on_the_machine(|| {
        let before = world.shown();
        let mut danube = prepared();
        danube.start();
        let job = danube.trigger();
        let workspace = danube.workspace(&job);
        let rounds = || std::fs::read_to_string(workspace.join("rounds")).ok()?.parse::<u32>().ok();
        let more = |what: &str| {
            let now = rounds().unwrap_or(0);
            until(what, || rounds().filter(|rounds| *rounds > now + 2));
        };
        more("the loop runs");
        danube.kill();
        danube.start();
        more("the loop goes on after the master's death");
        let words = danube.kill_executor();
        danube.start_executor(&words);
        more("the loop goes on after the executor's death");
        danube.kill();
        danube.kill_executor();
        danube.start();
        more("the loop goes on after the death of both");
        std::fs::write(workspace.join("stop"), "").unwrap();
        danube.succeeds(&job);
        assert_eq!(danube.log(&job, 2), "failures: []\n");

        let denied = "danube: denied: denied.example.org is not in egress_allowlist (pipeline app)\n";
        assert_eq!(danube.get(&format!("/api/v1/jobs/{job}/steps/1/log")).text(), denied);
        let egress = danube.get(&format!("/api/v1/jobs/{job}/egress")).json();
        let host =
            |name: &str| egress["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name).unwrap().clone();
        assert_eq!(egress["names"], serde_json::json!(["good.example.com"]));
        assert_eq!(host("good.example.com")["addresses"], serde_json::json!([GOOD]));
        assert_eq!(host("denied.example.org")["verdict"], "denied");
        let envelope: serde_json::Value = serde_json::from_str(&danube.attestation(&job)).unwrap();
        let statement = base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str().unwrap());
        let statement = String::from_utf8(statement.unwrap()).unwrap();
        assert!(statement.contains("good.example.com") && !statement.contains("denied.example.org"), "{statement}");
        let page = danube.get(&format!("/jobs/{job}")).text();
        assert!(page.contains("denied.example.org") && page.contains(GOOD), "{page}");
        let suggested = danube.danube(&["egress", "suggest", &job]);
        let text = String::from_utf8(suggested.stdout).unwrap();
        assert!(text.contains("\n  - good.example.com    # reached by step 2\n"), "{text}");
        let listed = "\n  - denied.example.org  # denied to step 1; not covered by the Config document\n";
        assert!(text.contains(listed), "{text}");
        drop(danube);
        assert_eq!(world.shown(), before, "left on the machine");
    });
}
