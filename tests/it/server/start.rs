//! A server that cannot start says why and what to do; one that can, though something is away, waits for it.
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::support::danube;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, until};

fn prepared() -> Danube {
    let file = danubefile(&["step.run('true', name='make', image='host')"]);
    Danube::prepared(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" })
}

/// The last words, which are the ones that count.
fn last(said: &str) -> &str {
    said.lines().rfind(|line| line.starts_with("danube: ")).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_taken_port_is_named_and_nothing_is_started() {
    let mut server = prepared();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = server.command();
    command.args(["--listen", &address]);
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(1), "{said}");
    let said = last(&said);
    assert!(said.contains(&address) && said.contains("--listen") && said.contains("in use"), "{said}");
    assert!(server.executor().is_none());
}

#[test]
fn a_data_directory_of_somebody_else_is_named() {
    let mut server = prepared();
    // A copy: the program itself may lie where other users can't go.
    let copy = server.path("program");
    fs::copy(danube(), &copy).unwrap();
    fs::create_dir(server.data()).unwrap();
    fs::set_permissions(server.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = std::process::Command::new(copy);
    command.arg("serve").arg("--config").arg(server.toml()).arg("--data-dir").arg(server.data());
    command.uid(65_534).gid(65_534).env_clear();
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(1), "{said}");
    let said = last(&said);
    assert!(said.contains(&server.data().display().to_string()) && said.contains("owner"), "{said}");
}

#[test]
fn a_server_without_rights_names_the_executor_that_it_needs() {
    let mut server = prepared();
    let copy = server.path("program");
    fs::copy(danube(), &copy).unwrap();
    fs::create_dir(server.data()).unwrap();
    std::os::unix::fs::chown(server.data(), Some(65_534), Some(65_534)).unwrap();
    let mut command = std::process::Command::new(copy);
    command.arg("serve").arg("--config").arg(server.toml()).arg("--data-dir").arg(server.data());
    command.uid(65_534).gid(65_534).env_clear();
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(1), "{said}");
    let said = last(&said);
    assert!(said.contains("no executor runs") && said.contains("danube executor") && said.contains("root"), "{said}");
}

#[test]
fn a_second_server_on_the_same_data_names_the_first() {
    let mut server = prepared();
    server.start();
    let command = server.command();
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(1), "{said}");
    let said = last(&said);
    assert!(said.contains(&server.data().display().to_string()), "{said}");
    assert!(said.contains(&server.pid().to_string()), "{said} does not name process {}", server.pid());
    server.succeeds(&server.trigger());
}

#[test]
fn a_database_of_a_newer_release_is_left_alone() {
    let mut server = prepared();
    server.start();
    server.stop();
    server.database().execute("UPDATE meta SET schema = 99, min_reader = 98", []).unwrap();
    let command = server.command();
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(1), "{said}");
    let said = last(&said);
    assert!(said.contains("danube.db") && said.contains("98") && said.contains("newer"), "{said}");
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_remedy() {
    let mut server = prepared();
    server.start();
    server.stop();
    for name in ["encryption.key", "signing.key"] {
        let path = server.data().join("keys").join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let command = server.command();
        let (code, said) = server.refused(command);
        assert_eq!(code, Some(1), "{said}");
        let said = last(&said);
        assert!(said.contains(&path.display().to_string()) && said.contains("0644"), "{said}");
        assert!(said.contains("chmod"), "{said}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    server.start();
    server.succeeds(&server.trigger());
}

#[test]
fn a_mistake_in_danube_toml_is_told_with_its_line_and_the_nearest_name() {
    let mut server = prepared();
    let text = fs::read_to_string(server.toml()).unwrap().replace("bind_address", "bind_adress");
    fs::write(server.toml(), text).unwrap();
    let command = server.command();
    let (code, said) = server.refused(command);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("danube.toml:6") && said.contains("bind_adress") && said.contains("bind_address?"), "{said}");
    assert!(!server.data().exists(), "nothing is made before the configuration is good");
}

#[test]
fn a_config_repo_that_is_away_is_waited_for() {
    let mut server = prepared();
    let elsewhere = server.path("elsewhere");
    fs::rename(server.conf(), &elsewhere).unwrap();
    server.launch();
    let ready = server.get("/health/ready");
    assert_eq!((ready.status, ready.json()["down"][0].as_str()), (503, Some("config repo")), "{}", ready.text());
    assert_eq!(server.get("/health").status, 200);
    until("the reason is shown", || {
        let status = server.get("/api/v1/config/status").with(200);
        status["error"].as_str().filter(|error| error.contains("conf")).map(str::to_owned)
    });
    fs::rename(elsewhere, server.conf()).unwrap();
    until("the server is ready", || (server.get("/health/ready").status == 200).then_some(()));
    let status = server.get("/api/v1/config/status").with(200);
    assert_eq!((status["ok"].as_bool(), status["error"].as_str()), (Some(true), None));
    server.succeeds(&server.trigger());
}

#[test]
fn what_a_taken_over_master_left_does_not_lead_root_astray_at_the_next_start() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let mut server = prepared();
    server.start();
    server.stop();
    // Root's own, which must neither be written nor given away.
    let treasure = server.path("treasure");
    let hoard = server.path("hoard");
    fs::write(&treasure, "root's alone").unwrap();
    fs::create_dir(&hoard).unwrap();
    fs::write(hoard.join("inside"), "root's as well").unwrap();
    let data = server.data();
    for name in [".writable", ".instance.tmp", "logs/link"] {
        symlink(&treasure, data.join(name)).unwrap();
    }
    fs::remove_dir_all(data.join("scratch")).unwrap();
    symlink(&hoard, data.join("scratch")).unwrap();
    fs::hard_link(&treasure, data.join("second-name")).unwrap();
    let untouched = || {
        assert_eq!(fs::read_to_string(&treasure).unwrap(), "root's alone");
        for path in [&treasure, &hoard, &hoard.join("inside")] {
            assert_eq!(fs::metadata(path).unwrap().uid(), 0, "{} was given away", path.display());
        }
    };
    server.start();
    untouched();
    server.stop();
    fs::rename(data.join("lock"), data.join("old-lock")).unwrap();
    symlink(&treasure, data.join("lock")).unwrap();
    let (code, said) = server.refused(server.command());
    assert_eq!(code, Some(1), "{said}");
    assert!(last(&said).contains("lock"), "{said}");
    untouched();
    fs::remove_file(data.join("lock")).unwrap();
    server.start();
    untouched();
}

#[test]
fn a_restart_brings_the_executors_new_settings_into_force_and_waits_for_no_linger() {
    let mut server = prepared();
    let toml = fs::read_to_string(server.toml()).unwrap();
    fs::write(server.toml(), toml.replace("host_image = true", "host_image = false")).unwrap();
    server.start();
    let refused = server.trigger();
    let reason = server.ended(&refused)["reason"].to_string();
    assert!(reason.contains("danube.toml") && reason.contains("host_image"), "{reason}");
    server.stop();
    // As a person does it: the key goes, and what holds without it is what the README says.
    fs::write(server.toml(), toml.replace("host_image = true", "")).unwrap();
    server.start();
    let job = server.trigger();
    server.succeeds(&job);
}
