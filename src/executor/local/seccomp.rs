//! The seccomp program of every container, compiled once and handed to crun ready-made.
//!
//! Stricter than the usual container profile: whatever is not on the list answers ENOSYS, and that
//! includes every way to a nested namespace (`unshare`, `setns`, `clone3`, `clone` with CLONE_NEW*),
//! the mount family, keyrings, bpf, perf, userfaultfd and io_uring.
use base64::Engine as _;
use seccompiler::{TargetArch, compile_from_json};
use serde_json::{Value, json};

#[cfg(target_arch = "x86_64")]
const PROFILE: (&str, TargetArch) = (include_str!("seccomp_x86_64.json"), TargetArch::x86_64);
#[cfg(target_arch = "aarch64")]
const PROFILE: (&str, TargetArch) = (include_str!("seccomp_aarch64.json"), TargetArch::aarch64);

/// The program as crun's annotation takes it: base64 of the kernel's `sock_filter` array. `more` are calls that
/// nothing keeps away: none, but in a test of what the profile is good for.
pub(super) fn program<'a>(more: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let (text, arch) = PROFILE;
    let text = with(text, &more.collect::<Vec<_>>())?;
    let mut programs = compile_from_json(text.as_bytes(), arch).map_err(|e| e.to_string())?;
    let program = programs.remove("step").ok_or("the profile has no filter named step")?;
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        bytes.extend_from_slice(&instruction.code.to_ne_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_ne_bytes());
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// The profile with these calls allowed, whatever their arguments are.
fn with(text: &str, more: &[&str]) -> Result<String, String> {
    if more.is_empty() {
        return Ok(text.to_owned());
    }
    let mut profile: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let rules = profile["step"]["filter"].as_array_mut().ok_or("the profile has no list")?;
    rules.retain(|rule| !more.iter().any(|call| rule["syscall"] == *call));
    rules.extend(more.iter().map(|call| json!({ "syscall": call })));
    Ok(profile.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_let_through_replaces_its_conditions() {
        let (text, _) = PROFILE;
        let text = with(text, &["clone", "mount"]).unwrap();
        assert_eq!(text.matches("\"clone\"").count(), 1);
        assert!(text.contains(r#"{"syscall":"clone"}"#) && text.contains(r#"{"syscall":"mount"}"#));
        assert_ne!(program(["mount"].into_iter()).unwrap(), program(std::iter::empty()).unwrap());
    }

    #[test]
    fn both_architectures_compile() {
        for (text, arch) in [
            (include_str!("seccomp_x86_64.json"), TargetArch::x86_64),
            (include_str!("seccomp_aarch64.json"), TargetArch::aarch64),
        ] {
            let programs = compile_from_json(text.as_bytes(), arch).unwrap();
            assert!(programs["step"].len() > 200);
        }
        assert!(program(std::iter::empty()).unwrap().len() > 2000);
    }

    #[test]
    fn the_ways_out_are_not_on_the_list() {
        for text in [include_str!("seccomp_x86_64.json"), include_str!("seccomp_aarch64.json")] {
            for call in [
                "unshare",
                "setns",
                "clone3",
                "mount",
                "umount2",
                "pivot_root",
                "fsopen",
                "fsmount",
                "fsconfig",
                "move_mount",
                "open_tree",
                "mount_setattr",
                "keyctl",
                "add_key",
                "bpf",
                "perf_event_open",
                "userfaultfd",
                "io_uring_setup",
                "open_by_handle_at",
                "name_to_handle_at",
                "sethostname",
                "chroot",
                "reboot",
                "kexec_load",
                "init_module",
                "quotactl",
                "swapon",
            ] {
                assert!(!text.contains(&format!("\"{call}\"")), "{call}");
            }
        }
    }
}
