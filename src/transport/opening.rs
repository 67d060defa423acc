//! Opening a link: a task of the runtime, until the pump takes the connection over.

use std::sync::Arc;

use tokio::time::{timeout_at, Instant};

use super::closed::{Closed, Trouble};
use super::dial::Target;
use super::link::{Link, Order};
use super::pump::Pump;
use super::wire::Connection;

/// Opens the link, or reports that it ended.
pub(super) async fn run(link: Arc<Link>, pump: Arc<Pump>, target: Target) {
    let mut last = LastWords {
        link: &link,
        pump: &pump,
        closed: Some(Closed::new(Trouble::Link, "internal error")),
    };
    let deadline = Instant::now() + target.dial.open_timeout;
    last.closed = match open(&link, &target, deadline).await {
        Ok(connection) => {
            if target.dial.register.is_none() {
                link.order(Order::Close(1000));
            }
            pump.take_over(&link, connection, target, deadline.into_std());
            None
        }
        Err(closed) => Some(closed),
    };
}

/// Reports the end of a link that does not come to open, whatever happens to its task.
struct LastWords<'a> {
    link: &'a Arc<Link>,
    pump: &'a Pump,
    closed: Option<Closed>,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if let Some(closed) = self.closed.take() {
            self.pump.report(self.link, closed);
        }
    }
}

async fn open(link: &Link, target: &Target, deadline: Instant) -> Result<Connection, Closed> {
    tokio::select! {
        biased;
        () = link.until_ordered() => {
            Err(Closed::new(Trouble::Closed, "closed before it was open"))
        }
        opened = timeout_at(deadline, target.open(deadline)) => opened.unwrap_or_else(|_| {
            let reason = "the server did not answer the handshake in time";
            Err(Closed::new(Trouble::Network, reason))
        }),
    }
}
