//! The dialects of the format, and what is no report.
use proptest::prelude::*;

use super::super::Collected;
use super::*;

fn plain(text: &str) -> String {
    text.to_owned()
}

fn read(xml: impl AsRef<[u8]>) -> (Collected, Option<String>) {
    let mut into = Collector::new(&plain);
    let damage = parse(xml.as_ref(), &mut into).err().map(|damage| damage.to_string());
    (into.finish(), damage)
}

fn good(xml: &str) -> Collected {
    let (collected, damage) = read(xml);
    assert_eq!(damage, None);
    collected
}

#[test]
fn suites_in_suites_and_every_outcome_are_read() {
    let report = good(
        r#"<?xml version="1.0"?><testsuites><testsuite name="outer"><testsuite name="inner">
        <testcase name="a" time="1,234.5"/>
        <testcase name="b" classname="c.D"><failure message="no &lt;way&gt;" type="T">no &lt;way&gt;
at line 3</failure><system-out>noise</system-out></testcase>
        <testcase name="c"><error type="Boom"><![CDATA[<trace>]]></error></testcase>
        <testcase name="d"><skipped message="later"/></testcase>
        <testcase name="e" status="notrun"/>
        </testsuite><testcase name="f"/></testsuite></testsuites>"#,
    );
    assert_eq!((report.total, report.passed, report.failed, report.skipped), (6, 2, 2, 2));
    assert_eq!(report.millis, 1_234_500);
    let bad = &report.cases[0];
    assert_eq!((bad.suite.as_str(), bad.name.as_str(), bad.status), ("c.D", "b", TestStatus::Failed));
    assert_eq!(bad.message.as_deref(), Some("no <way>\nat line 3"));
    let error = &report.cases[1];
    assert_eq!((error.suite.as_str(), error.status), ("inner", TestStatus::Error));
    assert_eq!(error.message.as_deref(), Some("Boom\n<trace>"));
    let suite_of = |name: &str| report.cases.iter().find(|case| case.name == name).unwrap().suite.clone();
    assert_eq!((suite_of("a"), suite_of("f")), ("inner".to_owned(), "outer".to_owned()));
}

#[test]
fn runs_of_one_test_are_told_from_its_end() {
    let report = good(
        r#"<testsuite>
        <testcase name="passes at last"><flakyFailure message="slow">trace</flakyFailure></testcase>
        <testcase name="fails again"><failure message="x"/><rerunFailure message="y"/></testcase>
        <testcase name="written twice"><failure message="first"/></testcase>
        <testcase name="written twice"/>
        </testsuite>"#,
    );
    let of = |name: &str| report.cases.iter().find(|case| case.name == name).unwrap();
    assert!(of("passes at last").passed_on_retry());
    assert_eq!((of("fails again").runs, of("fails again").message.as_deref()), (2, Some("x")));
    assert!(of("written twice").passed_on_retry());
    assert_eq!((report.total, report.failed), (3, 1));
}

#[test]
fn tests_without_a_name_stay_apart() {
    assert_eq!(good("<testsuite><testcase/><testcase name=' '/></testsuite>").total, 2);
}

#[test]
fn entities_are_never_expanded() {
    let mut bomb = "<!DOCTYPE x [<!ENTITY a0 \"lol\">".to_owned();
    for n in 1..40 {
        bomb.push_str(&format!("<!ENTITY a{n} \"&a{};&a{};\">", n - 1, n - 1));
    }
    bomb.push_str("<!ENTITY f SYSTEM \"file:///etc/passwd\">]>");
    bomb.push_str("<testsuite><testcase name='&a39;'><failure>&a39; &f;</failure></testcase></testsuite>");
    let report = good(&bomb);
    assert_eq!(report.cases[0].name, "&a39;");
    assert_eq!(report.cases[0].message.as_deref(), Some("&a39; &f;"));
}

#[test]
fn what_came_before_the_damage_is_kept_and_the_damage_is_told() {
    let (report, damage) = read("<testsuite><testcase name='a'/><testcase name='b'><fail");
    assert_eq!((report.total, report.cases[0].name.as_str()), (1, "a"));
    assert!(damage.unwrap().contains("ends in the middle, after 1 tests"));
    let (report, damage) = read("<testsuite><testcase name='a'/>");
    assert!(report.total == 1 && damage.unwrap().contains("ends in the middle"));
    let (report, damage) = read("<testsuite><testcase name='a'/></wrong></testsuite>");
    assert!(report.total == 1 && damage.unwrap().contains("not well-formed XML"));
}

#[test]
fn what_is_no_report_says_what_it_is() {
    assert!(read("<html><body/></html>").1.unwrap().contains("<html>"));
    assert!(read("").1.unwrap().contains("empty"));
    assert!(read("no xml at all").1.unwrap().contains("empty"));
    assert!(read("<testsuite>".repeat(100_000)).1.unwrap().contains("64 levels"));
}

#[test]
fn huge_values_are_cut() {
    let xml = format!(
        "<testsuite><testcase name='{}'><failure message='{}'>{}</failure></testcase></testsuite>",
        "n".repeat(100_000),
        "m".repeat(100_000),
        "t".repeat(100_000)
    );
    let report = good(&xml);
    assert!(report.cases[0].name.chars().count() <= 300);
    let message = report.cases[0].message.as_deref().unwrap();
    assert!(message.chars().count() < 4100 && message.ends_with("(cut here)"));
}

#[test]
fn more_tests_than_are_listed_are_counted_and_failures_stay() {
    let mut xml = "<testsuite>".to_owned();
    for n in 0..20_500 {
        xml.push_str(&format!("<testcase name='t{n}'/>"));
    }
    xml.push_str("<testcase name='late'><failure/></testcase></testsuite>");
    let report = good(&xml);
    assert_eq!((report.total, report.failed, report.cases.len()), (20_501, 1, 20_001));
    assert_eq!(report.cases[0].name, "late");
    assert!(report.notes[0].contains("500 are only counted"), "{:?}", report.notes);
}

#[test]
fn secrets_are_taken_out_before_anything_is_cut() {
    let redact = |text: &str| text.replace("hunter2", "***");
    let mut into = Collector::new(&redact);
    let xml =
        "<testsuite name='hunter2'><testcase name='a hunter2'><failure message='hunter2'/></testcase></testsuite>";
    parse(xml.as_bytes(), &mut into).unwrap();
    assert!(!format!("{:?}", into.finish()).contains("hunter2"));
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(pieces in prop::collection::vec(prop::sample::select(vec![
        "<testsuite>", "</testsuite>", "<testcase name='a'>", "</testcase>", "<failure message='x'>", "</failure>", "<testsuites",
        "/>", ">", "<![CDATA[", "]]>", "<!--", "-->", "<!DOCTYPE x [", "]>", "&lt;", "&#0;", "&", "text", "<?xml", "?>", "\u{0}", "ü", "'", "\"",
    ]), 0..40)) {
        let xml = pieces.concat();
        read(&xml);
        read(format!("<testsuite>{xml}"));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        read(bytes);
    }
}
