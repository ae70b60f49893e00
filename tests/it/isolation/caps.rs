//! A capability is given where the step asks for it, and its pipeline and root both allow it; the record names it.
use base64::Engine as _;
use danube::executor::ExecutorError;
use serde_json::Value;

use crate::support::executor::{Box, spec};
use crate::support::server::{Danube, Setup, danubefile};

const SET: &str = "python3 -c 'import os, struct; os.close(os.open(\"/tool\", os.O_CREAT)); os.setxattr(\"/tool\", \
                   \"security.capability\", struct.pack(\"<5I\", 0x02000001, 0x2000, 0, 0, 0))'";

#[test]
fn a_step_gets_a_capability_that_pipeline_and_server_allow_and_its_record_says_so() {
    let lines = [
        format!("step.run({SET:?}, name='given', image='host', caps=['CAP_SETFCAP'])"),
        format!("step.run({SET:?}, name='usual', image='host', check=False)"),
        "step.run('true', name='other', image='host', caps=['SYS_ADMIN'], check=False)".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut server = Danube::prepared(&Setup {
        files: &[("danubefile.py", &danubefile(&lines))],
        pipeline: "  triggers: [{on: manual}]\n  caps: [SETFCAP]\n",
        global: "",
    });
    let toml = std::fs::read_to_string(server.toml()).unwrap();
    std::fs::write(server.toml(), toml.replace("host_image = true\n", "host_image = true\nallow = [\"SETFCAP\"]\n"))
        .unwrap();
    server.start();
    let id = server.trigger();
    let job = server.succeeds(&id);
    let reason = |n: usize| job["steps"][n]["reason"].as_str().unwrap_or_default().to_owned();
    assert_eq!((job["steps"][0]["status"].as_str(), reason(0).as_str()), (Some("success"), ""));
    assert_eq!(reason(1), "exit code 1", "{}", server.log(&id, 2));
    assert!(
        reason(2).contains("'SYS_ADMIN', which the config repo does not allow for the pipeline 'app'"),
        "{}",
        reason(2)
    );
    let envelope: Value = serde_json::from_str(&server.attestation(&id)).unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let record = String::from_utf8(payload).unwrap();
    assert!(record.contains("step 1: capability SETFCAP") && !record.contains("SYS_ADMIN"), "{record}");
}

#[tokio::test]
async fn the_executor_gives_no_capability_that_root_did_not_allow() {
    let this = Box::start();
    let job = this.job().await;
    let mut asking = spec("true");
    asking.caps = vec!["SETFCAP".to_owned()];
    let refused = this.begin(this.at(job, 1), asking).await;
    assert!(
        matches!(&refused, Err(ExecutorError::PolicyDenied(text)) if text.contains("SETFCAP") && text.contains("`allow`")),
        "{refused:?}"
    );
}
