//! Every list of the console and the API, with each of its filters.
use super::fill::Landmarks;
use crate::model::job::Status;

/// One list.
pub(super) struct List {
    /// Its address as a report shows it: without what differs between two runs.
    pub(super) what: String,
    /// Its address.
    pub(super) path: String,
    /// A page further back is meant.
    pub(super) deep: bool,
}

/// Every list and filter.
pub(super) fn every(marks: &Landmarks) -> Vec<List> {
    let mut lists = Vec::new();
    let mut add = |path: String, deep: bool| {
        let mut what = if deep { format!("{path} further back") } else { path.clone() };
        for (seen, shown) in [(&marks.job, "JOB"), (&marks.commit, "COMMIT"), (&marks.made.to_string(), "TIME")] {
            what = what.replace(seen.as_str(), shown);
        }
        // Which one lies in the middle depends on how many there are.
        what = what.replace(&format!("pipelines/{}", marks.pipeline), "pipelines/NAME");
        what = what.replace(&format!("pipeline={}", marks.pipeline), "pipeline=NAME");
        what = what.replace(&format!("tests/{}", marks.test), "tests/TEST");
        lists.push(List { what, path, deep });
    };
    pages(marks, &mut add);
    api(marks, &mut add);
    lists
}

fn pages(marks: &Landmarks, add: &mut impl FnMut(String, bool)) {
    let Landmarks { job, pipeline, commit, made, test } = marks;
    for page in ["/", "/config", "/tokens", "/secrets/global/all", "/system", "/pipelines", "/pipelines?q=p3"] {
        add(page.to_owned(), false);
    }
    for cut in ["team=red", "state=red", "state=green", "state=running", "state=never"] {
        add(format!("/pipelines?{cut}"), false);
    }
    let one = format!("/pipelines/{pipeline}");
    add(one.clone(), false);
    for cut in
        [format!("cursor={job}"), "branch=main".to_owned(), "branch=feature/12".to_owned(), "branch=no".to_owned()]
    {
        add(format!("{one}?{cut}"), false);
    }
    for status in Status::ALL {
        add(format!("{one}?status={status}"), false);
        add(format!("{one}?branch=feature/12&status={status}"), false);
    }
    for show in ["failed", "flaky", "all"] {
        add(format!("{one}/tests?show={show}"), false);
    }
    add(format!("{one}/tests/{test}"), false);
    add(format!("/jobs/{job}"), false);
    add(format!("/jobs/{job}/tests?show=all"), false);
    add(format!("/find?q={commit}"), false);
    for asked in ["p", "0000000", "fffffffffff"] {
        add(format!("/find?q={asked}"), false);
    }
    for cut in audit(pipeline, made) {
        add(format!("/audit?{cut}"), false);
    }
}

fn api(marks: &Landmarks, add: &mut impl FnMut(String, bool)) {
    let Landmarks { job, pipeline, commit, made, .. } = marks;
    let jobs = "/api/v1/jobs?";
    add(format!("{jobs}limit=200"), false);
    add("/api/v1/pipelines".to_owned(), false);
    add(format!("/api/v1/pipelines/{pipeline}"), false);
    add(format!("/api/v1/pipelines/{pipeline}/tests"), false);
    add(format!("/api/v1/jobs/{job}/tests"), false);
    let mut cuts = vec![
        String::new(),
        format!("pipeline={pipeline}"),
        "branch=main".to_owned(),
        "branch=no".to_owned(),
        format!("pipeline={pipeline}&branch=feature/12"),
        format!("commit={commit}"),
        "actor=local-admin".to_owned(),
        "actor=nobody".to_owned(),
        format!("since={made}"),
        format!("pipeline={pipeline}&since={made}"),
    ];
    for status in Status::ALL {
        cuts.push(format!("status={status}"));
        cuts.push(format!("pipeline={pipeline}&status={status}"));
        cuts.push(format!("branch=feature/12&status={status}"));
    }
    for cut in cuts {
        add(format!("{jobs}{cut}"), false);
        add(format!("{jobs}{cut}"), true);
    }
    for cut in audit(pipeline, made) {
        add(format!("/api/v1/audit?{cut}"), false);
    }
}

fn audit(pipeline: &str, made: &jiff::Timestamp) -> [String; 8] {
    [
        String::new(),
        "who=local-admin".to_owned(),
        "who=nobody".to_owned(),
        "action=job.cancel".to_owned(),
        "decision=denied".to_owned(),
        format!("pipeline={pipeline}"),
        format!("since={made}"),
        "who=local-admin&action=job.cancel".to_owned(),
    ]
}
