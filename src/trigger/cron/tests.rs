use super::*;
use crate::mirror::testing::Source;
use crate::model::settings::Pipeline;
use crate::trigger::testing::{Bench, pipeline};

fn hourly(url: &str, branch: &str) -> Pipeline {
    let rule = TriggerRule::Cron {
        schedule: "0 * * * *".into(),
        timezone: Some("Europe/Berlin".into()),
        branch: branch.into(),
    };
    pipeline("nightly", url, &[TriggerRule::Push, rule])
}

async fn tick(bench: &Bench) -> usize {
    tick_once(&bench.ctx, bench.now(), &bench.stop).await.unwrap().len()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_tick_makes_one_job_and_the_past_of_a_new_schedule_none() {
    let source = Source::new();
    let head = source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![hourly(&source.url(), "main")]).await;
    assert_eq!(tick(&bench).await, 0);
    bench.clock.advance(HOUR);
    assert_eq!(tick(&bench).await, 1);
    assert_eq!(tick(&bench).await, 0);
    let jobs = bench.jobs().await;
    assert_eq!((jobs[0].commit_sha.as_str(), jobs[0].trigger), (head.as_str(), Trigger::Cron));
    assert_eq!(jobs[0].origin.as_deref(), Some("2026-05-04T11:00:00Z"));
}

#[tokio::test]
async fn ticks_missed_while_down_make_one_job_after_the_restart() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let mut bench = Bench::new(vec![hourly(&source.url(), "main")]).await;
    tick(&bench).await;
    bench.clock.advance(HOUR * 72);
    bench.restart().await;
    assert_eq!(tick(&bench).await, 1);
    bench.restart().await;
    assert_eq!(tick(&bench).await, 0);
    assert_eq!(bench.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_repository_that_is_away_delays_its_tick() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![hourly(&source.url(), "main")]).await;
    tick(&bench).await;
    bench.clock.advance(HOUR);
    let away = source.path().with_extension("away");
    std::fs::rename(source.path(), &away).unwrap();
    assert!(tick_once(&bench.ctx, bench.now(), &bench.stop).await.is_err());
    std::fs::rename(&away, source.path()).unwrap();
    assert_eq!(tick(&bench).await, 1);
}

#[tokio::test]
async fn a_branch_that_is_not_there_makes_no_job_and_does_not_block_the_schedule() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![hourly(&source.url(), "gone")]).await;
    tick(&bench).await;
    bench.clock.advance(HOUR);
    assert_eq!(tick(&bench).await, 0);
    assert!(look(&bench.ctx, bench.now()).await.unwrap().due.is_empty());
    assert_eq!(look(&bench.ctx, bench.now()).await.unwrap().next, Some("2026-05-04T12:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn a_pipeline_that_left_the_configuration_ticks_no_more() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![hourly(&source.url(), "main")]).await;
    tick(&bench).await;
    bench.apply(vec![]).await;
    bench.clock.advance(HOUR);
    assert_eq!(tick(&bench).await, 0);
}

#[tokio::test]
async fn while_draining_nothing_ticks_and_afterwards_the_missed_tick_runs_once() {
    use crate::store::settings;
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![hourly(&source.url(), "main")]).await;
    tick(&bench).await;
    let on = |tx: &crate::store::Tx<'_>| settings::set(tx, drain::SETTING, "now");
    bench.ctx.store.write("test", Durability::Acknowledged, on).await.unwrap();
    bench.clock.advance(HOUR * 3);
    assert_eq!(tick(&bench).await, 0);
    let off = |tx: &crate::store::Tx<'_>| settings::remove(tx, drain::SETTING);
    bench.ctx.store.write("test", Durability::Acknowledged, off).await.unwrap();
    assert_eq!(tick(&bench).await, 1);
}
