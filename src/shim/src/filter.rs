//! What a shim gives up for good once the container runs: starting programs, making connections,
//! reaching into other processes, changing the machine. It only reads pipes and writes files then.

use libc::{c_long, sock_filter};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Calls of the other ABI of x86-64 have this bit; none of them is needed.
const OTHER_ABI: u32 = 0x4000_0000;

/// A list of what is refused, not of what is allowed: a C library that is built differently must
/// not end a step.
const REFUSED: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_kill,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
];

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0000 | libc::EPERM as u32;

/// The program for [`crate::sys::set_filter`].
pub fn program() -> Vec<sock_filter> {
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    // A condition that holds goes on to the next instruction, which refuses; else it skips that.
    let when = |code, k| sock_filter { code, jt: 0, jf: 1, k };
    let mut program = vec![
        step(LOAD, ARCHITECTURE_AT),
        sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: ARCHITECTURE },
        step(RETURN, REFUSE),
        step(LOAD, NUMBER_AT),
        when(JUMP_IF_AT_LEAST, OTHER_ABI),
        step(RETURN, REFUSE),
    ];
    for number in REFUSED {
        program.push(when(JUMP_IF_EQUAL, *number as u32));
        program.push(step(RETURN, REFUSE));
    }
    program.push(step(RETURN, ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer.
    fn run(architecture: u32, number: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        let program = program();
        loop {
            let step = &program[at];
            at += 1;
            let holds = match step.code {
                LOAD => {
                    loaded = if step.k == NUMBER_AT { number } else { architecture };
                    continue;
                }
                RETURN => return step.k,
                JUMP_IF_EQUAL => loaded == step.k,
                _ => loaded >= step.k,
            };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn reading_and_writing_are_allowed_and_starting_programs_is_not() {
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_fdatasync, libc::SYS_accept4] {
            assert_eq!(run(ARCHITECTURE, number as u32), ALLOW);
        }
        for number in REFUSED {
            assert_eq!(run(ARCHITECTURE, *number as u32), REFUSE);
        }
    }

    #[test]
    fn another_architecture_is_no_way_around() {
        assert_eq!(run(ARCHITECTURE ^ 1, libc::SYS_read as u32), REFUSE);
        assert_eq!(run(ARCHITECTURE, OTHER_ABI | libc::SYS_execve as u32), REFUSE);
    }
}
