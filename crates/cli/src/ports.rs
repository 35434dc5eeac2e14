//! The wall clock and the source of ids: the only places that read either.

use lorekeep_types::{Clock, Ids};

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// UUIDv7 (RFC 9562): ordered by time, unique without coordination.
#[derive(Clone, Copy, Debug)]
pub struct UuidIds;

impl Ids for UuidIds {
    fn next(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }
}
