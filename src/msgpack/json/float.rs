//! Floats as Python spells them.

/// Spells a float in the shortest way that reads back as the same one, laid out as Python
/// does, and pushes the parts of that.
///
/// Of several such spellings both take the nearest one, and of two that are equally near the
/// one that ends evenly.
#[inline]
pub(super) fn push_float(value: f64, mut push: impl FnMut(&str)) {
    if value.is_nan() {
        return push("NaN");
    }
    if value.is_infinite() {
        return push(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let mut buffer = zmij::Buffer::new();
    let spelling = buffer.format_finite(value);
    let unsigned = spelling.trim_start_matches('-');
    // Only exponents look different in Python, and start one power of ten earlier.
    if let Some((mantissa, exponent)) = spelling.split_once('e') {
        let digits = exponent.trim_start_matches(['+', '-']);
        push(mantissa);
        push(if exponent.starts_with('-') {
            "e-"
        } else {
            "e+"
        });
        push(if digits.len() < 2 { "0" } else { "" });
        push(digits);
    } else if let Some(digits) = unsigned.strip_prefix("0.0000") {
        push(&spelling[..spelling.len() - unsigned.len()]);
        push(&digits[..1]);
        push(if digits.len() > 1 { "." } else { "" });
        push(&digits[1..]);
        push("e-05");
    } else {
        push(spelling);
    }
}
