//! From a host's addresses to one connection, whichever answers first (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, Instant};

use super::closed::{is_lack, words, Closed, Trouble};

/// Time that an attempt has for itself (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses that a reason names for each thing that went wrong.
const MAX_NAMED: usize = 4;

/// Connects to the addresses, one after the other until one answers.
///
/// An attempt starts when the last one has failed or has had its head start; it goes on beside
/// the next. What went wrong with each is in the error's reason.
pub async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Closed> {
    let mut waiting = interleaved(addresses);
    let mut trying: Vec<SocketAddr> = Vec::new();
    let mut failed: Vec<(SocketAddr, io::Error)> = Vec::new();
    let mut tries = JoinSet::new();
    let mut next = Instant::now();
    while !(waiting.is_empty() && tries.is_empty()) {
        tokio::select! {
            biased;
            Some(Ok((address, outcome))) = tries.join_next(), if !tries.is_empty() => {
                match outcome {
                    Ok(stream) => return Ok(stream),
                    Err(error) => {
                        trying.retain(|other| *other != address);
                        failed.push((address, error));
                        next = Instant::now();
                    }
                }
            }
            () = sleep_until(deadline) => break,
            () = sleep_until(next), if !waiting.is_empty() => {
                if let Some(address) = waiting.pop_front() {
                    trying.push(address);
                    tries.spawn(async move { (address, TcpStream::connect(address).await) });
                }
                next = Instant::now() + HEAD_START;
            }
        }
    }
    let lack = failed.iter().any(|(_, error)| is_lack(error));
    let failed = failed
        .iter()
        .map(|(address, error)| (*address, words(error)));
    let silent = trying
        .iter()
        .map(|address| (*address, "no answer in time".to_owned()));
    let reason = sum_up(failed.chain(silent));
    let trouble = if lack {
        Trouble::Exhausted
    } else {
        Trouble::Network
    };
    Err(Closed::new(trouble, reason))
}

/// The addresses with their families in turns, the first one's first, each once.
pub fn interleaved(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let mut families: [VecDeque<SocketAddr>; 2] = Default::default();
    let mut order = VecDeque::with_capacity(addresses.len());
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    for address in addresses {
        let family = &mut families[usize::from(address.is_ipv6() != first_is_v6)];
        if !family.contains(address) {
            family.push_back(*address);
        }
    }
    let [mut first, mut second] = families;
    while !(first.is_empty() && second.is_empty()) {
        order.extend(first.pop_front());
        order.extend(second.pop_front());
    }
    order
}

/// One reason for all failures: each in words, once, with the addresses it happened at.
fn sum_up(failures: impl Iterator<Item = (SocketAddr, String)>) -> String {
    let mut groups: Vec<(String, Vec<SocketAddr>)> = Vec::new();
    for (address, words) in failures {
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, addresses)) => addresses.push(address),
            None => groups.push((words, vec![address])),
        }
    }
    if let [(words, addresses)] = &mut groups[..] {
        if addresses.len() == 1 {
            return std::mem::take(words);
        }
    }
    let named = groups.iter().map(|(words, addresses)| {
        let shown = addresses.iter().take(MAX_NAMED);
        let mut shown: Vec<String> = shown.map(|address| address.ip().to_string()).collect();
        if addresses.len() > MAX_NAMED {
            shown.push(format!("{} more", addresses.len() - MAX_NAMED));
        }
        format!("{words} ({})", shown.join(", "))
    });
    named.collect::<Vec<_>>().join(", ")
}
