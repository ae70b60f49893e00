use proptest::prelude::*;
use ring::hmac;

use super::*;

const SECRET: &[u8] = b"webhook-secret";
const BODY: &[u8] = br#"{"ref":"refs/heads/main","before":"1111111111111111111111111111111111111111",
"after":"2222222222222222222222222222222222222222","created":false,"deleted":false,"commits":[{"x":1}],
"repository":{"full_name":"web/shop","clone_url":"https://git.example.com/web/shop.git",
"ssh_url":"git@git.example.com:web/shop.git","html_url":"https://git.example.com/web/shop"}}"#;

fn secrets(values: &[&[u8]]) -> Vec<Secret<Vec<u8>>> {
    values.iter().map(|v| Secret::new(v.to_vec())).collect()
}

fn digest(secret: &[u8], body: &[u8]) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body))
}

fn signed(value: &str) -> Headers {
    [("X-Hub-Signature-256", value)].into_iter().collect()
}

fn event(name: &str) -> Headers {
    [("X-GitHub-Event", name), ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")].into_iter().collect()
}

#[test]
fn a_right_signature_passes_with_the_present_and_with_the_previous_secret() {
    let headers = signed(&format!("sha256={}", digest(SECRET, BODY)));
    assert_eq!(verify(&headers, BODY, &secrets(&[SECRET])), Ok(()));
    assert_eq!(verify(&headers, BODY, &secrets(&[b"the-new-one", SECRET])), Ok(()));
}

#[test]
fn githubs_own_published_example_passes() {
    let headers = signed("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    assert_eq!(verify(&headers, b"Hello, World!", &secrets(&[b"It's a Secret to Everybody"])), Ok(()));
}

#[test]
fn every_other_signature_header_is_refused() {
    let right = digest(SECRET, BODY);
    let wrong = [
        String::new(),
        right.clone(),
        "sha256=".to_owned(),
        format!("sha256={}", right.to_uppercase()),
        format!("SHA256={right}"),
        format!("sha1={right}"),
        format!("sha256={}", &right[..63]),
        format!("sha256={}", &right[..62]),
        format!("sha256={right}0"),
        format!("sha256= {right}"),
        format!("sha256={right} "),
        format!("sha256={right},sha256={right}"),
        format!("sha256={}", digest(b"another-secret", BODY)),
        format!("sha256={}", digest(b"", BODY)),
        format!("sha256={}", digest(SECRET, b"{}")),
    ];
    for value in wrong {
        assert_eq!(verify(&signed(&value), BODY, &secrets(&[SECRET])), Err(BadSignature), "{value:?}");
    }
}

#[test]
fn a_missing_doubled_or_sha1_only_header_is_refused() {
    let right = format!("sha256={}", digest(SECRET, BODY));
    let sha1 = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET), BODY));
    let doubled = [("X-Hub-Signature-256", right.as_str()), ("x-hub-signature-256", right.as_str())];
    assert!(verify(&Headers::default(), BODY, &secrets(&[SECRET])).is_err());
    assert!(verify(&doubled.into_iter().collect(), BODY, &secrets(&[SECRET])).is_err());
    let only_sha1: Headers = [("X-Hub-Signature", format!("sha1={sha1}"))].into_iter().collect();
    assert!(verify(&only_sha1, BODY, &secrets(&[SECRET])).is_err());
    let renamed: Headers = [("X-Hub-Signature", right)].into_iter().collect();
    assert!(verify(&renamed, BODY, &secrets(&[SECRET])).is_err());
}

#[test]
fn an_empty_secret_signs_nothing() {
    let headers = signed(&format!("sha256={}", digest(b"", BODY)));
    assert_eq!(verify(&headers, BODY, &secrets(&[b""])), Err(BadSignature));
    assert_eq!(verify(&headers, BODY, &[]), Err(BadSignature));
}

#[test]
fn a_push_is_read() {
    let delivery = parse(&event("push"), BODY).unwrap();
    assert_eq!(delivery.id, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let DeliveryKind::Push(push) = delivery.kind else { panic!("not a push") };
    assert_eq!(push.repository, "web/shop");
    assert_eq!(push.reference, "refs/heads/main");
    assert_eq!(push.before.as_deref(), Some("1111111111111111111111111111111111111111"));
    assert_eq!(push.after.as_deref(), Some("2222222222222222222222222222222222222222"));
    assert_eq!(push.addresses.len(), 3);
}

#[test]
fn forty_zeros_mean_that_a_branch_was_made_or_deleted() {
    let zeros = "0".repeat(40);
    let body = String::from_utf8_lossy(BODY).replace(&"2".repeat(40), &zeros);
    let DeliveryKind::Push(push) = parse(&event("push"), body.as_bytes()).unwrap().kind else { panic!("not a push") };
    assert_eq!(push.after, None);
}

#[test]
fn ping_and_unknown_events_are_told_apart() {
    assert_eq!(parse(&event("ping"), b"{}").unwrap().kind, DeliveryKind::Ping);
    assert_eq!(parse(&event("star"), b"{}").unwrap().kind, DeliveryKind::Other { name: "star".to_owned() });
}

#[test]
fn what_cannot_be_read_says_why() {
    let text = String::from_utf8_lossy(BODY).into_owned();
    let long = text.replace("web/shop\",\"clone_url", &format!("{}\",\"clone_url", "x".repeat(2000)));
    for (body, part) in [
        ("{", "EOF"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
        ("{\"ref\":1}", "invalid type"),
        ("{}", "missing field"),
        ("payload=%7B%7D", "application/json"),
        (&text.replace("refs/heads/main", "--upload-pack=x"), "refs/"),
        (&text.replace("refs/heads/main", "refs/heads/a\\u0000b"), "control characters"),
        (&text.replace(&"2".repeat(40), "HEAD"), "'after'"),
        (&text.replace(&"1".repeat(40), "-x"), "'before'"),
        (&long, "1024 bytes"),
        (&text.replace("_url", "_uri"), "no address"),
    ] {
        let error = parse(&event("push"), body.as_bytes()).unwrap_err();
        assert!(error.reason.contains(part), "{body}: {error}");
    }
}

#[test]
fn a_delivery_needs_one_plain_id_and_one_event() {
    for id in ["", "a b", "../x", "é", &"x".repeat(101)] {
        let headers: Headers = [("X-GitHub-Event", "ping"), ("X-GitHub-Delivery", id)].into_iter().collect();
        assert!(parse(&headers, b"{}").is_err(), "{id:?}");
    }
    let twice = [("X-GitHub-Event", "ping"), ("X-GitHub-Delivery", "a"), ("X-GitHub-Delivery", "b")];
    assert!(parse(&twice.into_iter().collect(), b"{}").is_err());
    let no_event: Headers = [("X-GitHub-Delivery", "a")].into_iter().collect();
    assert!(parse(&no_event, b"{}").is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..600), name in "\\PC{0,20}") {
        let headers: Headers = [("X-GitHub-Event", name.as_str()), ("X-GitHub-Delivery", "a")].into_iter().collect();
        let _read = parse(&headers, &body);
        let _read = parse(&event("push"), &body);
        prop_assert!(verify(&event("push"), &body, &secrets(&[SECRET])).is_err());
    }

    #[test]
    fn what_is_read_keeps_its_bounds(reference in "\\PC{0,80}", after in "[0-9a-fA-F]{38,42}") {
        let body = serde_json::json!({
            "ref": reference, "before": "1".repeat(40), "after": after,
            "repository": {"full_name": "a/b", "clone_url": "https://git.example.com/a/b"},
        });
        if let Ok(Delivery { kind: DeliveryKind::Push(push), .. }) = parse(&event("push"), body.to_string().as_bytes()) {
            prop_assert!(push.reference.starts_with("refs/"));
            prop_assert!(push.after.is_none_or(|c| c.len() == 40 && c == c.to_lowercase()));
        }
    }

    #[test]
    fn a_flipped_bit_breaks_the_signature(at in 0usize..BODY.len() * 8) {
        let headers = signed(&format!("sha256={}", digest(SECRET, BODY)));
        let mut body = BODY.to_vec();
        body[at / 8] ^= 1 << (at % 8);
        prop_assert!(verify(&headers, &body, &secrets(&[SECRET])).is_err());
    }
}
