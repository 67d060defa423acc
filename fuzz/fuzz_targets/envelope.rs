//! Any text is an envelope or an error whose offset lies within it; what an envelope says,
//! payloads and acks too, is what a tree of serde_json holds at the same places.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/rust/envelope/tree.rs"]
mod tree;

fuzz_target!(|text: &str| {
    tree::agrees(text);
    let strict = xyfast::envelope::check_json(text);
    assert_eq!(
        strict.is_ok(),
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    );
});
