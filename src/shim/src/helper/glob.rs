//! Patterns of paths: `*` and `?` within a name, `**` for any number of directories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::Problem;
use super::path::beneath;

/// How many parts a pattern may have.
const PARTS: usize = 64;

/// A pattern, part by part.
pub(super) struct Glob {
    parts: Vec<Part>,
}

enum Part {
    Any,
    Name(Vec<u8>),
}

impl Glob {
    /// Reads a pattern below the workspace.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let path = beneath(OsStr::new(text))?;
        let mut parts = Vec::new();
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            match name.as_bytes() {
                b"**" if matches!(parts.last(), Some(Part::Any)) => {}
                b"**" => parts.push(Part::Any),
                name => parts.push(Part::Name(name.to_owned())),
            }
        }
        match parts.len() {
            0 => Err(format!("{text}: name files, such as reports/**/*.xml")),
            1..=PARTS => Ok(Self { parts }),
            _ => Err(format!("{text}: a pattern has at most {PARTS} parts")),
        }
    }

    /// The directories in front of the first wildcard; everything for a plain path.
    pub(super) fn fixed(&self) -> Vec<&OsStr> {
        let plain = |part: &&Part| matches!(part, Part::Name(name) if !name.iter().any(|b| b"*?".contains(b)));
        let names = self.parts.iter().take_while(plain).map(|part| match part {
            Part::Name(name) => OsStr::from_bytes(name),
            Part::Any => OsStr::new(""),
        });
        names.collect()
    }

    /// There is no wildcard in it.
    pub(super) fn is_plain(&self) -> bool {
        self.fixed().len() == self.parts.len()
    }

    /// How deep a match can lie; none: as deep as it likes.
    pub(super) fn depth(&self) -> Option<usize> {
        let any = self.parts.iter().any(|part| matches!(part, Part::Any));
        (!any).then_some(self.parts.len())
    }

    /// Whether a path below the workspace is meant.
    pub(super) fn matches(&self, path: &Path) -> bool {
        // Which beginnings of the pattern fit what was read of the path.
        let mut fits = vec![false; self.parts.len() + 1];
        fits[0] = true;
        self.skip(&mut fits);
        for name in path {
            let mut next = vec![false; fits.len()];
            for (at, part) in self.parts.iter().enumerate() {
                match part {
                    Part::Any => next[at] |= fits[at],
                    Part::Name(wanted) => next[at + 1] |= fits[at] && name_matches(wanted, name.as_bytes()),
                }
            }
            self.skip(&mut next);
            fits = next;
        }
        fits[self.parts.len()]
    }

    /// `**` may stand for nothing.
    fn skip(&self, fits: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::Any) {
                fits[at + 1] |= fits[at];
            }
        }
    }
}

/// One name against one part, going back at most to the last `*`.
fn name_matches(wanted: &[u8], name: &[u8]) -> bool {
    let (mut w, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match wanted.get(w) {
            Some(b'*') => {
                star = Some((w, n));
                w += 1;
            }
            Some(b) if *b == b'?' || *b == name[n] => {
                w += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    w = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    wanted[w..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(Path::new(path))
    }

    #[test]
    fn wildcards_mean_what_a_shell_means() {
        assert!(fits("a/b.xml", "a/b.xml") && fits("./a/b.xml", "a/b.xml") && fits("/workspace/a", "a"));
        assert!(fits("*.xml", "a.xml") && !fits("*.xml", "d/a.xml"));
        assert!(fits("**/*.xml", "a.xml") && fits("**/*.xml", "d/e/a.xml"));
        assert!(fits("a/**/t?st-*.xml", "a/b/c/test-1.xml") && !fits("a/**/t?st-*.xml", "b/test-1.xml"));
        assert!(fits("a/**", "a/b/c") && fits("**/**/x", "x") && !fits("a/*/c", "a/b/b/c"));
        assert!(fits("*a*b*c*", "xxaxxbxxcxx") && !fits("*a*b*c*", "xxaxxcxxbxx"));
    }

    #[test]
    fn what_leaves_the_workspace_or_names_nothing_is_refused() {
        for wrong in ["../x", "/etc/*", "a/../../x", ".", ""] {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_a_star(name in "[a-z][a-z.]{0,19}") {
            prop_assert!(fits(&name, &name) && fits("*", &name) && fits("**", &name));
        }

        #[test]
        fn any_pattern_ends_quickly(pattern in "[*?a/]{1,60}", path in "[a/]{1,60}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(Path::new(&path));
            }
        }
    }
}
