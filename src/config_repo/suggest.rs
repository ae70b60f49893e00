//! "Did you mean", with a limit on the work that hostile names may cause.
use crate::model::nearest;

/// Comparisons of names for one config repo.
const MAX_COMPARISONS: usize = 50_000;
/// Longer than any name that is near to another.
const MAX_NAME: usize = 100;

/// Finds near names until the work allowed is used up.
#[derive(Debug)]
pub(super) struct Suggest {
    left: usize,
}

impl Default for Suggest {
    fn default() -> Self {
        Self { left: MAX_COMPARISONS }
    }
}

impl Suggest {
    /// The valid name that is nearest to a wrong one, if one is near.
    pub(super) fn nearest<'a>(&mut self, wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if wrong.is_empty() || wrong.len() > MAX_NAME {
            return None;
        }
        let allowed = self.left;
        let mut used = 0;
        let near = {
            let counted = valid.into_iter().filter(|name| name.len() <= MAX_NAME).take(allowed).inspect(|_| used += 1);
            nearest(wrong, counted)
        };
        self.left -= used;
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_has_an_end() {
        let mut suggest = Suggest { left: 3 };
        assert_eq!(suggest.nearest("tam", ["team", "name"]), Some("team"));
        assert_eq!(suggest.nearest("tam", ["pipeline", "team"]), None);
        assert_eq!(suggest.left, 0);
        assert_eq!(Suggest::default().nearest(&"x".repeat(1 << 20), ["x"]), None);
    }
}
