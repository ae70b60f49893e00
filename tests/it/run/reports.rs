//! Test reports and annotations of a danubefile, good and bad.
use crate::support::run::Run;

const MAKE: &str = r#"
step.run('''mkdir -p r/deep big
printf '<testsuite name="s"><testcase name="ok" time="0.5"/><testcase name="bad"><failure message="1 is not 2"/></testcase></testsuite>' > r/deep/a.xml
printf '<testsuite><testcase name="last"/><testcase na' > r/cut.xml
printf '<html/>' > page.xml
printf '<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>' > bomb.xml
head -c 104857600 /dev/zero > big/a.xml
ln -s /etc/passwd link.xml''', name="make")
"#;

#[test]
fn a_run_prints_what_the_tests_came_to() {
    let body = format!(
        "{MAKE}
tests.junit('r/**/*.xml', name='unit')
annotate('**81 %** covered', level='warning')
"
    );
    let run = Run::body(&body);
    run.end().succeeded();
    let log = run.log(0, 1);
    assert!(log.contains("unit: 3 tests in 2 files, 2 passed, 1 failed (0.5 s)\n  failed: s › bad\n"), "{log}");
    assert!(log.contains("note: r/cut.xml: it ends in the middle, after 1 tests"), "{log}");
}

#[test]
fn reports_that_cannot_be_read_are_told_at_the_users_line() {
    let cases = [
        ("none/**/*.xml", "none/**/*.xml: no such file in the workspace"),
        ("page.xml", "page.xml: no test could be read: page.xml: it is no JUnit report: it begins with <html>"),
        ("big/*.xml", "big/a.xml: it has 100 MiB, the limit is 32 MiB"),
        ("link.xml", "link.xml: a symbolic link is not followed"),
        ("../*.xml", "may leave the workspace"),
        ("/etc/*", "not in the workspace"),
    ];
    let mut body = format!(
        "{MAKE}
def refused(n, glob):
    try: tests.junit(glob); print(n, 'taken', flush=True)
    except DanubeError as e: print(n, e, flush=True)
"
    );
    for (n, (glob, _)) in cases.iter().enumerate() {
        body.push_str(&format!("refused({n}, {glob:?})\n"));
    }
    body.push_str("tests.junit('bomb.xml', name='bomb')\n");
    let run = Run::body(&body);
    run.end().succeeded();
    let log = run.log(0, 1);
    for (n, (glob, why)) in cases.iter().enumerate() {
        let line = log.lines().find(|line| line.starts_with(&format!("{n} "))).unwrap_or_default();
        assert!(line.contains(why) && line.contains("(danubefile.py:"), "{glob}: {line}\n{log}");
    }
    assert!(log.contains("bomb: 1 test in 1 file, 1 passed"), "{log}");
}
