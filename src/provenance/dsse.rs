use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{PublicKey, Refusal, SigningKey, TooLarge};

/// Payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The largest envelope that is read, in bytes.
pub const MAX_ENVELOPE: usize = 16 << 20;

const MAX_PAYLOAD: usize = 8 << 20;
const MAX_SIGNATURES: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// What a signature by the pinned key vouches for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) payload_type: String,
    pub(super) payload: Vec<u8>,
}

/// DSSE's pre-authentication encoding: the very bytes that are signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs a statement: one line of JSON, a DSSE envelope with one pure Ed25519 signature.
pub fn sign(payload: &[u8], key: &SigningKey) -> Result<String, TooLarge> {
    if payload.len() > MAX_PAYLOAD {
        return Err(TooLarge { size: payload.len(), limit: MAX_PAYLOAD });
    }
    Ok(seal(PAYLOAD_TYPE, payload, &[key]))
}

pub(super) fn seal(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> String {
    let message = pae(payload_type, payload);
    let signatures = keys
        .iter()
        .map(|key| Signature { keyid: key.public().keyid().to_owned(), sig: STANDARD.encode(key.sign(&message)) })
        .collect();
    let envelope = Envelope { payload_type: payload_type.to_owned(), payload: STANDARD.encode(payload), signatures };
    serde_json::to_string(&envelope).expect("strings and lists always have a JSON form")
}

/// Opens an envelope if the pinned key signed it; the envelope's own word on keys counts for nothing.
///
/// Signatures by other keys may stand beside it (a second algorithm), each in the same strict form.
pub(super) fn open(envelope: &[u8], key: &PublicKey) -> Result<Opened, Refusal> {
    if envelope.len() > MAX_ENVELOPE {
        return Err(Refusal::EnvelopeTooLarge { limit: MAX_ENVELOPE });
    }
    let Envelope { payload_type, payload, signatures } =
        serde_json::from_slice(envelope).map_err(|e| Refusal::BadEnvelope(e.to_string()))?;
    let payload = exact_base64("payload", &payload)?;
    if payload.len() > MAX_PAYLOAD {
        return Err(Refusal::EnvelopeTooLarge { limit: MAX_ENVELOPE });
    }
    let signature = pinned(&signatures, key)?;
    if !key.verifies(&pae(&payload_type, &payload), &signature) {
        return Err(Refusal::BadSignature { keyid: key.keyid().to_owned() });
    }
    Ok(Opened { payload_type, payload })
}

fn pinned(signatures: &[Signature], key: &PublicKey) -> Result<[u8; 64], Refusal> {
    if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
        return Err(Refusal::BadEnvelope(format!(
            "it has {} signatures instead of 1 to {MAX_SIGNATURES}",
            signatures.len()
        )));
    }
    let mut found = None;
    for (at, signature) in signatures.iter().enumerate() {
        if signatures[..at].iter().any(|earlier| earlier.keyid == signature.keyid) {
            return Err(Refusal::BadEnvelope("it has two signatures of one key id".to_owned()));
        }
        let bytes = exact_base64("signature", &signature.sig)?;
        if signature.keyid == key.keyid() {
            let exact = <[u8; 64]>::try_from(bytes);
            found = Some(exact.map_err(|_| Refusal::BadEnvelope("the signature has not 64 bytes".to_owned()))?);
        }
    }
    found.ok_or_else(|| Refusal::OtherKey {
        keyid: key.keyid().to_owned(),
        found: signatures
            .iter()
            .map(|s| format!("{:?}", s.keyid.chars().take(64).collect::<String>()))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

// The standard engine refuses whitespace, missing padding and stray bits: one content, one spelling.
fn exact_base64(field: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|e| Refusal::BadEnvelope(format!("its {field} is not exact base64: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn signed() -> Value {
        serde_json::from_str(&sign(br#"{"a":1}"#, &key()).unwrap()).unwrap()
    }

    fn refused(envelope: &Value) -> Refusal {
        open(envelope.to_string().as_bytes(), key().public()).unwrap_err()
    }

    #[test]
    fn the_encoding_is_the_one_of_the_dsse_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn what_was_signed_comes_out() {
        let opened = open(sign(b"content", &key()).unwrap().as_bytes(), key().public()).unwrap();
        assert_eq!(opened, Opened { payload_type: PAYLOAD_TYPE.to_owned(), payload: b"content".to_vec() });
    }

    #[test]
    fn any_single_flipped_bit_is_refused() {
        let envelope = sign(b"{}", &key()).unwrap().into_bytes();
        for bit in 0..envelope.len() * 8 {
            let mut changed = envelope.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, key().public()).is_err(), "bit {bit}: {}", String::from_utf8_lossy(&changed));
        }
    }

    #[test]
    fn the_key_is_pinned_and_not_taken_from_the_envelope() {
        let other = SigningKey::from_seed(&[8; 32]);
        let envelope = sign(b"{}", &other).unwrap();
        assert!(matches!(open(envelope.as_bytes(), key().public()), Err(Refusal::OtherKey { .. })));
        let claimed = envelope.replace(other.public().keyid(), key().public().keyid());
        assert!(matches!(open(claimed.as_bytes(), key().public()), Err(Refusal::BadSignature { .. })));
    }

    #[test]
    fn a_second_signature_may_stand_beside_ours() {
        let other = SigningKey::from_seed(&[8; 32]);
        let envelope = seal(PAYLOAD_TYPE, b"{}", &[&other, &key()]);
        assert_eq!(open(envelope.as_bytes(), key().public()).unwrap().payload, b"{}");
        let twice = seal(PAYLOAD_TYPE, b"{}", &[&key(), &key()]);
        assert!(matches!(open(twice.as_bytes(), key().public()), Err(Refusal::BadEnvelope(_))));
    }

    type Spelling = (&'static str, fn(&str) -> String);

    #[test]
    fn other_spellings_of_the_same_content_are_refused() {
        let spellings: [Spelling; 6] = [
            ("a line break", |b64| format!("{}\n{}", &b64[..4], &b64[4..])),
            ("a space", |b64| format!(" {b64}")),
            ("no padding", |b64| b64.trim_end_matches('=').to_owned()),
            ("more padding", |b64| format!("{b64}=")),
            ("stray bits", |b64| {
                b64.replace("A==", "B==").replace("Q==", "R==").replace("g==", "h==").replace("w==", "x==")
            }),
            ("the URL alphabet", |b64| b64.replace('+', "-").replace('/', "_") + "-"),
        ];
        for (what, spell) in spellings {
            for field in ["/payload", "/signatures/0/sig"] {
                let mut envelope = signed();
                let leaf = envelope.pointer_mut(field).unwrap();
                let changed = spell(leaf.as_str().unwrap());
                assert_ne!(leaf.as_str().unwrap(), changed, "{what} changes nothing");
                *leaf = changed.into();
                assert!(matches!(refused(&envelope), Refusal::BadEnvelope(_)), "{what} in {field}");
            }
        }
    }

    #[test]
    fn unknown_doubled_and_missing_members_are_refused() {
        let mut more = signed();
        more["more"] = json!(1);
        let mut deeper = signed();
        deeper["signatures"][0]["cert"] = json!("x");
        let mut none = signed();
        none["signatures"] = json!([]);
        let mut many = signed();
        many["signatures"] = (0..9).map(|n| json!({"keyid": n.to_string(), "sig": ""})).collect();
        for envelope in [more, deeper, none, many] {
            assert!(matches!(refused(&envelope), Refusal::BadEnvelope(_)), "{envelope}");
        }
        let text = signed().to_string();
        for changed in [
            text.replacen('{', r#"{"payloadType":"application/vnd.in-toto+json","#, 1),
            text.replacen(r#""keyid""#, r#""sig":"","keyid""#, 1),
            format!("{text}{text}"),
            format!("[{text}]"),
        ] {
            assert!(matches!(open(changed.as_bytes(), key().public()), Err(Refusal::BadEnvelope(_))), "{changed}");
        }
    }

    #[test]
    fn sizes_are_limited_before_anything_is_parsed() {
        let huge = vec![b' '; MAX_ENVELOPE + 1];
        assert!(matches!(open(&huge, key().public()), Err(Refusal::EnvelopeTooLarge { .. })));
        assert!(sign(&vec![b' '; MAX_PAYLOAD + 1], &key()).is_err());
        let largest = sign(&vec![b' '; MAX_PAYLOAD], &key()).unwrap();
        assert!(open(largest.as_bytes(), key().public()).is_ok());
    }

    proptest! {
        #[test]
        fn every_payload_comes_back(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let envelope = sign(&payload, &key()).unwrap();
            prop_assert_eq!(open(envelope.as_bytes(), key().public()).unwrap().payload, payload);
        }

        #[test]
        fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&noise, key().public()).is_err());
        }
    }
}
