//! Jobs that people start with params and run again, by the command line on a real server.
use crate::support::server::{Danube, Setup, danubefile};

const PARAMS: &str = "  triggers: [{on: push}, {on: manual}]
  params:
    - {name: target, type: choice, choices: [staging, production]}
    - {name: tries, type: integer, default: 3}
";

#[test]
fn a_job_has_its_params_and_a_rerun_has_the_same() {
    let file = danubefile(&[
        "words = ' '.join([ctx.trigger, ctx.params['target'], ctx.params['tries'], str(ctx.changed('**'))])",
        "step.run(f'echo {words}', name='say', image='host')",
    ]);
    let server = Danube::with(&Setup { files: &[("danubefile.py", &file)], pipeline: PARAMS, global: "" });
    let said = |arguments: &[&str]| {
        let output = server.danube(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = said(&["trigger", "app", "-p", "target=prod"]);
    assert!(code == Some(1) && text.contains("give one of staging, production"), "{text}");
    let (code, text) = said(&["trigger", "app", "-p", "tries=1", "-p", "tries=2"]);
    assert!(code == Some(64) && text.contains("given twice"), "{text}");
    let (code, text) = said(&["trigger", "app", "-p", "target=production", "--wait"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(&["job", "rerun", "app#1", "--wait"]);
    assert!(code == Some(0) && text.contains("started app#2, app#1 again, at "), "{text}");
    let ids: Vec<String> = server.jobs().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    let [second, first] = &ids[..] else { panic!("{ids:?}") };
    assert_eq!(server.log(first, 1), "manual production 3 True\n");
    assert_eq!(server.log(second, 1), "rerun production 3 True\n");
    let shown = server.get(&format!("/api/v1/jobs/{second}")).with(200);
    assert_eq!(shown["parent"].as_str(), Some(first.as_str()));
    // The same commit was green: only a new start has nothing to do.
    let (code, text) = said(&["trigger", "app", "--wait"]);
    assert_eq!(code, Some(0), "{text}");
    let third = server.jobs()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.log(&third, 1), "manual staging 3 False\n");
    let log = server.get(&format!("/api/v1/jobs/{third}/log")).text();
    assert!(log.contains("ctx.changed('**') is False: no matching file differs from"), "{log}");
    assert!(log.contains("the last green run of main (app#2)"), "{log}");
}
