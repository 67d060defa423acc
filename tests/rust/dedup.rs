//! The set of known ids against a model, with made-up time.

use proptest::prelude::*;
use xyfast::dedup::Dedup;

const TTL: f64 = 10.0;

#[test]
fn the_first_sight_counts() {
    let mut ids = Dedup::new(10, TTL);
    assert!(!ids.seen(b"a", 0.0));
    assert!(ids.seen(b"a", 9.0));
    assert!(!ids.contains(b"a", 10.0));
    assert!(!ids.seen(b"a", 10.0));
    assert!(ids.seen(b"a", 19.0));
}

#[test]
fn a_full_set_forgets_the_oldest_alone() {
    let mut ids = Dedup::new(3, TTL);
    for id in [b"a", b"b", b"c", b"d"] {
        assert!(!ids.seen(id, 0.0));
    }
    assert!(!ids.contains(b"a", 0.0));
    assert_eq!(ids.len(0.0), 3);
    assert!([b"b", b"c", b"d"].iter().all(|id| ids.contains(*id, 0.0)));
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut ids = Dedup::new(10, TTL);
    ids.seen(b"a", 100.0);
    ids.seen(b"b", 50.0);
    assert_eq!(ids.len(109.0), 2);
    assert_eq!(ids.len(110.0), 0);
}

#[test]
fn a_clock_without_a_number_loses_nothing() {
    let mut ids = Dedup::new(10, TTL);
    assert!(!ids.seen(b"a", f64::NAN));
    assert!(ids.seen(b"a", f64::NAN));
}

proptest! {
    #[test]
    fn the_set_is_the_model(
        max_len in 1_usize..6,
        steps in prop::collection::vec((0_u8..8, 0_u8..4, any::<bool>()), 0..200),
    ) {
        let mut ids = Dedup::new(max_len, TTL);
        let mut model: Vec<(f64, u8)> = Vec::new();
        let mut now = 0.0;
        for (id, pause, look_only) in steps {
            now += f64::from(pause);
            model.retain(|(seen, _)| now - seen < TTL);
            let known = model.iter().any(|(_, other)| *other == id);
            if look_only {
                prop_assert_eq!(ids.contains(&[id], now), known);
            } else {
                prop_assert_eq!(ids.seen(&[id], now), known);
                if !known {
                    model.push((now, id));
                    model.drain(..model.len().saturating_sub(max_len));
                }
            }
            prop_assert_eq!(ids.len(now), model.len());
        }
    }
}
