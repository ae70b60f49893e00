//! Test reports on a server: kept with the job, compared with the last green run.
use crate::support::server::Danube;

#[test]
fn a_server_compares_a_report_with_the_last_green_run() {
    let server = Danube::building(&[
        "ok = ctx.number == 1",
        "case = '<testcase name=\"b\"/>' if ok else '<testcase name=\"b\"><failure message=\"boom\"/></testcase>'",
        "step.run(f\"printf '%s' '<testsuite><testcase name=\\\"a\\\"/>{case}</testsuite>' > report.xml\", name='write', image='host')",
        "tests.junit('report.xml', name='unit')",
        "annotate('see **unit**', level='error')",
    ]);
    let green = server.trigger();
    server.succeeds(&green);
    let red = server.trigger();
    server.succeeds(&red);
    let tests = server.get(&format!("/api/v1/jobs/{red}/tests")).with(200);
    assert_eq!(tests["reports"][0]["baseline"], green.as_str(), "{tests:#}");
    assert_eq!((tests["tests"][0]["name"].as_str(), tests["tests"][0]["message"].as_str()), (Some("b"), Some("boom")));
    // Both outcomes came at the same commit: that is flaky, and not new.
    assert_eq!((&tests["tests"][0]["flaky"], &tests["tests"][0]["newly_failing"]), (&true.into(), &false.into()));
    let notes = server.get(&format!("/api/v1/jobs/{red}/annotations")).with(200);
    assert_eq!(notes["annotations"][0]["html"], "<p>see <strong>unit</strong></p>\n");
    assert!(server.log(&red, 0).contains("failed, flaky: b"), "{}", server.log(&red, 0));
}
