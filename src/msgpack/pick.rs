//! A few fields of a payload, without building the rest.

use std::mem;

use smallvec::{smallvec, SmallVec};

use super::head::{Head, Reader, Take};
use super::reader::{read, Options};
use super::sink::{Scalar, Sink};
use super::stack::Stack;
use crate::error::{Container, DecodeError};

const OPTIONS: Options = Options::PAYLOAD;

/// Places in a tree of maps, such as `1.10.reminderContent`.
///
/// A path names the key on every level, with dots between them. A whole number is named by
/// its digits and nil by `null`, as in the JSON text. Lists are not entered.
#[derive(Debug)]
pub struct Paths {
    /// A tree of names; the first node is the root.
    nodes: Vec<Node>,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<Child>,
    /// The paths that end here.
    wanted: Vec<usize>,
}

#[derive(Debug)]
struct Child {
    name: Box<str>,
    /// The key that has this name besides the string itself.
    other: Option<Other>,
    node: usize,
}

/// A key that is no string.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Other {
    Nil,
    Int(i64),
    Uint(u64),
}

impl Paths {
    /// Parses paths.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut nodes = vec![Node::default()];
        let mut len = 0;
        for path in paths {
            let mut node = 0;
            for name in path.split('.') {
                let known = nodes[node]
                    .children
                    .iter()
                    .find(|child| *child.name == *name);
                node = match known {
                    Some(child) => child.node,
                    None => {
                        let child = Child::new(name, nodes.len());
                        nodes[node].children.push(child);
                        nodes.push(Node::default());
                        nodes.len() - 1
                    }
                };
            }
            nodes[node].wanted.push(len);
            len += 1;
        }
        Self { nodes, len }
    }
}

impl Node {
    /// Returns the child for a key of the map that stands at this node.
    #[inline(always)]
    fn child(&self, key: Scalar<'_>) -> Result<Option<usize>, Unclear> {
        let other = match key {
            Scalar::Str(text) => {
                let name = text.as_bytes();
                let same = |child: &&Child| child.name.as_bytes() == name;
                return Ok(self.children.iter().find(same).map(|child| child.node));
            }
            Scalar::Int(int) => Other::Int(int),
            Scalar::Uint(uint) => Other::Uint(uint),
            Scalar::Nil => Other::Nil,
            _ => return Err(Unclear),
        };
        let same = |child: &&Child| child.other == Some(other);
        Ok(self.children.iter().find(same).map(|child| child.node))
    }
}

/// No paths.
impl Default for Paths {
    fn default() -> Self {
        Self::new([])
    }
}

impl Child {
    fn new(name: &str, node: usize) -> Self {
        let other = match (name.parse(), name.parse()) {
            _ if name == "null" => Some(Other::Nil),
            (Ok(int), _) => Some(Other::Int(int)),
            (_, Ok(uint)) => Some(Other::Uint(uint)),
            _ => None,
        };
        Self {
            name: name.into(),
            other: other.filter(|other| other.name() == name),
            node,
        }
    }
}

impl Other {
    fn name(self) -> String {
        match self {
            Self::Nil => "null".to_owned(),
            Self::Int(int) => int.to_string(),
            Self::Uint(uint) => uint.to_string(),
        }
    }
}

/// What was found at some paths, in their order.
pub type Found<T> = SmallVec<[Option<T>; 8]>;

/// Builds the values at some paths of a payload.
///
/// Reads the structure of the whole map that `data` starts with, and the text of the wanted
/// values. Returns nothing where only the whole tree can tell what stands at the paths: keys
/// are equal or of an unusual type, or something is wrong with the data.
///
/// ```
/// use xyfast::msgpack::{pick::{pick, Paths}, Tree, Value};
///
/// let paths = Paths::new(["1.2", "9"]);
/// let found = pick(b"\x81\x01\x81\x02\xa2hi", &paths, &mut Tree);
/// assert_eq!(found.unwrap()[..], [Some(Value::Str("hi")), None]);
/// ```
pub fn pick<'a, S>(data: &'a [u8], paths: &Paths, sink: &mut S) -> Option<Found<S::Out>>
where
    S: Sink<'a>,
    S::Out: Clone,
{
    let mut found: Found<_> = (0..paths.len).map(|_| None).collect();
    walk(data, paths, sink, &mut found).ok()?;
    Some(found)
}

fn walk<'a, S>(
    data: &'a [u8],
    paths: &Paths,
    sink: &mut S,
    found: &mut [Option<S::Out>],
) -> Result<(), Unclear>
where
    S: Sink<'a>,
    S::Out: Clone,
{
    let mut reader = Reader::new(data, OPTIONS);
    let Head::Container(Container::Map, len) = reader.head(Pass)? else {
        return Err(Unclear);
    };
    let mut open = Open::new(Container::Map, len, paths.nodes.first());
    let mut outer: Stack<Open<'_>> = Stack::new();
    let mut met: SmallVec<[bool; 32]> = smallvec![false; paths.nodes.len()];
    loop {
        while open.left > 0 {
            open.left -= 1;
            let mut node = None;
            if open.kind == Container::Map {
                let Head::Scalar(child) = reader.head(Key(open.node))? else {
                    return Err(Unclear);
                };
                if let Some(child) = child {
                    if mem::replace(&mut met[child], true) {
                        return Err(Unclear);
                    }
                    let child = &paths.nodes[child];
                    if let [first, others @ ..] = &child.wanted[..] {
                        let inside = Options {
                            max_depth: OPTIONS.max_depth - outer.len() - 1,
                            ..OPTIONS
                        };
                        let (value, len) =
                            read(reader.rest(), inside, sink).map_err(|_| Unclear)?;
                        for &other in others {
                            found[other] = Some(value.clone());
                        }
                        found[*first] = Some(value);
                        if child.children.is_empty() {
                            reader.at += len;
                            continue;
                        }
                    }
                    node = Some(child);
                }
            }
            if let Head::Container(kind, len) = reader.head(Pass)? {
                outer.push(mem::replace(&mut open, Open::new(kind, len, node)));
                if outer.len() >= OPTIONS.max_depth {
                    return Err(Unclear);
                }
            }
        }
        match outer.pop() {
            Some(around) => open = around,
            None => return Ok(()),
        }
    }
}

/// A container that is being read.
struct Open<'p> {
    kind: Container,
    /// Values or entries that are still to come.
    left: usize,
    /// What the paths know about it.
    node: Option<&'p Node>,
}

impl<'p> Open<'p> {
    fn new(kind: Container, left: usize, node: Option<&'p Node>) -> Self {
        Self { kind, left, node }
    }
}

/// Only the whole tree can tell.
struct Unclear;

impl From<DecodeError> for Unclear {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// A value is passed over.
struct Pass;

impl<'a> Take<'a> for Pass {
    type Out = ();
    type Error = Unclear;

    #[inline(always)]
    fn take(self, _scalar: Scalar<'a>, _at: usize) -> Result<(), Unclear> {
        Ok(())
    }
}

/// A key is looked up in the node of its map.
struct Key<'p>(Option<&'p Node>);

impl<'a> Take<'a> for Key<'_> {
    type Out = Option<usize>;
    type Error = Unclear;

    #[inline(always)]
    fn take(self, key: Scalar<'a>, _at: usize) -> Result<Option<usize>, Unclear> {
        match (self.0, key) {
            // JSON text has no name for it.
            (_, Scalar::Bin(_)) => Err(Unclear),
            (Some(node), key) => node.child(key),
            (None, _) => Ok(None),
        }
    }
}
