//! Gives memory that was freed back to the system.
//!
//! glibc gives back by itself only what lies at the end of its heap. What thousands of connections had lies below what others
//! still have, and stays the process's for ever. [`give_back`] is the only unsafe code of what is shipped: no crate has the call.

#[cfg(test)]
use overheard as _;

/// Gives every free page of the heap back, and returns whether there was any. Whoever allocates meanwhile waits: 0.1 ms when
/// there is little to give, some 10 ms for 90 MiB. Elsewhere than on glibc it does nothing: other allocators give back by
/// themselves.
#[must_use]
pub fn give_back() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: malloc_trim(3) takes a number, touches free memory only, and may be called by any thread at any time.
        #[expect(unsafe_code, reason = "the C library has no other way to say it")]
        let given = unsafe { libc::malloc_trim(0) };
        given == 1
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::fs;

    use super::*;

    fn resident_kib() -> usize {
        let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("and this of it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[test]
    fn what_lies_below_something_that_is_in_use_comes_back() {
        // Less than what glibc maps one by one, and more than what it keeps for a thread; each with something above it.
        let (blocks, still_in_use): (Vec<_>, Vec<_>) =
            (0..2000).map(|_| (vec![1_u8; 16 * 1024], vec![1_u8; 2048])).unzip();
        drop(blocks);
        let before = resident_kib();
        assert!(give_back());
        let after = resident_kib();
        assert!(before > after + 16 * 1024, "{before} KiB, then {after}");
        drop(still_in_use);
    }
}
