//! Steps: outcomes, retries, timeouts, what they are started with.
use std::time::Duration;

use super::fake::end;
use super::request;
use super::world::{World, call};
use crate::executor::StepState;
use crate::model::Secret;
use crate::model::job::Status;
use crate::model::step::{Cause, StepStatus};
use crate::orchestrator::*;
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

fn retried(command: &str, times: u32, on: Cause) -> StepRequest {
    StepRequest { retry: Retry { times, on: vec![on], backoff: Duration::from_millis(1) }, ..request(command) }
}

#[tokio::test]
async fn a_step_that_ends_well_answers_and_the_job_succeeds() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let id = master.job.row.id;
    let answer =
        master.run("/run#0", StepRequest { capture: Capture::Stdout, ..request("print hello") }).await.unwrap();
    assert_eq!((answer.outcome, answer.exit_code, answer.attempt, answer.step), (Cause::Success, 0, 1, 1));
    assert_eq!((answer.stdout.as_str(), answer.seconds), ("hello", 2.5));
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
    let rows = world.steps(id).await;
    assert_eq!(
        rows.iter().map(|row| (row.seq, row.status)).collect::<Vec<_>>(),
        [(0, StepStatus::Success), (1, StepStatus::Success)]
    );
    assert_eq!((rows[1].name.as_str(), rows[1].command.as_str()), ("print hello", "print hello"));
    assert!(rows.iter().all(|row| row.log_sha256.is_some()));
    assert_eq!(world.executor.torn_down(), [id]);
}

#[tokio::test]
async fn a_failed_step_is_told_with_its_exit_code_and_not_tried_again() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let answer = master.run("/run#0", request("exit 3")).await.unwrap();
    assert_eq!((answer.outcome, answer.exit_code, answer.message.as_str()), (Cause::Exit, 3, "exit code 3"));
    assert_eq!(world.executor.starts("exit 3"), 1);
}

#[tokio::test]
async fn a_step_is_tried_again_for_the_causes_it_names() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let answer = master.run("/run#0", retried("flaky 2", 2, Cause::Exit)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Success, 3));
    let answer = master.run("/run#1", retried("flaky 9", 2, Cause::Exit)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Exit, 3));
    let answer = master.run("/run#2", retried("oom", 1, Cause::Oom)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Oom, 2));
    let answer = master.run("/run#3", retried("lost", 1, Cause::Infra)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Infra, 2));
    let answer = master.run("/run#4", retried("oom", 1, Cause::Exit)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Oom, 1));
    let rows = world.steps(master.job.row.id).await;
    assert_eq!(rows.iter().filter(|row| row.seq == 1).map(|row| row.attempt).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_step_marked_once_is_not_tried_again_when_it_was_lost() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let answer = master.run("/run#0", StepRequest { once: true, ..retried("lost", 3, Cause::Infra) }).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Infra, 1));
    assert_eq!(world.executor.starts("lost"), 1);
}

#[tokio::test]
async fn a_step_that_outlives_its_timeout_is_ended_also_against_its_will() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    for (key, command) in [("/run#0", "hang"), ("/run#1", "stubborn")] {
        let answer = master
            .run(key, StepRequest { timeout: Some(Duration::from_millis(20)), ..request(command) })
            .await
            .unwrap();
        assert_eq!(
            (answer.outcome, answer.message.as_str()),
            (Cause::Timeout, "it ran longer than its timeout of 20 ms")
        );
    }
}

#[tokio::test]
async fn what_the_executor_refuses_is_told_and_not_tried_again() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let answer = master.run("/run#0", retried("denied", 3, Cause::Infra)).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Exit, 1));
    assert!(answer.message.contains("cpu = 1000"), "{}", answer.message);
    let answer = master.run("/run#1", retried("overflow", 3, Cause::Exit)).await.unwrap();
    assert_eq!((answer.attempt, answer.message.as_str()), (1, "it wrote more than 1 GiB of output"));
}

#[tokio::test]
async fn secrets_reach_a_step_by_its_environment_and_no_row() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let mut with = StepRequest { name: "use hunter22".to_owned(), ..request("hang") };
    with.env.insert("T".to_owned(), Value::Secret("TOKEN".to_owned()));
    let at = {
        let running = master.run("/run#0", with);
        tokio::pin!(running);
        tokio::select! {
            _ = &mut running => panic!("it hangs"),
            at = world.executor.started("hang") => at,
        }
    };
    let spec = world.executor.spec("hang");
    assert!(spec.env.contains(&("T".to_owned(), "hunter22".to_owned())));
    assert_eq!(spec.masks[0].name, "TOKEN");
    world.executor.finish(at, StepState::Ended(end(0)));
    let rows = world.steps(master.job.row.id).await;
    assert_eq!(rows.last().unwrap().name, "use [secret TOKEN]");
}

#[tokio::test]
async fn a_step_with_an_unknown_secret_fails_and_names_it() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let mut with = request("exit 0");
    with.env.insert("T".to_owned(), Value::Secret("NONE".to_owned()));
    let answer = master.run("/run#0", with).await.unwrap();
    assert_ne!(answer.outcome, Cause::Success);
    assert!(answer.message.contains("'NONE'"), "{}", answer.message);
    assert_eq!(world.executor.starts("exit 0"), 0);
}

#[tokio::test]
async fn a_captured_secret_is_masked_kept_and_usable_by_its_handle() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let capture = StepRequest { capture: Capture::Secret, ..request("print fresh-token") };
    let answer = master.run("/run#0", capture).await.unwrap();
    assert_eq!(answer.captured, "captured:/run#0");
    assert_eq!(answer.stdout, "");
    assert_eq!(world.executor.masked().len(), 1);
    let mut with = request("exit 0");
    with.env.insert("T".to_owned(), Value::Captured(answer.captured));
    master.run("/run#1", with).await.unwrap();
    assert!(world.executor.spec("exit 0").env.contains(&("T".to_owned(), "fresh-token".to_owned())));
    assert!(world.executor.spec("exit 0").masks.len() >= 2);
}

#[tokio::test]
async fn a_masked_value_is_hidden_in_later_rows_and_steps() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let mask = |value: &str| Secret::new(value.to_owned());
    master.job.mask_value(call("mask", "/mask#0"), mask("made-at-run-time")).await.unwrap();
    assert_eq!(world.executor.masked().len(), 1);
    master.run("/run#0", StepRequest { name: "show made-at-run-time".to_owned(), ..request("exit 0") }).await.unwrap();
    assert_eq!(world.steps(master.job.row.id).await.last().unwrap().name, "show [secret masked]");
    let short = master.job.mask_value(call("mask", "/mask#1"), mask("a")).await;
    assert!(matches!(short, Err(CallError::Invalid(_))));
}

#[tokio::test]
async fn a_missing_network_is_noted_once_in_the_log_of_the_first_step_that_asks() {
    let (world, claimed) = world().await;
    world.executor.not_enforced.lock().unwrap().push("egress: none".to_owned());
    let master = world.master(claimed).await;
    master.run("/run#0", StepRequest { network: false, ..request("exit 0") }).await.unwrap();
    master.run("/run#1", request("exit 1")).await.unwrap();
    master.run("/run#2", request("exit 2")).await.unwrap();
    // The next master knows that it was told.
    master.stop().await;
    let master = world.again().await;
    master.run("/run#3", request("exit 3")).await.unwrap();
    let notes = |command: &str| world.executor.spec(command).notes.len();
    assert_eq!(["exit 0", "exit 1", "exit 2", "exit 3"].map(notes), [0, 1, 0, 0]);
}
