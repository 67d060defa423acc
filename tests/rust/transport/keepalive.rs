//! The heartbeat, with made-up time.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use xyfast::transport::keepalive::{Beat, Cause, Keepalive, Policy};

const POLICY: Policy = Policy {
    interval: Duration::from_secs(15),
    timeout: Duration::from_secs(30),
    misses: 3,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A keepalive at its start, whose first beat is out.
fn started() -> (Keepalive, Instant) {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(POLICY, start);
    assert_eq!(keepalive.poll(start), Beat::Send);
    keepalive.sent("1 0", start);
    (keepalive, start)
}

#[test]
fn beats_at_once_and_then_in_its_rhythm() {
    let (mut keepalive, start) = started();
    assert_eq!(keepalive.poll(start), Beat::Wait(start + s(15)));
    assert_eq!(keepalive.poll(start + s(14)), Beat::Wait(start + s(15)));
    assert_eq!(keepalive.poll(start + s(17)), Beat::Send);
    assert_eq!(keepalive.poll(start + s(17)), Beat::Wait(start + s(30)));
}

#[test]
fn does_not_make_up_for_missed_beats() {
    let (mut keepalive, start) = started();
    keepalive.listen(false, start);
    assert_eq!(keepalive.poll(start + s(100)), Beat::Send);
    assert_eq!(keepalive.poll(start + s(100)), Beat::Wait(start + s(115)));
}

#[test]
fn is_dead_after_the_timeout_without_an_answer() {
    let (mut keepalive, start) = started();
    assert_eq!(keepalive.poll(start + s(15)), Beat::Send);
    assert_eq!(keepalive.poll(start + s(15)), Beat::Wait(start + s(30)));
    assert_eq!(
        keepalive.poll(start + s(30)),
        Beat::Dead(Cause::Silent(s(30)))
    );
}

#[test]
fn a_good_answer_counts_from_its_arrival() {
    let (mut keepalive, start) = started();
    assert_eq!(
        keepalive.answer("1 0", Some(200), start + s(29)),
        Some(s(29))
    );
    assert_eq!(keepalive.poll(start + s(30)), Beat::Send);
    assert_eq!(keepalive.poll(start + s(58)), Beat::Send);
    assert_eq!(
        keepalive.poll(start + s(59)),
        Beat::Dead(Cause::Silent(s(30)))
    );
}

#[test]
fn only_the_part_before_the_space_has_to_match() {
    let (mut keepalive, start) = started();
    assert_eq!(keepalive.answer("2 0", Some(200), start), None);
    assert_eq!(keepalive.answer("1", Some(200), start), Some(s(0)));
    assert_eq!(
        keepalive.answer("1", Some(200), start),
        None,
        "an answer counts once"
    );
}

#[test]
fn is_dead_after_some_bad_answers_in_a_row() {
    let (mut keepalive, start) = started();
    let answers = [401, 503, 200, 401, 401];
    for (index, code) in answers.into_iter().enumerate() {
        let mid = format!("{index} 0");
        keepalive.sent(&mid, start);
        assert!(keepalive.answer(&mid, Some(code), start).is_some());
        assert!(matches!(keepalive.poll(start), Beat::Wait(_)));
    }
    keepalive.sent("9 0", start);
    assert!(keepalive.answer("9 0", None, start).is_some());
    assert_eq!(keepalive.poll(start), Beat::Dead(Cause::Refused(3, None)));
}

#[test]
fn silence_is_not_counted_while_nobody_listens() {
    let (mut keepalive, start) = started();
    keepalive.listen(false, start + s(10));
    assert_eq!(keepalive.poll(start + s(1000)), Beat::Send);
    keepalive.listen(true, start + s(1010));
    assert_eq!(keepalive.poll(start + s(1015)), Beat::Send);
    assert_eq!(keepalive.poll(start + s(1015)), Beat::Wait(start + s(1030)));
    assert_eq!(
        keepalive.poll(start + s(1030)),
        Beat::Dead(Cause::Silent(s(30)))
    );
}

#[test]
fn what_is_unread_may_hold_the_answer_but_not_for_ever() {
    let (mut keepalive, start) = started();
    keepalive.listen(false, start + s(1));
    keepalive.read(1 << 40, start + s(29));
    assert_eq!(keepalive.poll(start + s(30)), Beat::Send);
    keepalive.read(64 << 20, start + s(1000));
    assert_eq!(keepalive.poll(start + s(1000)), Beat::Send);
    keepalive.sent("2 0", start + s(1000));
    keepalive.read(1, start + s(1000));
    let mut other = keepalive.clone();
    assert_eq!(
        keepalive.poll(start + s(1000)),
        Beat::Dead(Cause::Silent(s(30)))
    );
    assert!(other.answer("2 0", Some(200), start + s(1000)).is_some());
    other.read(1 << 40, start + s(1029));
    assert_eq!(other.poll(start + s(1000)), Beat::Wait(start + s(1015)));
}

#[test]
fn remembers_a_bounded_number_of_open_beats() {
    let (mut keepalive, start) = started();
    for index in 2..=257 {
        keepalive.sent(&format!("{index} 0"), start);
    }
    assert_eq!(keepalive.answer("1 0", Some(200), start), None);
    assert_eq!(keepalive.answer("2 0", Some(200), start), Some(s(0)));
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Answer(i64),
    Listen(bool),
    /// So many MiB are read.
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..40u64).prop_map(Step::Pass),
        2 => prop::sample::select(vec![200, 200, 401]).prop_map(Step::Answer),
        1 => any::<bool>().prop_map(Step::Listen),
        1 => (0..40usize).prop_map(Step::Read),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The clock moves in steps of one second, and the keepalive is asked at each.
    #[test]
    fn is_dead_exactly_when_its_rules_say_so(steps in steps()) {
        let mut now = Instant::now();
        let mut keepalive = Keepalive::new(POLICY, now);
        let (mut silent, mut since_beat, mut bad, mut beats) = (0, 15, 0, 0);
        let (mut listening, mut unanswered, mut ahead) = (true, 0, 0);
        for step in steps {
            let mut seconds = 0;
            match step {
                Step::Pass(passed) => seconds = passed,
                Step::Answer(code) => {
                    if keepalive.answer(&format!("{beats} 0"), Some(code), now).is_some() {
                        bad += 1;
                        if code == 200 {
                            (silent, bad, unanswered, ahead) = (0, 0, 0, 0);
                        }
                    }
                }
                Step::Listen(now_listening) => {
                    listening = now_listening;
                    keepalive.listen(listening, now);
                }
                Step::Read(size) => {
                    ahead += if unanswered >= 30 { size } else { 0 };
                    keepalive.read(size << 20, now);
                }
            }
            for second in 0..=seconds {
                if second > 0 {
                    now += s(1);
                    silent += u64::from(listening);
                    unanswered += 1;
                    since_beat += 1;
                }
                let beat = keepalive.poll(now);
                if bad >= 3 || ahead > 64 || (listening && silent >= 30) {
                    prop_assert!(matches!(beat, Beat::Dead(_)), "{beat:?}");
                    return Ok(());
                }
                match beat {
                    Beat::Dead(cause) => prop_assert!(false, "dead: {cause}"),
                    Beat::Send => {
                        prop_assert!(since_beat >= 15);
                        (since_beat, beats) = (0, beats + 1);
                        keepalive.sent(&format!("{beats} 0"), now);
                    }
                    Beat::Wait(until) => {
                        prop_assert!(since_beat < 15);
                        let left = s(15 - since_beat).min(s(if listening { 30 - silent } else { 99 }));
                        prop_assert_eq!(until - now, left);
                    }
                }
            }
        }
    }
}
