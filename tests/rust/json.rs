//! JSON text: repeated keys, floats and keys that have no name.

use proptest::prelude::*;
use xyfast::error::{DecodeError, Reason};
use xyfast::msgpack::json::{careful, quick, to_json};
use xyfast::msgpack::{Options, Value, Writer};

use crate::generate::{payload, plain_map, wild};

fn json(value: &Value<'_>) -> Result<String, DecodeError> {
    let mut writer = Writer::new();
    value.pack(&mut writer).unwrap();
    to_json(&writer.into_bytes(), Options::PAYLOAD)
}

fn float(value: f64) -> String {
    json(&Value::Float(value)).unwrap()
}

#[test]
fn floats_are_spelled_as_python_spells_them() {
    let cases = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (f64::from(0.1_f32), "0.10000000149011612"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.234e22, "1.234e+22"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (2_f64.powi(43) + 0.3125, "8796093022208.312"),
        (-2_f64.powi(43) - 0.4375, "-8796093022208.438"),
        (2_f64.powi(-24), "5.960464477539063e-08"),
        (9007199254740992.0, "9007199254740992.0"),
        (120.0, "120.0"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (value, text) in cases {
        assert_eq!(float(value), text);
    }
}

#[test]
fn a_repeated_key_keeps_its_first_place_and_its_last_value() {
    let inner = Value::Map(vec![
        (Value::Int(7), Value::Str("x")),
        (Value::Float(7.0), Value::List(vec![Value::Nil])),
    ]);
    let map = Value::Map(vec![
        (Value::Bool(true), Value::Str("first")),
        (Value::Str("k"), Value::Nil),
        (Value::Int(1), inner),
        (Value::Str("k"), Value::Bool(false)),
    ]);
    assert_eq!(
        json(&map).unwrap(),
        r#"{"true": {"7": [null]}, "k": false}"#
    );
}

#[test]
fn a_repeated_key_is_found_among_many() {
    for len in [2, 15, 16, 17, 18, 300] {
        let mut entries: Vec<_> = (0..len).map(|i| (Value::Int(i), Value::Int(i))).collect();
        entries.push((Value::Float((len - 1) as f64), Value::Str("last")));
        entries.push((Value::Bool(false), Value::Str("zero")));
        let text = json(&Value::Map(entries)).unwrap();
        assert!(text.starts_with(r#"{"0": "zero", "#), "{text}");
        assert!(
            text.ends_with(&format!(r#""{}": "last"}}"#, len - 1)),
            "{text}"
        );
    }
}

#[test]
fn a_key_of_bytes_is_an_error_unless_it_is_replaced() {
    let bytes_key = Value::Map(vec![(Value::Bin(b"k"), Value::Nil)]);
    let twice = Value::Map(vec![
        (Value::Int(1), Value::List(vec![bytes_key.clone()])),
        (Value::Int(1), Value::Nil),
    ]);
    assert_eq!(json(&twice).unwrap(), r#"{"1": null}"#);
    let kept = Value::Map(vec![
        (Value::Int(1), Value::Nil),
        (Value::Int(1), Value::List(vec![bytes_key])),
    ]);
    assert_eq!(json(&kept), Err(DecodeError::new(Reason::BytesKey, 6)));
}

#[test]
fn many_repeats_cost_no_more_than_their_size() {
    // Replacing in place would move the long tail 200 000 times.
    let long = "x".repeat(1_000_000);
    let mut entries = vec![
        (Value::Int(0), Value::Nil),
        (Value::Int(1), Value::Str(&long)),
    ];
    entries.extend((0..200_000).map(|i| (Value::Int(0), Value::Int(i))));
    let text = json(&Value::Map(entries)).unwrap();
    assert!(text.starts_with(r#"{"0": 199999, "1": "xxx"#));
}

/// Returns the quick answer, and checks that it leaves alone what stands before it.
fn quickly(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = b"before, ".to_vec();
    let is_written = quick(data, Options::PAYLOAD, &mut text);
    let answer = text.split_off(8);
    assert_eq!(text, b"before, ");
    assert!(is_written || answer.is_empty());
    is_written.then_some(answer)
}

fn packed(entries: Vec<(Value<'_>, Value<'_>)>) -> Vec<u8> {
    let mut writer = Writer::new();
    Value::Map(entries).pack(&mut writer).unwrap();
    writer.into_bytes()
}

#[test]
fn ordinary_maps_of_any_length_are_written_quickly() {
    for len in [0, 1, 7, 32, 33, 300] {
        let long: Vec<_> = (0..len)
            .map(|i| format!("item_{i:04}_description"))
            .collect();
        let short: Vec<_> = (0..len).map(|i| format!("{i}")).collect();
        let mut entries = vec![
            (Value::Nil, Value::Float(0.5)),
            (Value::Uint(u64::MAX), Value::Nil),
        ];
        for i in 0..len {
            entries.push((Value::Int(200 - i as i64), Value::Bool(i == 0)));
            entries.push((
                Value::Str(&short[i]),
                Value::List(vec![Value::Str("\"闲\"\n"); i % 3]),
            ));
            entries.push((
                Value::Str(&long[i]),
                Value::Map(vec![(Value::Int(1), Value::Int(-1))]),
            ));
        }
        let data = packed(entries);
        let text = String::from_utf8(quickly(&data).unwrap()).unwrap();
        assert_eq!(Ok(text), careful::to_json(&data, Options::PAYLOAD));
    }
}

#[test]
fn whatever_is_unusual_is_not_written_quickly() {
    let twice = [
        Value::Int(5),
        Value::Int(-5),
        Value::Str("k"),
        Value::Str("a longer key"),
        Value::Nil,
    ];
    for key in twice {
        for len in [0, 30, 31, 300] {
            let mut entries = vec![(key.clone(), Value::Nil)];
            entries.extend((0..len).map(|i| (Value::Int(1000 - i), Value::Nil)));
            assert!(quickly(&packed(entries.clone())).is_some());
            entries.push((key.clone(), Value::Nil));
            assert_eq!(quickly(&packed(entries)), None);
        }
    }
    for key in [Value::Bool(true), Value::Float(1.0), Value::Bin(b"k")] {
        assert_eq!(quickly(&packed(vec![(key, Value::Nil)])), None);
    }
    assert_eq!(quickly(b"\x81\x01"), None);
}

proptest! {
    #[test]
    fn the_quick_and_the_careful_text_agree_on_any_bytes(data in wild()) {
        let exact = careful::to_json(&data, Options::PAYLOAD);
        match quickly(&data).map(String::from_utf8) {
            Some(Ok(text)) => prop_assert_eq!(Ok(text), exact),
            Some(Err(_)) => prop_assert_eq!(exact.unwrap_err().reason.word(), "utf8"),
            None => {}
        }
    }

    #[test]
    fn the_quick_and_the_careful_text_agree_on_payloads(tree in payload()) {
        let data = tree.pack();
        if let Some(text) = quickly(&data) {
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(Ok(text), careful::to_json(&data, Options::PAYLOAD));
        }
    }

    #[test]
    fn serde_reads_the_same_tree(tree in plain_map()) {
        let data = tree.pack();
        let value = Value::unpack(&data).unwrap();
        let Ok(text) = to_json(&data, Options::PAYLOAD) else {
            return Ok(());
        };
        // JSON proper has no NaN and no infinities.
        if !text.contains("NaN") && !text.contains("Infinity") {
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(alike(&read, &expected(&value)), "{text}");
        }
    }
}

/// Equality that forgives the last bits of a float, which serde_json may read wrong.
fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|((k, a), (l, b))| k == l && alike(a, b))
        }
        (Json::Number(a), Json::Number(b)) if a.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= (a.abs() * 4.0 * f64::EPSILON).max(f64::MIN_POSITIVE)
        }
        _ => a == b,
    }
}

fn expected(value: &Value<'_>) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Str(text) => (*text).into(),
        Value::Bin(data) => {
            let valid: String = data.utf8_chunks().map(|chunk| chunk.valid()).collect();
            valid.into()
        }
        Value::List(values) => values.iter().map(expected).collect(),
        Value::Map(entries) => {
            // A repeated key keeps the place of its first, so the last name that was new wins.
            let mut distinct: Vec<(&Value<'_>, &Value<'_>)> = Vec::new();
            for (key, value) in entries {
                match distinct.iter_mut().find(|(known, _)| *known == key) {
                    Some(entry) => entry.1 = value,
                    None => distinct.push((key, value)),
                }
            }
            let entries = distinct.into_iter().map(|(key, value)| {
                let name = match key {
                    Value::Str(text) => (*text).to_owned(),
                    Value::Int(number) => number.to_string(),
                    other => unreachable!("{other:?} is no plain key"),
                };
                (name, expected(value))
            });
            Json::Object(entries.collect())
        }
        Value::Ext(..) | Value::Timestamp(..) => unreachable!("payloads have no extensions"),
    }
}
