//! The set of known ids against a model, with made-up time.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;
use xyfast::dedup::{Dedup, Digest, Key};

const TTL: f64 = 10.0;

/// Digests of numbers that differ in bits which the table looks at last or not at all.
fn colliding(id: u64) -> Digest {
    Digest(id << 60, id >> 4 << 20)
}

/// Digests of numbers that spread over the table.
fn spread(id: u64) -> Digest {
    let odd = 0x9E37_79B9_7F4A_7C15;
    Digest(id.wrapping_mul(odd), (!id).wrapping_mul(odd))
}

fn seen(ids: &mut Dedup, id: u64, now: f64) -> bool {
    ids.seen(spread(id), now).unwrap()
}

#[test]
fn the_first_sight_counts() {
    let mut ids = Dedup::new(10, TTL);
    assert!(!seen(&mut ids, 1, 0.0));
    assert!(seen(&mut ids, 1, 9.0));
    assert!(ids.contains(spread(1), 10.0_f64.next_down()));
    assert!(!ids.contains(spread(1), 10.0));
    assert!(!seen(&mut ids, 1, 10.0));
    assert!(seen(&mut ids, 1, 19.0));
}

#[test]
fn a_full_set_forgets_the_oldest_alone() {
    let mut ids = Dedup::new(3, TTL);
    for id in 0..4 {
        assert!(!seen(&mut ids, id, 0.0));
    }
    assert!(!ids.contains(spread(0), 0.0));
    assert_eq!(ids.len(0.0), 3);
    assert!((1..4).all(|id| ids.contains(spread(id), 0.0)));
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut ids = Dedup::new(10, TTL);
    seen(&mut ids, 1, 100.0);
    seen(&mut ids, 2, 50.0);
    assert_eq!(ids.len(109.0), 2);
    assert_eq!(ids.len(110.0), 0);
}

#[test]
fn a_clock_without_a_number_loses_nothing() {
    let mut ids = Dedup::new(10, TTL);
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(seen(&mut ids, 1, odd), odd.is_infinite());
    }
    assert_eq!(ids.len(f64::NAN), 1);
}

#[test]
fn many_that_expire_at_once_are_all_unknown_at_once() {
    let mut ids = Dedup::new(5000, TTL);
    for id in 0..5000 {
        assert!(!seen(&mut ids, id, if id < 3000 { 0.0 } else { 5.0 }));
    }
    assert_eq!(ids.len(10.0), 2000);
    assert!((0..3000).all(|id| !ids.contains(spread(id), 10.0)));
    for id in 0..3000 {
        assert!(!seen(&mut ids, id, 10.0));
        assert!(seen(&mut ids, id, 10.0));
    }
    assert_eq!(ids.len(10.0), 5000);
    assert!((0..5000).all(|id| ids.contains(spread(id), 10.0)));
}

#[test]
fn the_largest_set_costs_nothing_before_it_fills() {
    let mut ids = Dedup::new(usize::MAX, f64::INFINITY);
    for id in 0..10_000 {
        assert!(!seen(&mut ids, id, 0.0));
    }
    assert_eq!(ids.len(f64::MAX), 10_000);
}

#[test]
fn a_key_tells_ids_apart_and_no_two_are_alike() {
    let (key, other) = (Key::random(), Key::random());
    let ids: [&[u8]; 5] = [b"", b"a", b"a\0", b"b", &[b'a'; 1000]];
    let digests: HashSet<_> = ids.map(|id| key.digest(id)).into();
    assert_eq!(digests.len(), ids.len());
    assert!(ids.iter().all(|id| key.digest(id) == key.digest(id)));
    assert!(ids.iter().all(|id| key.digest(id) != other.digest(id)));
}

/// What the set promises, in the plainest words.
#[derive(Default)]
struct Model {
    known: VecDeque<(f64, u64)>,
    now: f64,
}

impl Model {
    fn pass(&mut self, now: f64) {
        if now.is_finite() {
            self.now = self.now.max(now);
        }
        self.known.retain(|(seen, _)| self.now - seen < TTL);
    }

    fn contains(&self, id: u64) -> bool {
        self.known.iter().any(|(_, other)| *other == id)
    }

    fn seen(&mut self, id: u64, max_len: usize) -> bool {
        let known = self.contains(id);
        if !known {
            self.known.push_back((self.now, id));
            if self.known.len() > max_len {
                self.known.pop_front();
            }
        }
        known
    }
}

fn pauses() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => Just(0.0),
        3 => 0.0..2.0,
        1 => prop::sample::select(vec![TTL, 100.0, -5.0, f64::NAN, f64::INFINITY]),
    ]
}

proptest! {
    #[test]
    fn the_set_is_the_model(
        digest in prop::sample::select(vec![colliding as fn(u64) -> Digest, spread]),
        max_len in prop_oneof![1_usize..6, 50_usize..80],
        range in prop::sample::select(vec![8_u64, 64, 500]),
        steps in prop::collection::vec((any::<u64>(), pauses(), 0_u8..8), 0..3000),
    ) {
        let mut ids = Dedup::new(max_len, TTL);
        let mut model = Model::default();
        prop_assert_eq!(ids.len(model.now), 0);
        for (id, pause, action) in steps {
            let (id, now) = (id % range, model.now + pause);
            model.pass(now);
            match action {
                0 => prop_assert_eq!(ids.len(now), model.known.len()),
                1 => prop_assert_eq!(ids.contains(digest(id), now), model.contains(id)),
                _ => prop_assert_eq!(ids.seen(digest(id), now), Ok(model.seen(id, max_len))),
            }
        }
        for id in 0..range {
            prop_assert_eq!(ids.contains(digest(id), model.now), model.contains(id));
        }
        prop_assert_eq!(ids.len(model.now), model.known.len());
    }
}
