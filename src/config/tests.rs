//! What people are told about danube.toml, the environment and flags.
use proptest::prelude::*;

use super::*;

const URL: &str = "[config_repo]\nurl = \"git@git.example.com:ops/config.git\"\n";

fn sources(file: &str) -> Sources {
    Sources { file: Some(("danube.toml".into(), file.to_owned())), ..Sources::default() }
}

fn told(sources: &Sources) -> Vec<String> {
    match load(sources) {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_config_repo_is_required() {
    let config = load(&sources(URL)).unwrap();
    assert_eq!(config.config_repo.branch, "main");
    assert_eq!(config.config_repo.sync_interval.as_secs(), 60);
    assert_eq!(config.server.bind_address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.data_dir, Path::new("/var/lib/danube"));
    assert_eq!(config.executor.kind, ExecutorKind::Local);
    assert_eq!(config.executor.limits.max_log_bytes, 1 << 30);
    assert_eq!(config.executor.keep_workspaces_for.as_secs(), 86_400);
    assert_eq!(config.executor.keep_workspaces_bytes, 5 << 30);
    assert_eq!((config.executor.caches_max_bytes, config.executor.pipeline_caches_max_bytes), (10 << 30, 5 << 30));
    assert_eq!(
        told(&Sources::default()),
        [
            "there is no /etc/danube/danube.toml: config_repo.url: it is required; expected a repository address such as git@git.example.com:ops/danube-config.git, https://…, file:///… or an absolute path, in danube.toml or as DANUBE_CONFIG_REPO__URL"
        ]
    );
    assert!(load_executor(&Sources::default()).is_ok());
}

#[test]
fn kept_workspaces_are_bounded_or_switched_off() {
    let executor = |lines: &str| load(&sources(&format!("{URL}[executor]\n{lines}\n"))).map(|config| config.executor);
    let net = executor("dns = [\"203.0.113.1\", \"[::1]:54\"]\negress_private = [\"10.0.0.0/8\"]").unwrap();
    assert_eq!(net.dns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["203.0.113.1:53", "[::1]:54"]);
    assert_eq!((net.egress_pool.as_str(), net.egress_private), ("198.19.64.0/19", vec!["10.0.0.0/8".to_owned()]));
    for wrong in ["dns = [\"x\"]", "egress_pool = \"10.0.0.0/20\"", "egress_private = [\"10.0.0.1/8\"]"] {
        assert!(executor(wrong).is_err(), "{wrong}");
    }
    let some = executor("keep_workspaces_for = \"90m\"\nkeep_workspaces_bytes = \"1GiB\"").unwrap();
    assert_eq!((some.keep_workspaces_for.as_secs(), some.keep_workspaces_bytes), (5400, 1 << 30));
    let none = executor("keep_workspaces_for = \"0\"\nkeep_workspaces_bytes = \"0\"").unwrap();
    assert!(none.keep_workspaces_for.is_zero() && none.keep_workspaces_bytes == 0);
    assert_eq!(executor("caches_max_bytes = \"1GiB\"").unwrap().caches_max_bytes, 1 << 30);
    for wrong in [
        "caches_max_bytes = \"x\"",
        "keep_workspaces_for = \"31d\"",
        "keep_workspaces_for = \"1\"",
        "keep_workspaces_bytes = \"5\"",
    ] {
        assert!(executor(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_config_repo() {
    let mut sources =
        sources(&format!("{URL}[server]\noperator_address = \"127.0.0.1:1\"\nbind_address = \"127.0.0.1:1\"\n"));
    sources.config_repo.insert("data_dir".into(), "/repo".into());
    sources.config_repo.insert("bind_address".into(), "127.0.0.1:9".into());
    sources.env.insert("DANUBE_SERVER__OPERATOR_ADDRESS".into(), "127.0.0.1:2".into());
    sources.env.insert("DANUBE_CONFIG_REPO__BRANCH".into(), "env".into());
    sources.env.insert("DANUBE_LOG".into(), "debug".into());
    sources.flags.push(("config_repo.branch", "flag".into()));
    let config = load(&sources).unwrap();
    let origin = |key: &str| config.settings.iter().find(|setting| setting.key == key).unwrap().origin.as_str();
    assert_eq!((config.server.data_dir.as_path(), origin("server.data_dir")), (Path::new("/repo"), "config repo"));
    assert_eq!((config.server.bind_address.port(), origin("server.bind_address")), (1, "danube.toml:5"));
    let operator = "environment DANUBE_SERVER__OPERATOR_ADDRESS";
    assert_eq!((config.server.operator_address.port(), origin("server.operator_address")), (2, operator));
    assert_eq!((config.config_repo.branch.as_str(), origin("config_repo.branch")), ("flag", "flag"));
    assert_eq!((config.log.level.as_str(), origin("log.level")), ("debug", "environment DANUBE_LOG"));
    assert_eq!((origin("server.public_url"), origin("log.format")), ("not set", "default"));
}

#[test]
fn every_mistake_is_told_with_file_line_key_and_what_was_expected() {
    let file = "[config_repo]\nurl = \"--upload-pack=x\"\nsync_intervall = \"60s\"\nsync_interval = 60\n\n[sever]\nx = 1\n\n[server]\nbind_address = \"8080\"\ninsecure_http = \"yes\"\ndata_dir = \"data\"\n[executor.limits]\nmemory = \"2\"\ncpu = 0.0\n[log]\nlevel = \"inof\"\ncolour = true\n";
    assert_eq!(
        told(&sources(file)),
        [
            "danube.toml:2: config_repo.url: impossible value '--upload-pack=x'; expected a repository address such as git@git.example.com:ops/danube-config.git, https://…, file:///… or an absolute path",
            "danube.toml:3: config_repo.sync_intervall: unknown key; did you mean config_repo.sync_interval?",
            "danube.toml:4: config_repo.sync_interval: wrong type: integer; expected text in quotes",
            "danube.toml:6: sever: unknown key; did you mean server?",
            "danube.toml:10: server.bind_address: impossible value '8080'; expected an address and port such as 127.0.0.1:8080",
            "danube.toml:11: server.insecure_http: wrong type: string; expected true or false",
            "danube.toml:12: server.data_dir: impossible value 'data'; expected an absolute path",
            "danube.toml:14: executor.limits.memory: impossible value '2'; expected a size such as \"2GiB\", at least 16MiB",
            "danube.toml:15: executor.limits.cpu: impossible value '0.0'; expected a number of processors from 0.1 to 1024",
            "danube.toml:17: log.level: impossible value 'inof'; expected error, warn, info, debug or trace, also by module as in info,danube::queue=debug",
            "danube.toml:18: log.colour: unknown key; expected one of log.format, log.level",
        ]
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let said = told(&sources("[config_repo]\nurl = \n"));
    assert!(said[0].starts_with("danube.toml:2: the file: "), "{said:?}");
}

#[test]
fn a_mistyped_variable_is_told_and_other_variables_are_left_alone() {
    let mut sources = sources(URL);
    sources.env.insert("DANUBE_SERVR__BIND_ADDRESS".into(), "127.0.0.1:1".into());
    sources.env.insert("DANUBE_TOKEN".into(), "x".into());
    sources.env.insert("DANUBE_SECRET_A__B".into(), "x".into());
    sources.env.insert("HOME__X".into(), "x".into());
    assert_eq!(
        told(&sources),
        ["environment: DANUBE_SERVR__BIND_ADDRESS: unknown variable; did you mean DANUBE_SERVER__BIND_ADDRESS?"]
    );
}

#[test]
fn plain_http_to_other_machines_must_be_asked_for() {
    let open = format!("{URL}[server]\nbind_address = \"0.0.0.0:8080\"\n");
    let said = told(&sources(&open));
    assert!(
        said[0].starts_with("danube.toml:4: server.bind_address: plain HTTP would be open to other machines"),
        "{said:?}"
    );
    for allowed in [
        "insecure_http = true",
        "trusted_proxies = [\"10.0.0.0/8\"]",
        "tls_cert = \"/etc/cert.pem\"\ntls_key = \"/etc/key.pem\"",
    ] {
        assert!(load(&sources(&format!("{open}{allowed}\n"))).is_ok(), "{allowed}");
    }
    let said = told(&sources(&format!("{open}tls_cert = \"/etc/cert.pem\"\n")));
    assert_eq!(said, ["danube.toml:5: server.tls_cert: server.tls_key is missing; expected both or neither"]);
}

#[test]
fn a_named_file_must_exist() {
    let missing = Sources::default().read_file(Some(Path::new("/nonexistent/danube.toml"))).unwrap_err();
    assert_eq!(missing.to_string(), "the configuration file /nonexistent/danube.toml cannot be read");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z_.=\\[\\]\"\\n 0-9]{0,80}") {
        let _either = load(&sources(&text));
    }
}
