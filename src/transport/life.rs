//! The life of an open link, a turn at a time.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::closed::{refused, Closed, Trouble};
use super::dial::Target;
use super::keepalive::{Beat, Cause, Keepalive, Policy};
use super::link::{Burst, Link, Order, Weight};
use super::wire::{Feed, Unread};
use super::{Event, Frame, News};
use crate::envelope::{heartbeat, mid, request_id, Envelope, Kind};
use crate::error::{DecodeError, Reason, Utf8Fault};

/// Frames that may come before the answer to the registration.
const MAX_EARLY: usize = 4096;

/// Bytes of such frames.
const MAX_EARLY_BYTES: usize = 64 << 20;

/// What a turn came to.
#[derive(Debug)]
pub(super) struct Turn {
    /// Messages read.
    pub(super) count: usize,
    /// It wants another turn.
    pub(super) again: bool,
    /// When the next one is due in any case.
    pub(super) due: Instant,
}

/// A link with a socket.
pub(super) struct Life {
    link: Arc<Link>,
    unread: Unread,
    policy: Policy,
    close_timeout: Duration,
    stage: Stage,
    /// Once we said goodbye: how long the server may take to answer it.
    closing: Option<Instant>,
    pushes: u64,
    /// Of what this burst has brought, not yet entered into the link's books.
    unheld: Weight,
}

enum Stage {
    /// Waits until `deadline` for the answer to the registration; `early` came before it.
    Registering {
        mid: Option<String>,
        sent: Instant,
        deadline: Instant,
        early: Vec<Event>,
    },
    Open(Keepalive),
}

impl Life {
    /// Keeps of the target only what is still needed: tokens and cookies are not.
    pub(super) fn new(link: Arc<Link>, target: Target, deadline: Instant) -> Life {
        Life {
            link,
            unread: Unread::new(),
            policy: target.dial.policy,
            close_timeout: target.dial.close_timeout,
            stage: Stage::Registering {
                mid: target.mid,
                sent: Instant::now(),
                deadline,
                early: Vec::new(),
            },
            closing: None,
            pushes: 0,
            unheld: Weight::default(),
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn unread(&mut self) -> &mut Unread {
        &mut self.unread
    }

    /// Does what there is to be done at `now`; what was heard comes first, since it may be the
    /// heartbeat's answer.
    pub(super) fn turn(
        &mut self,
        feed: &mut Feed,
        news: &mut VecDeque<Event>,
        now: Instant,
    ) -> Result<Turn, Closed> {
        self.obey(now)?;
        let room = self.room()?;
        let burst = self.link.burst(feed, &mut self.unread, room);
        let (count, faulty) = (burst.count, burst.faulty);
        if let Stage::Open(keepalive) = &mut self.stage {
            keepalive.read(burst.size, now);
        }
        self.take(burst, news, now)?;
        let listening = self.room()?.is_some();
        // The heartbeat's answer may be among what is still unread.
        let due = self.due(listening && !self.unread.any, now)?;
        let again = faulty || (listening && self.unread.any);
        Ok(Turn { count, again, due })
    }

    /// Ends it and tells so.
    pub(super) fn end(mut self, closed: Closed, news: &mut VecDeque<Event>) {
        // What came before an answer that will not come any more.
        if let Stage::Registering { early, .. } = &mut self.stage {
            news.extend(early.drain(..));
        }
        let closed = match self.closing {
            // Whatever ended it now, we wanted it.
            Some(_) if closed.trouble != Trouble::Closed => Closed {
                trouble: Trouble::Closed,
                reason: "closed".to_owned(),
                ..closed
            },
            _ => closed,
        };
        news.push_back(Event::new(&self.link, News::Closed(closed), Instant::now()));
    }

    /// How much may be read.
    fn room(&self) -> Result<Option<Weight>, Closed> {
        match &self.stage {
            // Nobody can drain what comes before the registration's answer.
            Stage::Registering { early, .. }
                if early.len() < MAX_EARLY && self.link.held() < MAX_EARLY_BYTES =>
            {
                Ok(Some(self.link.limits()))
            }
            Stage::Registering { .. } => {
                let reason = "too many frames before the registration's answer";
                Err(Closed::new(Trouble::Protocol, reason))
            }
            Stage::Open(_) => Ok(self.link.room()),
        }
    }

    /// Carries out what the user wants.
    fn obey(&mut self, now: Instant) -> Result<(), Closed> {
        match self.link.ordered() {
            Some(Order::Abort) => Err(Closed::new(Trouble::Closed, "shut down")),
            Some(Order::Close(code)) if self.closing.is_none() => {
                self.closing = Some(now + self.close_timeout);
                self.link.say_goodbye(code);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Does what is due and says when to come back.
    fn due(&mut self, listening: bool, now: Instant) -> Result<Instant, Closed> {
        let (deadline, trouble, late) = match (self.closing, &mut self.stage) {
            (Some(deadline), _) => (deadline, Trouble::Closed, "no answer to the close frame"),
            (None, Stage::Registering { deadline, .. }) => (
                *deadline,
                Trouble::Network,
                "no answer to the registration in time",
            ),
            (None, Stage::Open(keepalive)) => return beat(&self.link, keepalive, listening, now),
        };
        if now >= deadline {
            return Err(Closed::new(trouble, late));
        }
        Ok(deadline)
    }

    /// Posts what was read.
    fn take(
        &mut self,
        burst: Burst,
        news: &mut VecDeque<Event>,
        now: Instant,
    ) -> Result<(), Closed> {
        let mut events = Vec::with_capacity(burst.messages.len());
        let mut end = burst.end;
        for message in burst.messages {
            if let Err(closed) = self.message(message, &mut events, now) {
                end = Some(closed);
                break;
            }
        }
        self.link.hold(mem::take(&mut self.unheld));
        self.link.count(|stats| stats.pushes = self.pushes);
        match &mut self.stage {
            Stage::Registering { early, .. } => early.append(&mut events),
            Stage::Open(_) => news.extend(events),
        }
        end.map_or(Ok(()), Err)
    }

    fn message(
        &mut self,
        message: Message,
        events: &mut Vec<Event>,
        now: Instant,
    ) -> Result<(), Closed> {
        let (size, text) = match message {
            Message::Text(text) => (text.len(), Ok(text)),
            Message::Binary(bytes) => (bytes.len(), utf8(bytes)),
            _ => return Ok(()),
        };
        match text.and_then(Envelope::parse) {
            Ok(envelope) => self.frame(Arc::new(envelope), events, now),
            Err(error) => {
                self.report(News::Invalid { error, size }, events, now);
                Ok(())
            }
        }
    }

    fn frame(&mut self, frame: Frame, events: &mut Vec<Event>, now: Instant) -> Result<(), Closed> {
        match frame.kind() {
            Kind::Push => self.pushes += 1,
            Kind::Answer if self.answer(&frame, events, now)? => return Ok(()),
            _ => {}
        }
        self.report(News::Frame(frame), events, now);
        Ok(())
    }

    /// Takes an answer to one of our own requests: registration or heartbeat.
    fn answer(
        &mut self,
        frame: &Frame,
        events: &mut Vec<Event>,
        now: Instant,
    ) -> Result<bool, Closed> {
        let Some(mid) = frame.mid() else {
            return Ok(false);
        };
        match &mut self.stage {
            Stage::Registering {
                mid: ours,
                sent,
                early,
                ..
            } => {
                let ours = ours.as_deref().map(request_id);
                if ours != Some(request_id(&mid)) {
                    return Ok(false);
                }
                if frame.code() != Some(200) {
                    return Err(refused(frame));
                }
                if self.closing.is_none() {
                    self.link.open(now - *sent);
                    // First of all that it is open, then what came before, then this burst's.
                    let late = mem::replace(
                        events,
                        vec![Event::new(&self.link, News::Opened(frame.clone()), now)],
                    );
                    events.append(early);
                    events.extend(late);
                    self.stage = Stage::Open(Keepalive::new(self.policy, now));
                }
                Ok(true)
            }
            Stage::Open(keepalive) => {
                let rtt = keepalive.answer(&mid, frame.code(), now);
                if let Some(rtt) = rtt {
                    self.link.count(|stats| {
                        stats.rtt = rtt;
                        stats.answered += 1;
                        stats.good += u64::from(frame.code() == Some(200));
                    });
                }
                Ok(rtt.is_some())
            }
        }
    }

    fn report(&mut self, news: News, events: &mut Vec<Event>, now: Instant) {
        self.unheld.add(news.weight());
        events.push(Event::new(&self.link, news, now));
    }
}

/// Takes binary data for text, which is all that this protocol speaks.
fn utf8(bytes: Bytes) -> Result<Utf8Bytes, DecodeError> {
    Utf8Bytes::try_from(bytes.clone()).map_err(|error| {
        DecodeError::new(
            Reason::Utf8(Utf8Fault::new(&bytes, error)),
            error.valid_up_to(),
        )
    })
}

fn milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Beats as often as it is due and says when to come back.
fn beat(
    link: &Link,
    keepalive: &mut Keepalive,
    listening: bool,
    now: Instant,
) -> Result<Instant, Closed> {
    keepalive.listen(listening, now);
    loop {
        match keepalive.poll(now) {
            Beat::Send => {
                // Odd numbers, so that no request of the link's users has the same one.
                let mid = mid(fastrand::u16(0..500) * 2 + 1, milliseconds());
                link.beat(heartbeat(&mid));
                keepalive.sent(&mid, now);
            }
            Beat::Wait(until) => return Ok(until),
            Beat::Dead(cause) => {
                let trouble = match cause {
                    Cause::Silent(_) => Trouble::Link,
                    Cause::Refused(..) => Trouble::Deaf,
                };
                return Err(Closed::new(trouble, cause.to_string()));
            }
        }
    }
}
