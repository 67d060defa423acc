//! The thread that turns the pump when its user is late, and when something is due.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::pump::Pump;

/// How long something may wait for the user.
const PATIENCE: Duration = Duration::from_millis(10);

/// Times that are due are met together, this far apart.
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
    while let Some(due) = pump.plan(|due| due.map(|due| on_grid(start, due))) {
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            pump.turn();
            continue;
        }
        watch = match watch {
            Watch::Idle if wait(&[ear, pump], due)[1] => Watch::Patient {
                until: Instant::now() + PATIENCE,
                turns: pump.turns(),
            },
            Watch::Patient { until, turns } if until <= now => {
                let late = pump.turns() == turns;
                if late && !readable(pump) {
                    Watch::Idle
                } else {
                    if late {
                        pump.turn();
                    }
                    Watch::Patient {
                        until: now + PATIENCE,
                        turns: pump.turns(),
                    }
                }
            }
            Watch::Patient { until, .. } => {
                wait(&[ear], Some(due.map_or(until, |due| due.min(until))));
                watch
            }
            Watch::Idle => watch,
        };
        let _ = (&*ear).read(&mut [0; 64]);
    }
}

/// The first time on the grid that is not before `due`.
fn on_grid(start: Instant, due: Instant) -> Instant {
    let steps = due
        .saturating_duration_since(start)
        .as_micros()
        .div_ceil(GRID.as_micros());
    start + GRID * u32::try_from(steps).unwrap_or(u32::MAX)
}

fn readable(pump: &Pump) -> bool {
    wait(&[pump], Some(Instant::now()))[0]
}

/// Waits until one of them is readable, at most until then; says which are.
fn wait<const N: usize>(what: &[&dyn AsFd; N], until: Option<Instant>) -> [bool; N] {
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 3600,
            tv_nsec: 0,
        })
    });
    let mut fds = what.map(|what| PollFd::from_borrowed_fd(what.as_fd(), PollFlags::IN));
    // Interrupted at worst: the guard looks again.
    let _ = poll(&mut fds, timeout.as_ref());
    fds.map(|fd| !fd.revents().is_empty())
}
