//! Links of which much is unread: nobody drains, or everybody was late.

use std::thread;

use serde_json::{json, Value};
use tokio_tungstenite::tungstenite::Message;

use super::model::{End, PATIENCE, REGISTER};
use super::*;

/// A silence that kills a link.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Links that are open, with their first heartbeat on its way.
fn opened(pump: &Arc<Pump>, count: usize) -> Vec<End> {
    let mut dial = Dial::new("ws://127.0.0.1/", REGISTER);
    dial.policy.interval = TIMEOUT;
    dial.policy.timeout = TIMEOUT;
    dial.max_pushes = 2 * MAX_GUARDED;
    let mut ends: Vec<_> = (0..count)
        .map(|place| End::new(pump, place, &dial))
        .collect();
    for end in &mut ends {
        end.push(0, 0);
    }
    wait(|| {
        pump.drain(MAX_GUARDED);
        ends.iter().all(|end| end.link.stats().is_some())
    });
    ends
}

/// The server answers the heartbeat, behind so many pushes, and all of it has arrived.
fn answer(end: &mut End, pushes: usize) {
    let server = end.server.as_mut().unwrap();
    let mut request = Value::Null;
    wait(|| {
        if let Ok(Message::Text(text)) = server.read() {
            request = text.parse().unwrap();
        }
        request["lwp"] == "/!"
    });
    end.push(pushes, 0);
    let answer = json!({"code": 200, "headers": {"mid": request["headers"]["mid"]}}).to_string();
    end.unsent.push_back(Message::text(&answer));
    let mut arrived = vec![0; 1 << 20];
    wait(|| {
        end.push(0, 0);
        let size = end.twin.peek(&mut arrived).unwrap_or(0);
        arrived[..size].ends_with(answer.as_bytes())
    });
}

fn wait(mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "never happens");
        thread::yield_now();
    }
}

/// Turns, after a time in which nobody did, until all is read; every link has to live.
fn read_late(pump: &Pump, ends: &[End]) {
    let late = Instant::now() + 2 * TIMEOUT;
    wait(|| {
        let mut works = lock(&pump.works);
        works.turn(usize::MAX, late);
        works.leave();
        for Event { news, .. } in &works.mailbox {
            assert!(!matches!(news, News::Closed(_)), "{news:?}");
        }
        let answered = |end: &End| end.link.stats().is_some_and(|stats| stats.answered > 0);
        ends.iter().all(answered)
    });
}

#[test]
fn an_answer_behind_much_else_is_no_silence() {
    let pump = Pump::new().unwrap();
    let mut ends = opened(&pump, 1);
    answer(&mut ends[0], 1000);
    read_late(&pump, &ends);
}

#[test]
fn an_answer_that_the_poller_has_not_told_yet_is_no_silence() {
    let pump = Pump::new().unwrap();
    let mut ends = opened(&pump, 3 * MAX_TOLD);
    for end in &mut ends {
        answer(end, 0);
    }
    read_late(&pump, &ends);
}

#[test]
fn the_guard_reads_a_link_though_the_mailbox_is_full_of_another() {
    let pump = Pump::new().unwrap();
    let mut ends = opened(&pump, 2);
    for (end, count) in ends.iter_mut().zip([MAX_GUARDED, 1]) {
        end.push(count, 0);
        wait(|| {
            end.push(0, 0);
            pump.turn();
            end.link.stats().unwrap().pushes == count as u64
        });
    }
}
