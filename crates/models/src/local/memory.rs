//! How much memory there is, and whether a model fits into it.

use std::path::Path;

use super::fault::LocalError;

/// Left free for everything else.
const RESERVE: u64 = 256 << 20;

/// Refuses what would not fit. Where the system does not tell, everything fits.
pub(super) fn check(needed: u64) -> Result<(), LocalError> {
    match free() {
        Some(free) if needed.saturating_add(RESERVE) > free => Err(LocalError::Memory { needed, free }),
        _ => Ok(()),
    }
}

/// Bytes that a process may still take: what the system calls available, or less inside a container's limit.
#[must_use]
pub fn free() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let system = kib_of(&meminfo, "MemAvailable:")?;
    let number = |path: &str| std::fs::read_to_string(Path::new(path)).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    Some(limit.zip(used).map_or(system, |(limit, used)| system.min(limit.saturating_sub(used))))
}

/// Bytes of this process that are in memory.
#[must_use]
pub fn resident() -> Option<u64> {
    kib_of(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// A line of `proc(5)`, such as `VmRSS:   1234 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes as GiB, for people.
pub(super) fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let error = check(u64::MAX / 2).unwrap_err();
        assert!(error.to_string().contains("GiB of memory; "), "{error}");
        assert!(error.remedy().unwrap().contains("GGUF"));
        assert!(check(1).is_ok());
    }

    #[test]
    fn lines_of_proc_are_read() {
        assert_eq!(kib_of("Name:\tx\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12 << 10));
        assert!(resident().unwrap() > 1 << 20 && free().unwrap() > 0);
    }
}
