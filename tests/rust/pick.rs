//! Picked fields are those of the whole tree.

use proptest::prelude::*;
use xyfast::msgpack::pick::{Paths, Pick};
use xyfast::msgpack::{read, Options, Tree, Value, Writer};

use crate::generate::plain_map;

/// Walks a tree; a name that several keys have stands for the last of them.
fn follow<'v, 'a>(value: &'v Value<'a>, path: &str) -> Option<&'v Value<'a>> {
    path.split('.').try_fold(value, |value, name| match value {
        Value::Map(entries) => {
            let named = |key: &Value<'_>| match key {
                Value::Int(number) => number.to_string() == name,
                Value::Str(text) => *text == name,
                _ => false,
            };
            let entry = entries.iter().rev().find(|(key, _)| named(key));
            entry.map(|(_, value)| value)
        }
        _ => None,
    })
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
    let paths = Paths::new(["1", "1.a", "1.a.b", "1", "01"]);
    let mut pick = Pick::new(&paths, Tree);
    read(&data, Options::PAYLOAD, &mut pick).unwrap();
    let a = Some(Value::Int(5));
    assert_eq!(
        pick.found,
        [Some(inner.clone()), a, None, Some(inner), None]
    );
    assert!(!pick.ambiguous);
}

#[test]
fn lists_are_not_entered() {
    let list = Value::List(vec![map([(Value::Int(1), Value::Int(2))]), Value::Int(9)]);
    let data = pack(&map([
        (Value::Int(1), list),
        (Value::Int(2), Value::Int(3)),
    ]));
    let paths = Paths::new(["1.1", "1.0", "2"]);
    let mut pick = Pick::new(&paths, Tree);
    read(&data, Options::PAYLOAD, &mut pick).unwrap();
    assert_eq!(pick.found, [None, None, Some(Value::Int(3))]);
}

#[test]
fn names_that_several_keys_may_have_are_ambiguous() {
    let one = || (Value::Int(1), Value::Nil);
    let cases = [
        (map([one(), one()]), true),
        (map([one(), (Value::Str("1"), Value::Nil)]), true),
        (map([one(), (Value::Bool(true), Value::Nil)]), true),
        (map([one(), (Value::Float(1.0), Value::Nil)]), true),
        (
            map([(Value::Int(2), map([(Value::Bin(b""), Value::Nil)]))]),
            true,
        ),
        (
            map([(Value::Int(2), map([(Value::Bool(true), Value::Nil)]))]),
            false,
        ),
        (map([one(), (Value::Int(2), map([one(), one()]))]), false),
    ];
    let paths = Paths::new(["1"]);
    for (value, ambiguous) in cases {
        let data = pack(&value);
        let mut pick = Pick::new(&paths, Tree);
        read(&data, Options::PAYLOAD, &mut pick).unwrap();
        assert_eq!(pick.ambiguous, ambiguous, "{value:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn picked_fields_are_those_of_the_tree(
        tree in plain_map(),
        names in prop::collection::vec("(1?[0-9]|[a-c]{1,2})(\\.(1?[0-9]|[a-c]{1,2})){0,2}", 0..8),
    ) {
        let data = tree.pack();
        let whole = Value::unpack(&data).unwrap();
        let paths = Paths::new(names.iter().map(String::as_str));
        let mut pick = Pick::new(&paths, Tree);
        read(&data, Options::PAYLOAD, &mut pick).unwrap();
        if !pick.ambiguous {
            let expected: Vec<_> = names.iter().map(|name| follow(&whole, name).cloned()).collect();
            prop_assert_eq!(format!("{:?}", pick.found), format!("{expected:?}"));
        }
    }
}
