//! Whose turn it is, and when.

use std::collections::hash_map::HashMap;
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// Things that take turns when something happens to them, and at times that they name.
#[derive(Debug)]
pub(super) struct Rota<T> {
    places: HashMap<usize, Place<T>>,
    /// Those that want a turn, each once.
    queue: VecDeque<usize>,
    due: BTreeSet<(Instant, usize)>,
}

#[derive(Debug)]
struct Place<T> {
    thing: T,
    queued: bool,
    due: Option<Instant>,
}

impl<T> Rota<T> {
    pub(super) fn new() -> Rota<T> {
        Rota {
            places: HashMap::new(),
            queue: VecDeque::new(),
            due: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, number: usize, thing: T) {
        let place = Place {
            thing,
            queued: false,
            due: None,
        };
        self.places.insert(number, place);
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&mut self, number: usize) -> Option<&mut T> {
        self.places.get_mut(&number).map(|place| &mut place.thing)
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<T> {
        let place = self.places.remove(&number)?;
        if let Some(due) = place.due {
            self.due.remove(&(due, number));
        }
        Some(place.thing)
    }

    /// Gives it a turn, behind those that wait.
    pub(super) fn queue(&mut self, number: usize) {
        if let Some(place) = self.places.get_mut(&number) {
            if !place.queued {
                place.queued = true;
                self.queue.push_back(number);
            }
        }
    }

    /// How many turns are waited for, at most.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<usize> {
        while let Some(number) = self.queue.pop_front() {
            if let Some(place) = self.places.get_mut(&number) {
                place.queued = false;
                return Some(number);
            }
        }
        None
    }

    /// Names the time of its next turn.
    pub(super) fn set_due(&mut self, number: usize, due: Instant) {
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        if place.due != Some(due) {
            if let Some(old) = place.due.replace(due) {
                self.due.remove(&(old, number));
            }
            self.due.insert((due, number));
        }
    }

    /// The earliest time that was named.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Someone whose time has come; asked again, someone else.
    pub(super) fn expired(&mut self, now: Instant) -> Option<usize> {
        let (due, number) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, number));
        if let Some(place) = self.places.get_mut(&number) {
            place.due = None;
        }
        Some(number)
    }
}
