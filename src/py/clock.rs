//! A clock that never goes back, in seconds.

/// Returns the time of the system's last tick, at most a few milliseconds ago.
// Reading the hardware's counter, as `Instant` does, takes four times as long.
#[cfg(target_os = "linux")]
pub(super) fn monotonic() -> f64 {
    use rustix::time::{clock_gettime, ClockId};

    let time = clock_gettime(ClockId::MonotonicCoarse);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Returns the time since its first use.
#[cfg(not(target_os = "linux"))]
pub(super) fn monotonic() -> f64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64()
}
