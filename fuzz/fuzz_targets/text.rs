//! Text is widened, narrowed and escaped at every level as by the standard library, and
//! nothing is written outside the memory that a kernel was given.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/rust/simd/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| {
    check::text(bytes);
    check::json(bytes);
    assert_eq!(xyfast::simd::is_ascii(bytes), bytes.is_ascii());
});
