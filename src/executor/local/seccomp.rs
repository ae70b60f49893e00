//! The seccomp program of every container, compiled once and handed to crun ready-made.
//!
//! Stricter than the usual container profile: whatever is not on the list answers ENOSYS, and that
//! includes every way to a nested namespace (`unshare`, `setns`, `clone3`, `clone` with CLONE_NEW*),
//! the mount family, keyrings, bpf, perf, userfaultfd and io_uring.
use base64::Engine as _;
use seccompiler::{TargetArch, compile_from_json};

#[cfg(target_arch = "x86_64")]
const PROFILE: (&str, TargetArch) = (include_str!("seccomp_x86_64.json"), TargetArch::x86_64);
#[cfg(target_arch = "aarch64")]
const PROFILE: (&str, TargetArch) = (include_str!("seccomp_aarch64.json"), TargetArch::aarch64);

/// The program as crun's annotation takes it: base64 of the kernel's `sock_filter` array.
pub(super) fn program() -> Result<String, String> {
    let (text, arch) = PROFILE;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_architectures_compile() {
        for (text, arch) in [
            (include_str!("seccomp_x86_64.json"), TargetArch::x86_64),
            (include_str!("seccomp_aarch64.json"), TargetArch::aarch64),
        ] {
            let programs = compile_from_json(text.as_bytes(), arch).unwrap();
            assert!(programs["step"].len() > 200);
        }
        assert!(program().unwrap().len() > 2000);
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
