//! Images of jobs: under whose login they are pulled, and how many names there may be.
use super::world::World;
use crate::images::{ImageError, Place, Reference};
use crate::model::Secret;
use crate::model::settings::Registry;
use crate::orchestrator::images::Asker;
use crate::secrets;
use crate::store::secrets::Scope;
use crate::store::testing::{pipeline, settings};

fn place(name: &str) -> Place {
    let Ok(Reference::Registry(place)) = Reference::parse(name) else { panic!("no place") };
    place
}

#[tokio::test]
async fn a_login_is_for_its_own_registry_and_for_no_forks_pull_request() {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let entry = |host: &str, secret: Option<&str>| Registry {
        host: host.to_owned(),
        mirrors: Vec::new(),
        username: secret.map(|_| "danube".to_owned()),
        password_secret: secret.map(str::to_owned),
        plain_http: false,
    };
    let mut config = settings(vec![site]);
    config.global.registries = vec![
        entry("private.example.com", Some("PRIVATE")),
        entry("broken.example.com", Some("MISSING")),
        entry("hub.example.com", None),
    ];
    config.global.registries[2].mirrors = vec!["https://private.example.com/hub".to_owned()];
    world.test.apply(config, "c0ffee2").await;
    let value = Secret::new(b"hunter22\n".to_vec());
    let store = &world.test.store;
    secrets::set(store, &world.vault, Scope::Global, "PRIVATE", value, "root").await.unwrap();
    let engine = world.idle_engine();
    let asked = async |name: &str, asker| engine.pull_from(&place(name), asker).await.map(|pull| format!("{pull:?}"));
    for name in ["private.example.com/app", "hub.example.com/app"] {
        assert!(asked(name, Asker::Job).await.unwrap().contains("user: \"danube\""), "{name}");
        assert!(asked(name, Asker::Server).await.unwrap().contains("user: \"danube\""), "{name}");
        let fork = asked(name, Asker::Fork).await.unwrap();
        assert!(!fork.contains("danube") && fork.contains("withheld: true"), "{fork}");
    }
    // Another registry's password has nothing to do with it.
    assert!(!asked("registry.example.org/app", Asker::Job).await.unwrap().contains("danube"));
    let error = asked("broken.example.com/app", Asker::Job).await.unwrap_err();
    assert!(matches!(&error, ImageError::Refused(why) if why.contains("MISSING")), "{error}");
    // Without a login nobody needs its password.
    asked("broken.example.com/app", Asker::Fork).await.unwrap();
}

#[tokio::test]
async fn a_job_uses_a_bounded_number_of_images() {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let master = world.master(world.claim(&site).await).await;
    let row = loop {
        match master.job.coordinator_row().await.unwrap() {
            Some(row) => break row,
            None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    let said = async |name: String| master.job.image(&row, &name, false).await.err().unwrap().to_string();
    for n in 0..500 {
        assert!(said(format!("-{n}")).await.contains("begins with '-'"));
    }
    let one_more = said("-500".to_owned()).await;
    assert!(one_more.contains("has used 500 names of images"), "{one_more}");
    assert!(said("-7".to_owned()).await.contains("begins with '-'"), "a name that is known");
    world.executor.end_coordinator_of(master.job.row.id).await;
    master.ended().await;
}
