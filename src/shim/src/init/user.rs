//! The user that an image asks for, by the image's own /etc/passwd and /etc/group.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use danube_shim::start::ContainerStart;

/// The most that is read of a file that an image brought.
const FILE_LIMIT: u64 = 4 << 20;

/// Who a command runs as, within the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct User {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Further groups.
    pub(super) groups: Vec<u32>,
    home: Option<String>,
}

/// Looks the user up, and writes it into `start` with its home directory where that was given none.
pub(super) fn settle(start: &mut ContainerStart) -> Result<Vec<u32>, String> {
    let read = |path: &str| read(Path::new(path));
    let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
    let user = match &start.user {
        Some(wanted) => find(wanted, &passwd, &group)?,
        None => {
            User { uid: start.uid, gid: start.gid, home: home_of(start.uid.unwrap_or(0), &passwd), ..User::default() }
        }
    };
    (start.uid, start.gid) = (user.uid, user.gid);
    if !start.env.iter().any(|(name, _)| name == "HOME") {
        let home = user.home.unwrap_or_else(|| if user.uid.unwrap_or(0) == 0 { "/root" } else { "/" }.to_owned());
        start.env.push(("HOME".to_owned(), home));
    }
    Ok(user.groups)
}

/// `user`, `uid`, `user:group`, `uid:gid` and mixtures; nothing is the container's root.
fn find(wanted: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match wanted.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted, None),
    };
    let number = name.parse::<u32>().ok();
    let entry = entries(passwd).find(|fields| match number {
        Some(uid) => fields.get(2).is_some_and(|field| field.parse() == Ok(uid)),
        None => fields[0] == name,
    });
    let field = |n: usize| entry.as_ref().and_then(|fields| fields.get(n)).copied();
    let uid = match (number, name.is_empty()) {
        (Some(uid), _) => uid,
        (None, true) => 0,
        (None, false) => field(2).and_then(|uid| uid.parse().ok()).ok_or_else(|| {
            format!("the image's user '{name}' is not in its /etc/passwd: name a numeric uid with user= in the step")
        })?,
    };
    let gid = match group_name.filter(|group| !group.is_empty()) {
        Some(group_name) => match group_name.parse() {
            Ok(gid) => gid,
            Err(_) => entries(group)
                .find(|fields| fields[0] == group_name)
                .and_then(|fields| fields.get(2)?.parse().ok())
                .ok_or_else(|| format!("the image's group '{group_name}' is not in its /etc/group"))?,
        },
        None => field(3).and_then(|gid| gid.parse().ok()).unwrap_or(0),
    };
    let login = entry.as_ref().map_or(name, |fields| fields[0]);
    let member = |fields: &Vec<&str>| fields.get(3).is_some_and(|all| all.split(',').any(|one| one == login));
    let mut groups: Vec<u32> = Vec::new();
    if group_name.is_none() && !login.is_empty() {
        groups = entries(group).filter(member).filter_map(|fields| fields.get(2)?.parse().ok()).take(64).collect();
    }
    let home = field(5).filter(|home| home.starts_with('/')).map(str::to_owned);
    Ok(User { uid: Some(uid), gid: Some(gid), groups, home })
}

fn home_of(uid: u32, passwd: &str) -> Option<String> {
    let entry = entries(passwd).find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(uid)))?;
    entry.get(5).filter(|home| home.starts_with('/')).map(|home| (*home).to_owned())
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

/// A file as text; nothing where it can't be read: an image may have none, or put there what it likes.
fn read(path: &Path) -> String {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Ok(file) = opened else { return String::new() };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    let _partly = file.take(FILE_LIMIT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nodd:x:no:1\n";
    const GROUP: &str = "root:x:0:\ndocker:x:44:other,node\nnode:x:1001:\n";

    fn found(wanted: &str) -> (u32, u32, Vec<u32>) {
        let user = find(wanted, PASSWD, GROUP).unwrap();
        (user.uid.unwrap(), user.gid.unwrap(), user.groups)
    }

    #[test]
    fn an_images_user_is_found_by_name_and_number() {
        assert_eq!(found("node"), (1000, 1001, vec![44]));
        assert_eq!(found("1000"), (1000, 1001, vec![44]));
        assert_eq!(found("node:docker"), (1000, 44, vec![]));
        assert_eq!(found("node:7"), (1000, 7, vec![]));
        assert_eq!(found("4242"), (4242, 0, vec![]));
        assert_eq!(found("4242:9"), (4242, 9, vec![]));
        assert_eq!(found(""), (0, 0, vec![]));
        assert_eq!(find("node", PASSWD, GROUP).unwrap().home.as_deref(), Some("/home/node"));
    }

    #[test]
    fn a_user_that_the_image_does_not_have_is_named() {
        for (wanted, named) in [("nobody", "'nobody'"), ("odd", "'odd'"), ("node:none", "'none'")] {
            let error = find(wanted, PASSWD, GROUP).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        assert_eq!(read(Path::new("/dev/zero")), "");
        assert_eq!(read(Path::new("/nonexistent/passwd")), "");
    }
}
