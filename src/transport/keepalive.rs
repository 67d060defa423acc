//! When to beat, and when a link counts as dead. Time is an argument.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::envelope::request_id;

/// Beats that may wait for their answers; older ones are forgotten.
const MAX_OPEN: usize = 256;

/// Bytes that may lie in front of an answer that is there in time: what the socket buffers of both
/// sides hold, and a queue of the server's.
const MAX_AHEAD: u64 = 64 << 20;

/// How often to beat and how much silence to bear.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Time between two beats.
    pub interval: Duration,
    /// Time without a good answer after which the link is dead.
    pub timeout: Duration,
    /// Answers in a row with a code other than 200 after which the link is dead.
    pub misses: u32,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Send a heartbeat and report it to [`Keepalive::sent`].
    Send,
    /// Nothing before this time, unless something happens.
    Wait(Instant),
    /// Give the link up.
    Dead(Cause),
}

/// Why a link counts as dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No good answer for so long.
    Silent(Duration),
    /// So many answers in a row had another code than 200; the last one's code.
    Refused(u32, Option<i64>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Silent(time) => {
                let seconds = time.as_secs_f64();
                write!(f, "no heartbeat was answered for {seconds} s")
            }
            Cause::Refused(times, Some(code)) => {
                write!(
                    f,
                    "{times} heartbeats in a row were answered with code {code}"
                )
            }
            Cause::Refused(times, None) => {
                write!(
                    f,
                    "{times} heartbeats in a row were answered without a code"
                )
            }
        }
    }
}

/// The heartbeat of one registered link.
#[derive(Clone, Debug)]
pub struct Keepalive {
    policy: Policy,
    next: Instant,
    /// The last good answer, moved on by the time in which nobody listened.
    heard: Instant,
    deaf_since: Option<Instant>,
    answered: Instant,
    /// Bytes read since the last good answer, once it is longer ago than the timeout.
    ahead: u64,
    refused: u32,
    last_code: Option<i64>,
    open: VecDeque<(String, Instant)>,
}

impl Keepalive {
    /// Starts at `now`, the time of the registration: it counts as a good answer, and the
    /// first beat is due at once.
    pub fn new(policy: Policy, now: Instant) -> Keepalive {
        Keepalive {
            policy,
            next: now,
            heard: now,
            deaf_since: None,
            answered: now,
            ahead: 0,
            refused: 0,
            last_code: None,
            open: VecDeque::new(),
        }
    }

    /// Says what is to be done at `now`.
    pub fn poll(&mut self, now: Instant) -> Beat {
        if self.refused >= self.policy.misses {
            return Beat::Dead(Cause::Refused(self.refused, self.last_code));
        }
        let dead = self.heard + self.policy.timeout;
        if self.ahead > MAX_AHEAD || (self.deaf_since.is_none() && now >= dead) {
            return Beat::Dead(Cause::Silent(self.policy.timeout));
        }
        if now >= self.next {
            // Keep the rhythm, but do not make up for beats that were missed altogether.
            let rhythm = self.next + self.policy.interval;
            self.next = if rhythm > now {
                rhythm
            } else {
                now + self.policy.interval
            };
            return Beat::Send;
        }
        Beat::Wait(if self.deaf_since.is_some() {
            self.next
        } else {
            self.next.min(dead)
        })
    }

    /// Notes that the heartbeat with this `mid` was sent.
    pub fn sent(&mut self, mid: &str, now: Instant) {
        if self.open.len() == MAX_OPEN {
            self.open.pop_front();
        }
        self.open.push_back((request_id(mid).to_owned(), now));
    }

    /// Takes an answer if it belongs to a heartbeat, and gives its round-trip time.
    pub fn answer(&mut self, mid: &str, code: Option<i64>, now: Instant) -> Option<Duration> {
        let id = request_id(mid);
        let index = self.open.iter().position(|(open, _)| open == id)?;
        let (_, sent) = self.open.remove(index)?;
        self.last_code = code;
        if code == Some(200) {
            self.heard = now;
            self.answered = now;
            self.ahead = 0;
            self.deaf_since = self.deaf_since.and(Some(now));
            self.refused = 0;
        } else {
            self.refused += 1;
        }
        Some(now.duration_since(sent))
    }

    /// Notes that so much was read, before the answers in it are taken.
    ///
    /// What is unread may hold an answer, but not for ever: a server that sends faster than we
    /// read, and answers nothing, is as dead as one that sends nothing.
    pub fn read(&mut self, bytes: usize, now: Instant) {
        if now >= self.answered + self.policy.timeout {
            self.ahead += bytes as u64;
        }
    }

    /// Says whether all is read: silence while it is not is not the server's.
    pub fn listen(&mut self, listening: bool, now: Instant) {
        match (listening, self.deaf_since) {
            (false, None) => self.deaf_since = Some(now),
            (true, Some(since)) => {
                self.heard += now.duration_since(since);
                self.deaf_since = None;
            }
            _ => {}
        }
    }
}
