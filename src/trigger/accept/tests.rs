use super::*;
use crate::store::settings;
use crate::trigger::testing::{Bench, SECRET, push_body, signed};

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn body() -> String {
    push_body("https://git.example.com/web/shop.git", "refs/heads/main", ZEROS)
}

#[tokio::test]
async fn a_signed_delivery_is_stored_and_a_replay_adds_nothing_also_after_a_restart() {
    let mut bench = Bench::new(vec![]).await;
    assert!(matches!(bench.deliver("d1", "push", &body()).await, Ok(Accepted::New(_))));
    assert_eq!(bench.deliver("d1", "push", &body()).await.unwrap(), Accepted::SeenBefore);
    bench.restart().await;
    assert_eq!(bench.deliver("d1", "push", &body()).await.unwrap(), Accepted::SeenBefore);
    assert_eq!(bench.deliveries().await.len(), 1);
    assert!(matches!(bench.deliver("d2", "push", &body()).await, Ok(Accepted::New(_))));
}

#[tokio::test]
async fn a_bad_signature_stores_nothing_and_is_answered_before_the_body_is_read() {
    let bench = Bench::new(vec![]).await;
    let right = signed(SECRET, "d1", "push", &body());
    for (headers, text) in [
        (signed(b"another", "d1", "push", &body()), body()),
        (signed(b"", "d1", "push", &body()), body()),
        (Headers::default(), "not json".to_owned()),
        (right.clone(), format!("{} ", body())),
        (signed(b"another", "", "", "{"), "{".to_owned()),
    ] {
        let rejected = accept(&bench.ctx, "github", "default", &headers, text.as_bytes()).await.unwrap_err();
        assert_eq!(rejected.status(), 401, "{rejected}");
    }
    assert!(bench.deliveries().await.is_empty());
}

#[tokio::test]
async fn the_address_alone_chooses_forge_and_secret() {
    let bench = Bench::new(vec![]).await;
    let (text, headers) = (body(), signed(SECRET, "d1", "push", &body()));
    for (forge, name, status) in [
        ("github", "none", 404),
        ("gitlab", "default", 404),
        ("GitHub", "default", 404),
        ("", "", 404),
        ("github", "missing", 401),
    ] {
        let rejected = accept(&bench.ctx, forge, name, &headers, text.as_bytes()).await.unwrap_err();
        assert_eq!(rejected.status(), status, "{forge}/{name}");
    }
    // During a rotation the secret before counts too; each name has ids of its own.
    let rotating = accept(&bench.ctx, "github", "rotating", &headers, text.as_bytes()).await;
    assert!(matches!(rotating, Ok(Accepted::New(_))));
    let by_new = signed(b"the-new-one", "d2", "push", &text);
    assert!(accept(&bench.ctx, "github", "rotating", &by_new, text.as_bytes()).await.is_ok());
    assert!(accept(&bench.ctx, "github", "default", &by_new, text.as_bytes()).await.is_err());
}

#[tokio::test]
async fn signed_nonsense_is_a_400_with_the_reason() {
    let bench = Bench::new(vec![]).await;
    for (id, text) in [("d1", "{"), ("d1", "[]"), ("d1", "payload=%7B%7D"), ("", "{}"), ("d1", "{\"ref\":\"-x\"}")] {
        let rejected = bench.deliver(id, "push", text).await.unwrap_err();
        assert_eq!(rejected.status(), 400, "{text}");
        assert!(rejected.to_string().len() > 40, "{rejected}");
    }
    assert!(bench.deliveries().await.is_empty());
}

#[tokio::test]
async fn a_huge_body_is_refused_unread() {
    let bench = Bench::new(vec![]).await;
    let body = vec![b' '; MAX_BODY + 1];
    let rejected = accept(&bench.ctx, "github", "default", &Headers::default(), &body).await.unwrap_err();
    assert_eq!(rejected.status(), 413);
}

#[tokio::test]
async fn a_ping_is_settled_at_once() {
    let bench = Bench::new(vec![]).await;
    let Accepted::New(id) = bench.deliver("d1", "ping", "{}").await.unwrap() else { panic!("seen before") };
    assert_eq!(bench.outcome(id).await, (DeliveryState::Ignored, "the webhook works".to_owned()));
    let Accepted::New(id) = bench.deliver("d2", "star", "{}").await.unwrap() else { panic!("seen before") };
    assert_eq!(bench.outcome(id).await.0, DeliveryState::Ignored);
}

#[tokio::test]
async fn while_draining_a_delivery_is_asked_to_come_again() {
    let bench = Bench::new(vec![]).await;
    let drain = |tx: &crate::store::Tx<'_>| settings::set(tx, crate::trigger::drain::SETTING, "now");
    bench.ctx.store.write("test", Durability::Acknowledged, drain).await.unwrap();
    let rejected = bench.deliver("d1", "push", &body()).await.unwrap_err();
    assert_eq!((rejected.status(), rejected.retry_after()), (503, Some(60)));
    assert!(bench.deliveries().await.is_empty());
}
