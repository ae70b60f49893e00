//! Whole config repos, and what people are told about them.
use std::fmt::Write as _;

use proptest::prelude::*;

use super::issue::MAX_ISSUES;
use super::*;
use crate::model::settings::{GitAuthMethod, Settings, TriggerRule};

mod limits;

const CONFIG: &str = "apiVersion: danube.dev/v1\nkind: Config\nmetadata: {name: global}\nspec: {}\n";
const USERS: &str = "apiVersion: danube.dev/v1\nkind: User\nmetadata: {name: ana}\nspec: {email: ana@example.com}\n";
const TEAMS: &str = "apiVersion: danube.dev/v1\nkind: Team\nmetadata: {name: platform}\nspec: {members: [ana@example.com], global_admin: true}\n";

fn files(list: &[(&str, &str)]) -> Files {
    let list = list.iter().map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() });
    Files { list: list.collect(), ..Files::default() }
}

/// The given files, and the usual ones where they are not given.
fn with_usual(given: &[(&str, &str)]) -> Result<Settings, Vec<ConfigIssue>> {
    let usual = [("config.yaml", CONFIG), ("users.yaml", USERS), ("teams.yaml", TEAMS)];
    let missing = usual.into_iter().filter(|(path, _)| given.iter().all(|(name, _)| name != path));
    check(files(&given.iter().copied().chain(missing).collect::<Vec<_>>()))
}

fn told(issues: &[ConfigIssue]) -> String {
    issues.iter().fold(String::new(), |mut text, issue| {
        writeln!(text, "{issue}\n    fix: {}", issue.fix).unwrap();
        text
    })
}

/// Cases stand in `issues.golden`: `=== title`, files after `--- path`, what is told after `>>>`.
/// With DANUBE_GOLDEN=write the file is written anew.
#[test]
fn every_mistake_is_told_with_its_place_and_its_fix() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config_repo/tests/issues.golden");
    let golden = std::fs::read_to_string(&path).unwrap();
    let writing = std::env::var_os("DANUBE_GOLDEN").is_some_and(|word| word == "write");
    let mut now = String::new();
    for case in golden.split("=== ").filter(|case| !case.is_empty()) {
        let (input, told_before) = case.split_once(">>>\n").unwrap_or((case, ""));
        let (title, rest) = input.split_once('\n').unwrap();
        let rest = format!("\n{rest}");
        let given: Vec<_> = rest.split("\n--- ").skip(1).map(|part| part.split_once('\n').unwrap()).collect();
        let told_now = told(&with_usual(&given).expect_err(title));
        write!(now, "=== {input}>>>\n{told_now}").unwrap();
        if !writing {
            assert_eq!(told_now, told_before, "{title}");
        }
    }
    if writing {
        std::fs::write(&path, &now).unwrap();
    }
}

#[test]
fn a_right_config_repo_becomes_settings() {
    let config = r#"
apiVersion: danube.dev/v1
kind: Config
metadata: {name: global}
spec:
  server: {bind_address: 127.0.0.1:9000}
  retention: {logs_days: 7, jobs_days: 365}
  egress_allowlist: ["*.Example.com", example.com]
  concurrency: {max_running_jobs: 8}
  webhooks:
    - {forge: github, secret: HOOK, previous_secret: HOOK_OLD}
    - {name: team-b, forge: github, secret: HOOK_B}
  git_authentication:
    - name: key
      type: ssh_key
      match_patterns: ["git@git.example.com:**"]
      private_key_secret: KEY
"#;
    let pipeline = r#"
apiVersion: danube.dev/v1
kind: Pipeline
metadata: {name: web, team: platform}
spec:
  repository: git@git.example.com:team/web.git
  branch_filter: [main, "release/*"]
  triggers: [{on: push}, {on: cron, schedule: "0 3 * * *", timezone: Europe/Vienna}]
  script: ci/danubefile.py
  max_duration_seconds: 600
  egress_allowlist: [www.example.com]
  permissions: [{team: readers, level: read}]
  secrets: [{key: TOKEN, branches: [main], reveal: true}]
  concurrency: {group: "web-{branch}", cancel_superseded: true}
  params:
    - {name: target, type: choice, choices: [staging, 1.10], description: Where to}
    - {name: tries, type: integer, default: 007}
    - {name: dry-run, type: boolean}
    - {name: note}
---
apiVersion: danube.dev/v1
kind: Pipeline
metadata: {name: api, team: platform}
spec:
  repository: https://git.example.com/api.git
  script:
"#;
    let readers = format!(
        "{TEAMS}---\napiVersion: danube.dev/v1\nkind: Team\nmetadata: {{name: readers}}\nspec: {{admins: [Ana@example.com]}}\n"
    );
    let given = [("config.yaml", config), ("pipelines/all.yaml", pipeline), ("teams.yaml", readers.as_str())];
    let settings = with_usual(&given).map_err(|issues| told(&issues)).unwrap();
    let global = &settings.global;
    assert_eq!(global.server["bind_address"], "127.0.0.1:9000");
    assert_eq!((global.retention.logs_days, global.retention.artifacts_days), (7, 14));
    assert_eq!(global.egress_allowlist, ["*.example.com", "example.com"]);
    assert_eq!(global.max_running_jobs, 8);
    assert_eq!((global.webhooks[0].name.as_str(), global.webhooks[1].name.as_str()), ("default", "team-b"));
    assert!(
        matches!(&global.git_authentication[0].method, GitAuthMethod::SshKey { private_key_secret: Some(key), .. } if key == "KEY")
    );
    let names: Vec<_> = settings.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert_eq!(names, ["api", "web"]);
    let api = &settings.pipelines[0];
    assert_eq!((api.script.as_str(), api.max_duration_seconds, api.workspace_size_gb), ("danubefile.py", 3600, 5));
    assert_eq!(api.triggers, [TriggerRule::Manual]);
    assert_eq!(api.egress_allowlist, None);
    let web = &settings.pipelines[1];
    assert_eq!(web.triggers.len(), 2);
    assert!(web.secrets[0].reveal && web.concurrency.cancel_superseded);
    let params: Vec<_> = web.params.iter().map(|param| (param.name.as_str(), param.default.as_deref())).collect();
    assert_eq!(
        params,
        [("target", Some("staging")), ("tries", Some("7")), ("dry-run", Some("false")), ("note", Some(""))]
    );
    assert_eq!(web.params[0].choices, ["staging", "1.10"]);
    assert_eq!(settings.teams[1].members, ["ana@example.com"]);
}

#[test]
fn plain_scalars_keep_their_text_where_text_is_wanted() {
    let pipeline = "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {name: no, team: platform}\nspec: {repository: /srv/git/x, branch_filter: [1.10, yes, 0x1F]}\n";
    let settings = with_usual(&[("pipelines/a.yaml", pipeline)]).unwrap();
    assert_eq!(settings.pipelines[0].name, "no");
    assert_eq!(settings.pipelines[0].branch_filter, ["1.10", "yes", "0x1F"]);
}

#[test]
fn a_broken_file_does_not_make_its_teams_unknown() {
    let pipeline = "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {name: web, team: platform}\nspec: {repository: /srv/git/x}\n";
    let issues = with_usual(&[("teams.yaml", "kind: [Team\n"), ("pipelines/a.yaml", pipeline)]).unwrap_err();
    assert!(issues.iter().all(|issue| issue.file == "teams.yaml"), "{}", told(&issues));
}

#[test]
fn an_alias_stands_for_its_value() {
    let pipeline = "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {name: web, team: platform}\nspec: {repository: /srv/git/x, branch_filter: &b [main, dev], paths: *b}\n";
    let settings = with_usual(&[("pipelines/a.yaml", pipeline)]).unwrap();
    assert_eq!(settings.pipelines[0].paths, ["main", "dev"]);
}

#[test]
fn more_mistakes_than_can_be_listed_are_counted() {
    let mut text = "apiVersion: danube.dev/v1\nkind: Team\nmetadata: {name: big}\nspec:\n".to_owned();
    for n in 0..MAX_ISSUES + 5 {
        writeln!(text, "  f{n}: 1").unwrap();
    }
    let issues = with_usual(&[("teams.yaml", &text)]).unwrap_err();
    assert_eq!(issues.len(), MAX_ISSUES);
    assert!(issues.last().unwrap().message.ends_with("(and 5 more mistakes that are not listed)"));
}

#[test]
fn a_published_schema_names_every_field_and_says_what_is_required() {
    let schema = schema(Kind::Pipeline);
    assert_eq!(schema["properties"]["spec"]["required"], serde_json::json!(["repository"]));
    assert_eq!(schema["properties"]["spec"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["metadata"]["required"], serde_json::json!(["name", "team"]));
    let levels = &schema["properties"]["spec"]["properties"]["permissions"]["items"]["properties"]["level"];
    assert!(levels.to_string().contains("admin"), "{levels}");
    assert!(!schema.to_string().contains("$ref"));
}

/// Text that looks like a config repo, with the characters that YAML takes apart.
fn yaml() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("kind: Pipeline\n".to_owned()),
        Just("apiVersion: danube.dev/v1\n".to_owned()),
        Just("metadata: {name: a, team: b}\n".to_owned()),
        Just("spec:\n".to_owned()),
        Just("  triggers: [{on: cron, schedule: \"* * * * *\"}]\n".to_owned()),
        Just("---\n".to_owned()),
        Just("  repository: ".to_owned()),
        "[-\\[\\]{}:,&*!|>'\"%@#?a-c \\n\\t\\\\0-9.é\\x00]{0,12}",
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_check_panic_and_issues_have_places(text in yaml()) {
        if let Err(issues) = with_usual(&[("pipelines/a.yaml", &text)]) {
            for issue in issues {
                prop_assert!(issue.line >= 1 && issue.column >= 1 && !issue.message.is_empty() && !issue.fix.is_empty());
                prop_assert!(!issue.message.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn no_bytes_at_all_make_the_check_panic(text in any::<String>()) {
        let _either = with_usual(&[("pipelines/a.yaml", &text)]);
    }
}
