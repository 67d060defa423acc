//! What the property tests are run on.

use proptest::prelude::*;
use xyfast::msgpack::Writer;

/// A value that owns its parts.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Str(String),
    Bin(Vec<u8>),
    Ext(i8, Vec<u8>),
    Timestamp(i64, u32),
    List(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
}

impl Tree {
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Nil => writer.nil(),
            Self::Bool(value) => writer.bool(*value),
            Self::Int(value) => writer.int(*value),
            Self::Uint(value) => writer.uint(*value),
            Self::Float(value) => writer.float(*value),
            Self::Str(text) => writer.str(text).unwrap(),
            Self::Bin(data) => writer.bin(data).unwrap(),
            Self::Ext(code, data) => writer.ext(*code, data).unwrap(),
            Self::Timestamp(seconds, nanoseconds) => writer.timestamp(*seconds, *nanoseconds),
            Self::List(values) => {
                writer.array(values.len()).unwrap();
                values.iter().for_each(|value| value.write(writer));
            }
            Self::Map(entries) => {
                writer.map(entries.len()).unwrap();
                for (key, value) in entries {
                    key.write(writer);
                    value.write(writer);
                }
            }
        }
    }
}

/// Scalars, small ones and those at the bounds of the formats more often.
fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Nil),
        any::<bool>().prop_map(Tree::Bool),
        (-3_i64..20).prop_map(Tree::Int),
        (0_u32..64, -2_i64..3).prop_map(|(bit, off)| {
            let edge = (1_i64 << bit.min(62)).wrapping_add(off);
            Tree::Int(if bit % 2 == 0 { edge } else { -edge })
        }),
        any::<i64>().prop_map(Tree::Int),
        (u64::MAX / 2..).prop_map(Tree::Uint),
        any::<f64>().prop_map(Tree::Float),
        (-3_i32..20).prop_map(|n| Tree::Float(f64::from(n) / 2.0)),
        "[a-z0-9]{0,3}".prop_map(Tree::Str),
        ".{0,40}".prop_map(Tree::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Tree::Bin),
    ]
}

fn extension() -> impl Strategy<Value = Tree> {
    prop_oneof![
        (0_i8.., prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(c, d)| Tree::Ext(c, d)),
        (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Tree::Timestamp(s, n)),
        (0..1_i64 << 35, 0..3_u32).prop_map(|(s, n)| Tree::Timestamp(s, n)),
    ]
}

fn nested(leaf: BoxedStrategy<Tree>, key: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let entry = (key.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Tree::List),
            prop::collection::vec(entry, 0..6).prop_map(Tree::Map),
        ]
    })
    .boxed()
}

/// Any tree.
pub(crate) fn tree() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![4 => scalar(), 1 => extension()].boxed();
    nested(leaf.clone(), leaf)
}

/// A map as payloads have them: no extension types, equal keys now and then.
pub(crate) fn payload() -> BoxedStrategy<Tree> {
    let value = nested(scalar().boxed(), scalar().boxed());
    prop::collection::vec((scalar(), value), 0..6)
        .prop_map(Tree::Map)
        .boxed()
}

/// A map whose keys are whole numbers and short strings.
pub(crate) fn plain_map() -> BoxedStrategy<Tree> {
    let key = prop_oneof![
        (0_i64..20).prop_map(Tree::Int),
        "[a-c]{1,2}|[0-9]".prop_map(Tree::Str),
    ]
    .boxed();
    let value = nested(scalar().boxed(), key.clone());
    prop::collection::vec((key, value), 0..8)
        .prop_map(Tree::Map)
        .boxed()
}

/// Bytes that are often nearly MessagePack: any bytes, or a tree with a few bytes changed.
pub(crate) fn wild() -> BoxedStrategy<Vec<u8>> {
    let opener = prop_oneof![
        0x80..=0x8f_u8,
        0x90..=0x9f_u8,
        0xc0..=0xdf_u8,
        0x00..=0x03_u8
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop_oneof![3 => opener.clone(), 1 => any::<u8>()], 0..60),
        (tree(), changes.clone(), any::<prop::sample::Index>()).prop_map(mutate),
        (payload(), changes, any::<prop::sample::Index>()).prop_map(mutate),
    ]
    .boxed()
}

type Changes = Vec<(prop::sample::Index, u8)>;

fn mutate((tree, changes, cut): (Tree, Changes, prop::sample::Index)) -> Vec<u8> {
    let mut data = tree.pack();
    for (index, byte) in changes {
        let at = index.index(data.len());
        data[at] = byte;
    }
    // Mostly whole, now and then cut.
    let keep = cut.index(data.len() * 4 + 1);
    data.truncate(keep.max(1));
    data
}
