//! Fault points: the named places at which something becomes durable.
//!
//! Every write transaction and every durable file write goes through one, so that a test can end the process
//! on either side of it, or refuse it as a broken or full disk would. Nothing is armed unless the process was
//! started with [`FAULTS`] or [`HITS`]; a point then costs one relaxed load of a flag.
//!
//! `DANUBE_FAULT=queue.claim:kill@3` kills the process when the third claim is about to be committed,
//! `queue.claim+:kill` after the first commit and before anybody is told of it; `shim.log:enospc@2+` refuses the
//! second write and all that follow. Several are separated by commas. With `DANUBE_FAULT_HITS=FILE` the name of
//! each point that is met is appended once per process, and `NAME:kill!` when a fault strikes; a fault that has struck
//! does not strike again in a process that is started later with the same file (unless it was meant to go on).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::{fmt, fs};

use serde::{Deserialize, Serialize};

use crate::sys;

/// The variable that says what fails.
pub const FAULTS: &str = "DANUBE_FAULT";
/// The variable that names the file of points that were met.
pub const HITS: &str = "DANUBE_FAULT_HITS";

/// Whether anything is armed at all.
static ARMED: AtomicBool = AtomicBool::new(false);
static PLAN: RwLock<Option<Plan>> = RwLock::new(None);

/// What is to fail, as the two variables say it; handed on to a process whose environment is cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// As in [`FAULTS`].
    #[serde(default)]
    pub faults: String,
    /// As in [`HITS`].
    #[serde(default)]
    pub hits: Option<PathBuf>,
}

impl Wish {
    fn from_environment() -> Option<Self> {
        let faults = std::env::var(FAULTS).unwrap_or_default();
        let hits = std::env::var_os(HITS).map(PathBuf::from);
        (!faults.is_empty() || hits.is_some()).then_some(Self { faults, hits })
    }

    /// The part that concerns points of a room, without what has struck already.
    fn of_room(&self, room: &str) -> Self {
        let struck = self.hits.as_deref().map(struck).unwrap_or_default();
        let ours = self.faults.split(',').filter(|text| {
            let text = text.trim();
            text.split('.').next() == Some(room) && (text.ends_with('+') || !struck.contains(label(text)))
        });
        Self { faults: ours.collect::<Vec<_>>().join(","), hits: self.hits.clone() }
    }
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Refuse(i32),
}

#[derive(Debug)]
struct Fault {
    /// With a `+` at its end where it lies behind the write.
    name: String,
    /// Name and kind, as a strike is told.
    label: String,
    kind: Kind,
    /// The meeting at which it strikes, from 1.
    first: u64,
    /// Whether it goes on striking.
    on: bool,
    met: AtomicU64,
}

#[derive(Debug)]
struct Plan {
    wish: Wish,
    faults: Vec<Fault>,
    hits: Option<File>,
    /// What is in the file already; as many as there are points.
    told: Mutex<BTreeSet<String>>,
}

/// A wish that can't be understood or carried out.
#[derive(Debug)]
pub struct BadWish(String);

impl fmt::Display for BadWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadWish {}

/// Arms this process by its environment, once, before anything is written.
pub fn arm_by_environment() -> Result<(), BadWish> {
    Wish::from_environment().map_or(Ok(()), |wish| arm(&wish))
}

/// Arms this process: what was armed before is forgotten.
pub fn arm(wish: &Wish) -> Result<(), BadWish> {
    let struck = wish.hits.as_deref().map(struck).unwrap_or_default();
    let words = wish.faults.split(',').map(str::trim).filter(|text| !text.is_empty());
    let faults: Vec<Fault> = words.map(read).collect::<Result<_, _>>()?;
    let faults = faults.into_iter().filter(|fault| fault.on || !struck.contains(&fault.label)).collect();
    let hits = wish.hits.as_deref().map(|path| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map_err(|error| BadWish(format!("{HITS}: cannot open {}: {error}", path.display())))
    });
    let plan = Plan { wish: wish.clone(), faults, hits: hits.transpose()?, told: Mutex::default() };
    *PLAN.write().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    ARMED.store(true, Ordering::Relaxed);
    Ok(())
}

/// What this process hands on to one that gets no environment: the part for a room's points (`shim`), without
/// what has struck already. `None` where nothing is armed.
pub fn handed_on(room: &str) -> Option<Wish> {
    if !ARMED.load(Ordering::Relaxed) {
        return None;
    }
    PLAN.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|plan| plan.wish.of_room(room))
}

/// Name and kind of a fault that was asked for.
fn label(text: &str) -> &str {
    text.split('@').next().unwrap_or(text)
}

/// What is marked in a file of hits as struck: name and kind.
fn struck(hits: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(hits).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_suffix('!')).map(str::to_owned).collect()
}

fn read(text: &str) -> Result<Fault, BadWish> {
    let wrong = |why: &str| BadWish(format!("{FAULTS}: '{text}' {why}; write NAME:kill, NAME+:kill@3 or NAME:eio@1+"));
    let (name, what) = text.split_once(':').ok_or_else(|| wrong("names no fault"))?;
    let (kind, when) = what.split_once('@').unwrap_or((what, "1"));
    let kind = match kind {
        "kill" => Kind::Kill,
        "eio" => Kind::Refuse(libc::EIO),
        "enospc" => Kind::Refuse(libc::ENOSPC),
        _ => return Err(wrong("has an unknown fault")),
    };
    if name.ends_with('+') && kind != Kind::Kill {
        return Err(wrong("refuses what is done already"));
    }
    let (first, on) = when.strip_suffix('+').map_or((when, false), |first| (first, true));
    let first = first.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("does not say at which meeting"))?;
    Ok(Fault { name: name.to_owned(), label: label(text).to_owned(), kind, first, on, met: AtomicU64::new(0) })
}

/// Something is about to become durable; an error is to be treated as the write's own.
///
/// Names are `room.what`, one per place in the source; a test holds their list.
pub fn before(point: &'static str) -> io::Result<()> {
    if ARMED.load(Ordering::Relaxed) { meet(Cow::Borrowed(point)) } else { Ok(()) }
}

/// It is durable now, and nobody has been told.
pub fn after(point: &'static str) {
    if ARMED.load(Ordering::Relaxed) {
        // Nothing but a kill can be asked for here.
        let _alive = meet(Cow::Owned(format!("{point}+")));
    }
}

/// Does a durable write between the two sides of its point.
pub fn around<T, E: From<io::Error>>(point: &'static str, write: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    before(point)?;
    let done = write()?;
    after(point);
    Ok(done)
}

fn meet(name: Cow<'static, str>) -> io::Result<()> {
    let plan = PLAN.read().unwrap_or_else(PoisonError::into_inner);
    let Some(plan) = plan.as_ref() else { return Ok(()) };
    if plan.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone().into_owned()) {
        plan.tell(&name, "");
    }
    for fault in plan.faults.iter().filter(|fault| fault.name == name) {
        let met = fault.met.fetch_add(1, Ordering::Relaxed) + 1;
        if met < fault.first || (met > fault.first && !fault.on) {
            continue;
        }
        plan.tell(&fault.label, "!");
        match fault.kind {
            Kind::Kill => sys::kill_self(),
            Kind::Refuse(number) => return Err(io::Error::from_raw_os_error(number)),
        }
    }
    Ok(())
}

impl Plan {
    /// One line, in one write: other processes write to the same file.
    fn tell(&self, name: &str, mark: &str) {
        if let Some(mut hits) = self.hits.as_ref() {
            // A list of hits that can't be written is noticed by who reads it.
            let _untold = hits.write_all(format!("{name}{mark}\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: what is armed is the whole process's.
    #[test]
    fn a_fault_strikes_at_its_meeting_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let hits = dir.path().join("hits");
        let wish = |faults: &str| Wish { faults: faults.to_owned(), hits: Some(hits.clone()) };
        let kind = |point| before(point).map_err(|error| error.raw_os_error()).err().flatten();
        assert_eq!(kind("a.one"), None);

        arm(&wish("a.one:eio@2, a.two:enospc@2+")).unwrap();
        assert_eq!([kind("a.one"), kind("a.one"), kind("a.one")], [None, Some(libc::EIO), None]);
        assert_eq!([kind("a.two"), kind("a.two"), kind("a.two")], [None, Some(libc::ENOSPC), Some(libc::ENOSPC)]);
        let written: Result<(), io::Error> = around("a.three", || Ok(()));
        assert!(written.is_ok());
        let told = fs::read_to_string(&hits).unwrap();
        assert_eq!(told, "a.one\na.one:eio!\na.two\na.two:enospc!\na.two:enospc!\na.three\na.three+\n");

        // What struck once is spent for later processes; what was to go on goes on.
        arm(&wish("a.one:eio@1,a.two:enospc@1+,a.three:eio")).unwrap();
        let kinds = [kind("a.one"), kind("a.two"), kind("a.three")];
        assert_eq!(kinds, [None, Some(libc::ENOSPC), Some(libc::EIO)]);
        assert_eq!(wish("a.one:eio,a.two:eio@1+,b.one:kill").of_room("a").faults, "a.two:eio@1+");
        assert_eq!(wish("a.one:eio,a.two:eio@1+,b.one:kill").of_room("b").faults, "b.one:kill");
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_refused() {
        for text in ["queue.claim", "queue.claim:explode", "queue.claim:kill@0", "queue.claim:kill@x", "a.b+:eio"] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(text) && said.contains("NAME:kill"), "{said}");
        }
    }
}
