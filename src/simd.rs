//! Vector kernels, and the choice among them at run time.
//!
//! A [`Level`] is a promise that the machine has certain instructions. Every kernel takes
//! one, exists as plain code too, and gives the same answer at every level. Kernels write
//! into memory that need not be initialised and say how much of it they filled; what lies
//! behind that in `out` may be overwritten.

#[macro_use]
mod proof;

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod scalar;
#[cfg(any(
    all(target_arch = "aarch64", target_endian = "little"),
    target_arch = "x86_64"
))]
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use scalar::{six, ALPHABET};

use std::mem::MaybeUninit;
use std::sync::LazyLock;

/// Names the level to use, for tests and for comparisons: `scalar`, `sse4.1`, `avx2`,
/// `avx512`, `neon`.
const VARIABLE: &str = "XYFAST_SIMD";

/// A set of instructions that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Kind);

/// Values of the inner types exist only where their instructions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Sse41(x86::Sse41),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon(neon::Neon),
}

impl Level {
    /// Plain code, which every machine runs.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// Returns the best level, or the one that `XYFAST_SIMD` named when this was first called.
    #[inline]
    pub fn detect() -> Self {
        static LEVEL: LazyLock<Level> = LazyLock::new(|| {
            let levels = Level::available();
            let wanted = std::env::var(VARIABLE).unwrap_or_default();
            let named = levels.iter().find(|level| level.name() == wanted);
            *named.unwrap_or(&levels[levels.len() - 1])
        });
        *LEVEL
    }

    /// Returns what `XYFAST_SIMD` says if that is the name of no level that this machine has.
    pub fn unknown() -> Option<String> {
        let wanted = std::env::var_os(VARIABLE)?;
        let known = wanted.is_empty() || wanted == Self::detect().name();
        (!known).then(|| wanted.to_string_lossy().into_owned())
    }

    /// Returns every level that this machine has, the best one last.
    pub fn available() -> Vec<Self> {
        let kinds = [
            Some(Kind::Scalar),
            #[cfg(target_arch = "x86_64")]
            x86::Sse41::detect().map(Kind::Sse41),
            #[cfg(target_arch = "x86_64")]
            x86::Avx2::detect().map(Kind::Avx2),
            #[cfg(target_arch = "x86_64")]
            x86::Avx512::detect().map(Kind::Avx512),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            neon::Neon::detect().map(Kind::Neon),
        ];
        kinds.into_iter().flatten().map(Self).collect()
    }

    /// Returns the name of the level, as `XYFAST_SIMD` spells it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Sse41(_) => "sse4.1",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Kind::Neon(_) => "neon",
        }
    }
}

/// Calls a kernel of the same name at the level.
macro_rules! at {
    ($level:expr, $kernel:ident($($argument:expr),*)) => {
        match $level.0 {
            Kind::Scalar => scalar::$kernel($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Kind::Sse41(has) => has.$kernel($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(has) => has.$kernel($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(has) => has.$kernel($($argument),*),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Kind::Neon(has) => has.$kernel($($argument),*),
        }
    };
}

/// What [`widen`] and [`widen4`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widened {
    /// How many units were written.
    pub len: usize,
    /// At most 0x7f if all of them are ASCII, at most 0xff if all are Latin-1, at most
    /// 0xffff if all are in the Basic Multilingual Plane.
    pub bits: u32,
}

/// So many units more than the text has bytes (or units) are room to run vectors to its end.
pub const SLACK: usize = 32;

/// Decodes base64 text, standard alphabet, as far as it consists of whole groups of four
/// data characters and `out` has room; returns how much was read and written.
pub fn base64_decode(level: Level, text: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    at!(level, base64_decode(text, out))
}

/// Encodes the whole groups of three bytes for which `out` has room as base64; returns how
/// much was read and written.
pub fn base64_encode(level: Level, data: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize) {
    at!(level, base64_encode(data, out))
}

/// Turns UTF-8 into UTF-16 code units, if it is valid and within the Basic Multilingual
/// Plane.
///
/// `out` needs a unit for every character, and [`SLACK`] behind `utf8.len()` to be fast;
/// if it has less than the former the answer is None too.
#[inline]
pub fn widen(level: Level, utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<Widened> {
    at!(level, widen(utf8, out))
}

/// Turns UTF-8 into code points, if it is valid; `out` as for [`widen`].
pub fn widen4(level: Level, utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<Widened> {
    at!(level, widen4(utf8, out))
}

/// Turns Latin-1 into UTF-8 and returns its length.
///
/// `out` needs the bytes of the result, and [`SLACK`] behind two for every unit to be fast;
/// None if it has less than the former.
pub fn narrow1(level: Level, units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    at!(level, narrow1(units, out))
}

/// Turns units of the Basic Multilingual Plane into UTF-8 and returns its length, or None
/// if there is a surrogate.
///
/// `out` as for [`narrow1`], with three bytes for every unit.
pub fn narrow(level: Level, units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    at!(level, narrow(units, out))
}

/// Turns code points into UTF-8 and returns its length, or None if one is no character.
///
/// `out` as for [`narrow1`], with four bytes for every unit.
pub fn narrow4(level: Level, units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize> {
    at!(level, narrow4(units, out))
}

/// Returns how many leading bytes stand for themselves in a JSON string.
pub fn json_plain(level: Level, bytes: &[u8]) -> usize {
    at!(level, json_plain(bytes))
}

/// Appends the first `len` bytes of `text` with the escapes that JSON demands, spelled as
/// Python's `json` does, and no others.
///
/// What stands behind these bytes does not count, but lets a short string be read in one
/// piece.
///
/// # Panics
///
/// If `text` is shorter than `len`.
#[inline]
pub fn json_escape(level: Level, text: &[u8], len: usize, out: &mut Vec<u8>) {
    assert!(len <= text.len());
    at!(level, json_escape(text, len, out));
}

/// Returns whether all bytes are below 0x80.
///
/// Short input is read as two overlapping words, without a loop.
#[inline]
pub fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let or = |words: &[u8]| {
        let words = words.chunks_exact(8).filter_map(|word| word.first_chunk());
        words.fold(0, |any, word| any | u64::from_ne_bytes(*word))
    };
    if let Some(last) = bytes.last_chunk::<16>() {
        let (mut any, mut rest) = (or(last), bytes);
        while let Some((chunk, behind)) = rest.split_first_chunk::<64>() {
            if or(chunk) & HIGH != 0 {
                return false;
            }
            rest = behind;
        }
        while let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
            any |= or(chunk);
            rest = behind;
        }
        return any & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (or(first) | or(last)) & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & HIGH as u32 == 0;
    }
    bytes.iter().fold(0, |any, byte| any | byte) < 0x80
}
