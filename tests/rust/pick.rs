//! Picked fields are those of the whole tree.

use proptest::prelude::*;
use xyfast::msgpack::pick::{pick, Paths};
use xyfast::msgpack::{read, Options, Tree, Value, Writer};

use crate::generate::{payload, plain_map, wild};
use crate::naive::{follow, is_plain};

fn found<'a>(data: &'a [u8], paths: &[&str]) -> Option<Vec<Option<Value<'a>>>> {
    let paths = Paths::new(paths.iter().copied());
    pick(data, &paths, &mut Tree).map(|found| found.into_vec())
}

fn pack(value: &Value<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    value.pack(&mut writer).unwrap();
    writer.into_bytes()
}

fn map<'a>(entries: impl IntoIterator<Item = (Value<'a>, Value<'a>)>) -> Value<'a> {
    Value::Map(entries.into_iter().collect())
}

#[test]
fn a_path_and_a_longer_one_are_both_found() {
    let inner = map([(Value::Str("a"), Value::Int(5))]);
    let data = pack(&map([(Value::Int(1), inner.clone())]));
    let a = Some(Value::Int(5));
    assert_eq!(
        found(&data, &["1", "1.a", "1.a.b", "1", "01"]).unwrap(),
        [Some(inner.clone()), a, None, Some(inner), None]
    );
}

#[test]
fn numbers_and_nil_are_named_as_in_json() {
    let keys = [
        Value::Int(-1),
        Value::Int(i64::MIN),
        Value::Uint(u64::MAX),
        Value::Nil,
        Value::Str("+1"),
    ];
    let data = pack(&map(keys.into_iter().zip((0..).map(Value::Int))));
    let names = [
        "-1",
        "-9223372036854775808",
        "18446744073709551615",
        "null",
        "+1",
        "1",
    ];
    let expected: Vec<_> = (0..5).map(|n| Some(Value::Int(n))).chain([None]).collect();
    assert_eq!(found(&data, &names).unwrap(), expected);
}

#[test]
fn lists_are_not_entered() {
    let list = Value::List(vec![map([(Value::Int(1), Value::Int(2))]), Value::Int(9)]);
    let data = pack(&map([
        (Value::Int(1), list),
        (Value::Int(2), Value::Int(3)),
    ]));
    assert_eq!(
        found(&data, &["1.1", "1.0", "2"]).unwrap(),
        [None, None, Some(Value::Int(3))]
    );
}

#[test]
fn names_that_several_keys_may_have_are_left_to_the_whole_tree() {
    let one = || (Value::Int(1), Value::Nil);
    let inside = |key| map([(Value::Int(2), map([(key, Value::Nil)]))]);
    let cases = [
        (map([one(), one()]), false),
        (map([one(), (Value::Str("1"), Value::Nil)]), false),
        (map([one(), (Value::Bool(true), Value::Nil)]), false),
        (map([one(), (Value::Float(1.0), Value::Nil)]), false),
        (inside(Value::Bin(b"")), false),
        (inside(Value::Bool(true)), true),
        (map([one(), (Value::Int(2), map([one(), one()]))]), true),
    ];
    for (value, clear) in cases {
        let data = pack(&value);
        assert_eq!(found(&data, &["1"]).is_some(), clear, "{value:?}");
    }
}

#[test]
fn text_that_is_passed_over_is_not_checked() {
    let data = b"\x82\xa1\xff\xa1\xff\x01\xa1a";
    assert_eq!(found(data, &["1"]).unwrap(), [Some(Value::Str("a"))]);
    let data = b"\x82\xa1b\xa1a\x01\xa1\xff";
    assert_eq!(found(data, &["1"]), None);
}

#[test]
fn only_maps_are_entered() {
    for data in [b"".as_slice(), b"\x01", b"\x91\x81\x01\x02", b"\xa1a"] {
        assert_eq!(found(data, &["1"]), None);
    }
    assert_eq!(found(b"\x80", &["1"]).unwrap(), [None]);
    assert_eq!(found(b"\x80", &[]).unwrap(), []);
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        "(1?[0-9]|[a-c]{1,2}|null)(\\.(1?[0-9]|[a-c]{1,2})){0,2}",
        0..8,
    )
}

/// Compares as text, because a NaN is not equal to itself.
fn is_what_the_tree_has(data: &[u8], names: &[String]) -> Result<(), TestCaseError> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let found = found(data, &names);
    match (read(data, Options::PAYLOAD, &mut Tree), found) {
        (Ok((tree, _)), Some(found)) => {
            let expected: Vec<_> = names.iter().map(|name| follow(&tree, name)).collect();
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
        (Ok((tree, _)), None) => prop_assert!(!matches!(tree, Value::Map(_)) || !is_plain(&tree)),
        (Err(error), Some(_)) => prop_assert_eq!(error.reason.word(), "utf8"),
        (Err(_), None) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn picked_fields_are_those_of_the_tree(tree in plain_map(), names in names()) {
        is_what_the_tree_has(&tree.pack(), &names)?;
    }

    #[test]
    fn picked_fields_of_any_map_are_those_of_the_tree(tree in payload(), names in names()) {
        is_what_the_tree_has(&tree.pack(), &names)?;
    }

    #[test]
    fn only_bad_text_is_overlooked(data in wild(), names in names()) {
        is_what_the_tree_has(&data, &names)?;
    }
}
