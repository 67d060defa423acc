//! The thread that turns the pump when its user is late, and when something is due.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::pump::Pump;

/// How long something may wait for the user.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is due is done together with what is due a little later: there are looks only so often.
const GRID: Duration = Duration::from_millis(4);

/// How the guard watches.
enum Watch {
    /// It waits for something to happen.
    Idle,
    /// Something happened: by then the user should have turned more often than so.
    Patient { until: Instant, turns: u64 },
}

/// Guards the pump until it has no link.
pub(super) fn run(pump: &Pump, ear: &UnixStream) {
    let start = Instant::now();
    let mut watch = Watch::Idle;
    let mut plan = pump.plan();
    while let Some(due) = plan {
        let due = on_grid(start, due);
        let now = Instant::now();
        if due <= now {
            plan = pump.turn();
            continue;
        }
        let mut nudged = false;
        match watch {
            Watch::Idle => {
                let [nudge, news] = wait(&[ear, pump], due);
                nudged = nudge;
                if news {
                    watch = Watch::patient(pump, start);
                }
            }
            Watch::Patient { until, .. } if now < until => {
                [nudged] = wait(&[ear], due.min(until));
            }
            // It turned: it is awake, and not watched any closer.
            Watch::Patient { turns, .. } if turns != pump.turns() => {
                watch = Watch::patient(pump, start);
            }
            Watch::Patient { .. } if wait(&[pump], now)[0] => {
                pump.turn();
                watch = Watch::patient(pump, start);
            }
            Watch::Patient { .. } => watch = Watch::Idle,
        }
        if nudged {
            let _ = (&*ear).read(&mut [0; 64]);
        }
        plan = pump.plan();
    }
}

impl Watch {
    fn patient(pump: &Pump, start: Instant) -> Watch {
        Watch::Patient {
            until: on_grid(start, Instant::now() + PATIENCE),
            turns: pump.turns(),
        }
    }
}

/// The first time on the grid after `due`.
fn on_grid(start: Instant, due: Instant) -> Instant {
    let over = due.saturating_duration_since(start).as_nanos() % GRID.as_nanos();
    due + GRID - Duration::from_nanos(over as u64)
}

/// Waits until one of them is readable, at most until then; says which are.
fn wait<const N: usize>(what: &[&dyn AsFd; N], until: Instant) -> [bool; N] {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left);
    let mut fds = what.map(|what| PollFd::from_borrowed_fd(what.as_fd(), PollFlags::IN));
    // Interrupted at worst: the guard looks again.
    let _ = poll(&mut fds, left.ok().as_ref());
    fds.map(|fd| !fd.revents().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_goes_on_for_ever() {
        let start = Instant::now();
        let year = Duration::from_secs(365 * 86_400);
        for due in [Duration::ZERO, GRID / 3, GRID * 5 / 2, year, year * 30] {
            let look = on_grid(start, start + due);
            assert!(look > start + due && look <= start + due + GRID);
            assert_eq!((look - start).as_nanos() % GRID.as_nanos(), 0);
        }
    }
}
