//! The life of a link, told by its task.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{sleep_until, timeout_at, Instant};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::closed::{refused, Closed, Trouble};
use super::dial::Target;
use super::keepalive::{Beat, Cause, Keepalive, Policy};
use super::link::{Burst, Link, Order};
use super::mailbox::Mailbox;
use super::{Event, Frame, News};
use crate::envelope::{heartbeat, mid, request_id, Envelope, Kind};
use crate::error::{DecodeError, Reason, Utf8Fault};

/// Frames that may come before the answer to the registration.
const MAX_EARLY: usize = 4096;

/// Bytes of such frames.
const MAX_EARLY_BYTES: usize = 64 << 20;

/// Opens the link, keeps it up, and reports its one end.
pub(super) async fn run(link: Arc<Link>, mailbox: Arc<Mailbox<Event>>, target: Target) {
    let closed = Closed::new(Trouble::Link, "internal error");
    let mut last = LastWords {
        link: &link,
        mailbox: &mailbox,
        closed,
    };
    let deadline = Instant::now() + target.dial.open_timeout;
    // Boxed, because a link would keep the room that opening takes for as long as it lives.
    last.closed = match Box::pin(open(&link, &target, deadline)).await {
        Ok(()) => Life::new(&link, &mailbox, target, deadline).live().await,
        Err(closed) => closed,
    };
}

/// Posts `Closed` however the task ends.
struct LastWords<'a> {
    link: &'a Arc<Link>,
    mailbox: &'a Mailbox<Event>,
    closed: Closed,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        self.link.end();
        let news = News::Closed(self.closed.clone());
        self.mailbox.post([Event::new(self.link, news)]);
    }
}

/// Gets a socket and sends the registration.
async fn open(link: &Link, target: &Target, deadline: Instant) -> Result<(), Closed> {
    let ordered = async {
        while link.ordered().is_none() {
            link.woken().await;
        }
    };
    let socket = tokio::select! {
        biased;
        () = ordered => return Err(Closed::new(Trouble::Closed, "closed before it was open")),
        opened = timeout_at(deadline, target.open(deadline)) => opened.unwrap_or_else(|_| {
            Err(Closed::new(Trouble::Network, "the server did not answer the handshake in time"))
        })?,
    };
    link.start(socket, &target.dial.register);
    Ok(())
}

/// A link with a socket.
struct Life<'a> {
    link: &'a Arc<Link>,
    mailbox: &'a Mailbox<Event>,
    policy: Policy,
    close_timeout: Duration,
    stage: Stage,
    /// Once we said goodbye: how long the server may take to answer it.
    closing: Option<Instant>,
    pushes: u64,
}

enum Stage {
    /// Waits until `deadline` for the answer to the registration; `early` came before it.
    Registering {
        mid: String,
        sent: Instant,
        deadline: Instant,
        early: Vec<Event>,
    },
    Open(Keepalive),
}

impl<'a> Life<'a> {
    /// Keeps of the target only what is still needed: tokens and cookies are not.
    fn new(
        link: &'a Arc<Link>,
        mailbox: &'a Mailbox<Event>,
        target: Target,
        deadline: Instant,
    ) -> Life<'a> {
        Life {
            link,
            mailbox,
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
        }
    }

    async fn live(mut self) -> Closed {
        let closed = match self.talk().await {
            Ok(never) => match never {},
            Err(closed) => closed,
        };
        self.post_early();
        match self.closing {
            // Whatever ended it now, we wanted it.
            Some(_) if closed.trouble != Trouble::Closed => Closed {
                trouble: Trouble::Closed,
                reason: "closed".to_owned(),
                ..closed
            },
            _ => closed,
        }
    }

    async fn talk(&mut self) -> Result<Infallible, Closed> {
        let mut sleep = pin!(sleep_until(Instant::now()));
        loop {
            self.obey()?;
            let room = match &self.stage {
                // Nobody can drain what comes before the registration's answer.
                Stage::Registering { early, .. }
                    if early.len() < MAX_EARLY && self.link.held() < MAX_EARLY_BYTES =>
                {
                    Some(self.link.limits())
                }
                Stage::Registering { .. } => {
                    let reason = "too many frames before the registration's answer";
                    return Err(Closed::new(Trouble::Protocol, reason));
                }
                Stage::Open(_) => self.link.room(),
            };
            let due = self.due(room.is_some())?;
            if sleep.deadline() != due {
                sleep.as_mut().reset(due);
            }
            let burst = tokio::select! {
                // What was heard comes first: it may be the heartbeat's answer.
                biased;
                burst = poll_fn(|cx| self.link.poll_burst(cx, room)) => burst,
                () = self.link.woken() => continue,
                () = &mut sleep => continue,
            };
            self.take(burst)?;
        }
    }

    /// Carries out what the user wants.
    fn obey(&mut self) -> Result<(), Closed> {
        match self.link.ordered() {
            Some(Order::Abort) => Err(Closed::new(Trouble::Closed, "shut down")),
            Some(Order::Close(code)) if self.closing.is_none() => {
                self.closing = Some(Instant::now() + self.close_timeout);
                self.link.say_goodbye(code);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Does what is due and says when to come back.
    fn due(&mut self, listening: bool) -> Result<Instant, Closed> {
        let now = Instant::now();
        let (deadline, trouble, late) = match (self.closing, &mut self.stage) {
            (Some(deadline), _) => (deadline, Trouble::Closed, "no answer to the close frame"),
            (None, Stage::Registering { deadline, .. }) => (
                *deadline,
                Trouble::Network,
                "no answer to the registration in time",
            ),
            (None, Stage::Open(keepalive)) => return beat(self.link, keepalive, listening, now),
        };
        if now >= deadline {
            return Err(Closed::new(trouble, late));
        }
        Ok(deadline)
    }

    /// Posts what was read, all of it with one wake-up.
    fn take(&mut self, burst: Burst) -> Result<(), Closed> {
        let mut events = Vec::with_capacity(burst.messages.len());
        let mut end = burst.end;
        for message in burst.messages {
            if let Err(closed) = self.message(message, &mut events) {
                end = Some(closed);
                break;
            }
        }
        self.link.count(|stats| stats.pushes = self.pushes);
        match &mut self.stage {
            Stage::Registering { early, .. } => early.append(&mut events),
            Stage::Open(_) => self.mailbox.post(events),
        }
        end.map_or(Ok(()), Err)
    }

    fn message(&mut self, message: Message, events: &mut Vec<Event>) -> Result<(), Closed> {
        let (size, text) = match message {
            Message::Text(text) => (text.len(), Ok(text)),
            Message::Binary(bytes) => (bytes.len(), utf8(bytes)),
            // tungstenite answers pings by itself, and a burst ends at a close frame.
            _ => return Ok(()),
        };
        // A text of its own: the one that was read keeps a whole read buffer alive.
        let text = text.map(|text| Utf8Bytes::from(text.as_str().to_owned()));
        match text.and_then(Envelope::parse) {
            Ok(envelope) => self.frame(Arc::new(envelope), events),
            Err(error) => {
                self.report(News::Invalid { error, size }, events);
                Ok(())
            }
        }
    }

    fn frame(&mut self, frame: Frame, events: &mut Vec<Event>) -> Result<(), Closed> {
        match frame.kind() {
            Kind::Push => self.pushes += 1,
            Kind::Answer if self.answer(&frame, events)? => return Ok(()),
            _ => {}
        }
        self.report(News::Frame(frame), events);
        Ok(())
    }

    /// Takes an answer to one of our own requests: registration or heartbeat.
    fn answer(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<bool, Closed> {
        let Some(mid) = frame.mid() else {
            return Ok(false);
        };
        let now = Instant::now();
        match &mut self.stage {
            Stage::Registering {
                mid: ours,
                sent,
                early,
                ..
            } => {
                if request_id(&mid) != request_id(ours) {
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
                        vec![Event::new(self.link, News::Opened(frame.clone()))],
                    );
                    events.append(early);
                    events.extend(late);
                    self.stage = Stage::Open(Keepalive::new(self.policy, now.into_std()));
                }
                Ok(true)
            }
            Stage::Open(keepalive) => {
                let rtt = keepalive.answer(&mid, frame.code(), now.into_std());
                if let Some(rtt) = rtt {
                    self.link.count(|stats| {
                        stats.rtt = rtt;
                        stats.answered += 1;
                    });
                }
                Ok(rtt.is_some())
            }
        }
    }

    fn report(&self, news: News, events: &mut Vec<Event>) {
        self.link.hold(news.weight());
        events.push(Event::new(self.link, news));
    }

    /// Hands out what came before an answer that will not come any more.
    fn post_early(&mut self) {
        if let Stage::Registering { early, .. } = &mut self.stage {
            self.mailbox.post(early.drain(..));
        }
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
    let now = now.into_std();
    keepalive.listen(listening, now);
    loop {
        match keepalive.poll(now) {
            Beat::Send => {
                // Odd numbers, so that no request of the link's users has the same one.
                let mid = mid(fastrand::u16(0..500) * 2 + 1, milliseconds());
                link.beat(heartbeat(&mid));
                keepalive.sent(&mid, now);
            }
            Beat::Wait(until) => return Ok(Instant::from_std(until)),
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
