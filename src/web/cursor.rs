//! Where a list goes on: opaque texts that belong to one list and its conditions.
use std::fmt::{self, Display};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::error::{Answer, WebError};

/// Bytes of the digest that binds a cursor to its list.
const BOUND: usize = 8;
/// Longer texts are no cursor of ours.
const LONGEST: usize = 1024;

/// The cursors of one list under one set of conditions.
pub(super) struct Cursors([u8; BOUND]);

impl Cursors {
    /// Those of the list `name` under `conditions`, which leave out limit and cursor.
    pub(super) fn of(name: &str, conditions: &impl Serialize) -> Self {
        let conditions = serde_json::to_vec(conditions).unwrap_or_default();
        let digest = Sha256::new().chain_update(name).chain_update([0]).chain_update(conditions).finalize();
        let mut bound = [0; BOUND];
        bound.copy_from_slice(&digest[..BOUND]);
        Self(bound)
    }

    /// The cursor of a place.
    pub(super) fn write(&self, place: &impl Display) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend(place.to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor; none: from the start.
    pub(super) fn read<T: FromStr>(&self, cursor: Option<&str>) -> Answer<Option<T>> {
        let Some(text) = cursor.filter(|text| !text.is_empty()) else { return Ok(None) };
        let none_of_ours = || {
            WebError::bad_request(
                "The cursor is none of ours: take `next` of the answer before, or leave it out to begin anew.",
            )
        };
        let bytes = Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = bytes.filter(|bytes| bytes.len() > BOUND).ok_or_else(none_of_ours)?;
        let (bound, place) = bytes.split_at(BOUND);
        if bound != self.0 {
            return Err(WebError::bad_request(
                "The cursor belongs to another list, or to other conditions: a list goes on with the conditions that \
                 it began with. Leave the cursor out to begin anew.",
            ));
        }
        let place = std::str::from_utf8(place).ok().and_then(|text| text.parse().ok());
        place.map(Some).ok_or_else(none_of_ours)
    }
}

/// A place that is numbers: those of the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers<const N: usize>(pub(super) [i64; N]);

impl<const N: usize> Display for Numbers<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if i == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl<const N: usize> FromStr for Numbers<N> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let read: Option<Vec<i64>> = text.split('.').map(|part| part.parse().ok().filter(|n| *n >= 0)).collect();
        read.and_then(|numbers| numbers.try_into().ok()).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_goes_on_in_its_own_list_alone() {
        let ours = Cursors::of("audit", &["web"]);
        let cursor = ours.write(&42);
        assert_eq!(ours.read::<i64>(Some(&cursor)).unwrap(), Some(42));
        assert_eq!(ours.read::<i64>(None).unwrap(), None);
        assert!(Cursors::of("audit", &["tomli"]).read::<i64>(Some(&cursor)).is_err());
        assert!(Cursors::of("jobs", &["web"]).read::<i64>(Some(&cursor)).is_err());
        assert!(ours.read::<i64>(Some(&ours.write(&"x"))).is_err());
    }

    #[test]
    fn numbers_read_back_and_other_texts_are_none() {
        let place = Numbers([3, 0, i64::MAX]);
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "1", "1.2", "1.2.3.4", "1.-2.3", "1.2.x", "1.2.99999999999999999999"] {
            assert_eq!(wrong.parse::<Numbers<3>>(), Err(()), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,300}") {
            prop_assert!(matches!(Cursors::of("jobs", &()).read::<i64>(Some(&text)), Ok(None) | Err(_)));
        }
    }
}
