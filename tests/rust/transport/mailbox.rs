//! No wake-up is lost, whatever the order in which threads get their turns.

use proptest::prelude::*;
use xyfast::transport::mailbox::Queue;

/// Two producers and a reader, moved one step at a time.
#[derive(Default)]
struct Model {
    queue: Queue<u32>,
    /// Bytes in the pipe.
    pipe: u32,
    /// Producers that have put something and have not rung yet.
    about_to_ring: [bool; 2],
    posted: u32,
    taken: Vec<u32>,
}

impl Model {
    fn produce(&mut self, who: usize, count: u32) {
        if self.about_to_ring[who] {
            self.about_to_ring[who] = false;
            self.pipe += 1;
        } else {
            self.about_to_ring[who] = self.queue.put(self.posted..self.posted + count);
            self.posted += count;
        }
    }

    fn drain(&mut self, most: usize) {
        let (taken, silence) = self.queue.take(most);
        self.taken.extend(taken);
        if silence {
            self.pipe = 0;
        }
    }

    fn awake_or_about_to_be(&self) -> bool {
        self.pipe > 0 || self.about_to_ring.contains(&true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_waits_wakes_the_reader(
        steps in prop::collection::vec((0..4usize, 0..4u32, any::<bool>()), 0..60)
    ) {
        let mut model = Model::default();
        for (who, count, only_if_woken) in steps {
            match who {
                0 | 1 => model.produce(who, count),
                _ if only_if_woken && model.pipe == 0 => {}
                _ => model.drain(count as usize),
            }
            let waiting = model.posted as usize > model.taken.len();
            prop_assert!(!waiting || model.awake_or_about_to_be());
        }
        for who in [0, 1] {
            if model.about_to_ring[who] {
                model.produce(who, 0);
            }
        }
        while model.pipe > 0 {
            model.drain(3);
        }
        prop_assert_eq!(model.taken, (0..model.posted).collect::<Vec<_>>());
    }

    #[test]
    fn the_pipe_never_fills(counts in prop::collection::vec(1..5u32, 1..200)) {
        let mut model = Model::default();
        for count in counts {
            model.produce(0, count);
            if model.about_to_ring[0] {
                model.produce(0, 0);
            }
            prop_assert_eq!(model.pipe, 1);
        }
    }
}
