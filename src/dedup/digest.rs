//! What stands for an id.

use std::hash::{BuildHasher, RandomState};

use siphasher::sip128::SipHasher13;

/// 128 bits that stand for an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub u64, pub u64);

/// A secret under which ids are hashed, so that nobody can choose ids that collide.
#[derive(Debug)]
pub struct Key(SipHasher13);

impl Key {
    /// Creates a random key.
    pub fn random() -> Self {
        let state = RandomState::new();
        Self(SipHasher13::new_with_keys(
            state.hash_one(0_u8),
            state.hash_one(1_u8),
        ))
    }

    /// Returns what stands for the id.
    #[inline]
    pub fn digest(&self, id: &[u8]) -> Digest {
        let hash = self.0.hash(id);
        Digest(hash.h1, hash.h2)
    }
}
