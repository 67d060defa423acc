//! Floats as Python spells them.

use std::fmt::Write;

/// Writes the shortest digits that read back as the same float, laid out as Python does.
pub(super) fn push_float(text: &mut String, value: f64) {
    if value.is_nan() {
        return text.push_str("NaN");
    }
    if value.is_sign_negative() {
        text.push('-');
    }
    if value.is_infinite() {
        return text.push_str("Infinity");
    }
    let scientific = shortest(value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    match exponent {
        -4..0 => {
            let _ = write!(
                text,
                "0.{:0<1$}{digits}",
                "",
                exponent.unsigned_abs() as usize - 1
            );
        }
        0..16 => {
            let whole = exponent as usize + 1;
            let fraction = digits.get(whole..).filter(|part| !part.is_empty());
            let whole_digits = digits.get(..whole).unwrap_or(&digits);
            let _ = write!(text, "{whole_digits:0<whole$}.{}", fraction.unwrap_or("0"));
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(text, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        }
    }
}

/// Returns the shortest spelling of a float with an exponent.
///
/// Where two are equally near, Python takes the one that ends evenly. Rounding to that many
/// digits does so too, but at powers of two may miss the float.
fn shortest(value: f64) -> String {
    let any = format!("{value:e}");
    let fraction = any.split_once('.').map_or("", |(_, rest)| rest);
    let decimals = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) {
        even
    } else {
        any
    }
}
