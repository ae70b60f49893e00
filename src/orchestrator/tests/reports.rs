//! Reports of a danubefile: what is kept, what is said, what is refused.
use super::world::{World, call};
use crate::orchestrator::*;
use crate::store::testing::pipeline;
use crate::store::{annotations, test_reports};

async fn world(files: &[(&str, &[u8])]) -> (World, Master) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    for (path, bytes) in files {
        world.executor.put(path, bytes);
    }
    let claimed = world.claim(&site).await;
    let master = world.master(claimed).await;
    (world, master)
}

use super::world::Master;

const UNIT: &[u8] =
    b"<testsuite><testcase name='a'/><testcase name='b'><failure message='hunter2 is wrong'/></testcase></testsuite>";

#[tokio::test]
async fn a_report_is_kept_once_and_answered_again_from_the_journal() {
    let (world, master) =
        world(&[("r/unit.xml", UNIT), ("r/cut.xml", b"<testsuite><testcase name='c'/><testca")]).await;
    let ask = || master.job.junit(call("junit", "/junit#0"), "r/*.xml".to_owned(), "unit".to_owned());
    let kept = ask().await.unwrap();
    assert_eq!((kept.total, kept.passed, kept.failed, kept.files), (3, 2, 1, 2));
    assert_eq!(kept.lines[0], "unit: 3 tests in 2 files, 2 passed, 1 failed (0.0 s)");
    assert_eq!(kept.lines[1], "  failed: b");
    assert!(kept.lines[2].starts_with("  note: r/cut.xml: it ends in the middle"), "{:?}", kept.lines);
    assert_eq!(ask().await.unwrap(), kept);
    let id = master.job.row.id;
    let rows = world.test.store.read(move |view| test_reports::of_job(view, id)).await.unwrap();
    assert_eq!((rows.len(), rows[0].stored), (1, 3));
    let in_branch = call("junit", "/matrix#0[db=16]/junit#0");
    let other = master.job.junit(in_branch, "r/unit.xml".to_owned(), "tests".to_owned()).await.unwrap();
    assert_eq!(other.name, "tests [db=16]");
}

#[tokio::test]
async fn a_report_that_cannot_be_read_says_why() {
    let (_world, master) = world(&[("a.html", b"<html/>"), ("big.xml", &vec![b' '; (32 << 20) + 1])]).await;
    let ask =
        |n: u32, glob: &str| master.job.junit(call("junit", &format!("/junit#{n}")), glob.to_owned(), "t".to_owned());
    let none = ask(0, "*.xm").await.unwrap_err();
    assert_eq!(none, CallError::NotFound("*.xm: no such file in the workspace".to_owned()));
    let html = ask(1, "a.html").await.unwrap_err().to_string();
    assert!(html.starts_with("a.html: no test could be read: a.html: it is no JUnit report"), "{html}");
    let big = ask(2, "big.xml").await.unwrap_err().to_string();
    assert!(big.contains("it has 32 MiB, the limit is 32 MiB"), "{big}");
}

#[tokio::test]
async fn annotations_are_kept_in_order_and_have_bounds() {
    let (world, master) = world(&[]).await;
    let note = |n: u32, text: &str, level: &'static str| {
        let annotation = Annotation::parse(text.to_owned(), level).unwrap();
        master.job.annotate(call("annotate", &format!("/annotate#{n}")), annotation)
    };
    note(0, "**81 %**", "").await.unwrap();
    note(0, "**81 %**", "").await.unwrap();
    assert!(matches!(note(0, "other", "").await, Err(CallError::Nondeterministic(_))));
    let _ = &world;
}

#[tokio::test]
async fn too_many_or_too_long_annotations_are_refused() {
    let (world, master) = world(&[]).await;
    let note = |n: u32, text: String, level: &'static str| {
        let annotation = Annotation::parse(text, level).unwrap();
        master.job.annotate(call("annotate", &format!("/annotate#{n}")), annotation)
    };
    let wrong = |text: &str, level: &str| Annotation::parse(text.to_owned(), level).unwrap_err().to_string();
    assert!(wrong(&"x".repeat((64 << 10) + 1), "").contains("65537 bytes"));
    assert!(wrong(" ", "").contains("empty") && wrong("x", "loud").contains("level="));
    for n in 0..50 {
        note(n, format!("note {n}"), "warning").await.unwrap();
    }
    assert!(note(50, "one more".to_owned(), "").await.unwrap_err().to_string().contains("50 annotations"));
    let id = master.job.row.id;
    let rows = world.test.store.read(move |view| annotations::of_job(view, id)).await.unwrap();
    assert_eq!((rows.len(), rows[49].markdown.as_str(), rows[0].line), (50, "note 49", 7));
}
