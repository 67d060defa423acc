//! A few fields of a payload, without building the rest.

use super::sink::{Scalar, Sink};

/// Places in a tree of maps, such as `1.10.reminderContent`.
///
/// A path names the key on every level, with dots between them. A whole number is named by
/// its digits and nil by `null`, as in the JSON text. Lists are not entered.
///
/// ```
/// use xyfast::msgpack::{pick::{Paths, Pick}, read, Options, Tree, Value};
///
/// let paths = Paths::new(["1.2", "9"]);
/// let mut pick = Pick::new(&paths, Tree);
/// read(b"\x81\x01\x81\x02\xa2hi", Options::PAYLOAD, &mut pick).unwrap();
/// assert_eq!(pick.found, [Some(Value::Str("hi")), None]);
/// ```
#[derive(Debug)]
pub struct Paths {
    /// A tree of names; the first node is the root.
    nodes: Vec<Node>,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<(Name, usize)>,
    /// The paths that end here.
    wanted: Vec<usize>,
}

#[derive(Debug, PartialEq)]
struct Name {
    text: String,
    /// The whole number with these digits.
    number: Option<i128>,
}

impl Paths {
    /// Parses paths.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut nodes = vec![Node::default()];
        let mut len = 0;
        for path in paths {
            let mut node = 0;
            for text in path.split('.') {
                let name = Name::new(text);
                let known = nodes[node].children.iter().find(|(n, _)| *n == name);
                node = match known {
                    Some((_, child)) => *child,
                    None => {
                        let child = nodes.len();
                        nodes[node].children.push((name, child));
                        nodes.push(Node::default());
                        child
                    }
                };
            }
            nodes[node].wanted.push(len);
            len += 1;
        }
        Self { nodes, len }
    }
}

impl Name {
    fn new(text: &str) -> Self {
        let number = text.parse().ok().filter(|n: &i128| n.to_string() == text);
        Self {
            text: text.to_owned(),
            number,
        }
    }
}

/// The sink that builds the values at some paths with another sink and skips the rest.
#[derive(Debug)]
pub struct Pick<'p, S, T> {
    paths: &'p Paths,
    /// The sink that builds the wanted values.
    pub inner: S,
    /// The value of every path, in the order of the paths.
    pub found: Vec<Option<T>>,
    /// Whether equal or unusual keys made the choice uncertain; the whole tree must then be
    /// built to tell what the paths stand for.
    pub ambiguous: bool,
    /// Whether a node of the paths was met.
    met: Vec<bool>,
    /// Where the next value stands.
    place: Place,
}

/// What a place in the tree is to the paths.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The node of the paths that stands for it.
    node: Option<usize>,
    /// Whether the value is wanted or part of a wanted one.
    build: bool,
}

impl<'p, S, T> Pick<'p, S, T> {
    /// Creates the sink; `inner` builds the wanted values.
    pub fn new(paths: &'p Paths, inner: S) -> Self {
        Self {
            paths,
            inner,
            found: (0..paths.len).map(|_| None).collect(),
            ambiguous: false,
            met: vec![false; paths.nodes.len()],
            place: Place {
                node: Some(0),
                build: false,
            },
        }
    }

    /// Returns what the value of `key` is to the paths, in the map at `node`.
    fn enter(&mut self, node: usize, key: Scalar<'_>) -> Option<usize> {
        let child = self.paths.nodes[node].child(key)?;
        self.ambiguous |= self.met[child];
        self.met[child] = true;
        Some(child)
    }
}

impl Node {
    fn child(&self, key: Scalar<'_>) -> Option<usize> {
        let same = |name: &Name| match key {
            Scalar::Nil => name.text == "null",
            Scalar::Int(key) => name.number == Some(key.into()),
            Scalar::Uint(key) => name.number == Some(key.into()),
            Scalar::Str(key) => name.text.as_bytes() == key.as_bytes(),
            _ => false,
        };
        let child = self.children.iter().find(|(name, _)| same(name));
        child.map(|(_, child)| *child)
    }
}

impl<'a, S> Sink<'a> for Pick<'_, S, S::Out>
where
    S: Sink<'a>,
    S::Out: Clone,
{
    /// The value, if it is wanted or part of a wanted one.
    type Out = Option<S::Out>;
    type Seq = Option<S::Seq>;
    type Map = (Option<usize>, Option<S::Map>);
    type Key = (Option<usize>, Option<S::Key>);
    type Error = S::Error;

    fn scalar(&mut self, scalar: Scalar<'a>, at: usize) -> Result<Self::Out, S::Error> {
        if self.place.build {
            return self.inner.scalar(scalar, at).map(Some);
        }
        if let Scalar::Str(text) = scalar {
            text.check()?;
        }
        Ok(None)
    }

    fn seq(&mut self, len: usize) -> Result<Self::Seq, S::Error> {
        self.place.node = None;
        self.place.build.then(|| self.inner.seq(len)).transpose()
    }

    fn item(&mut self, seq: &mut Self::Seq, value: Self::Out) -> Result<(), S::Error> {
        self.place = Place {
            node: None,
            build: seq.is_some(),
        };
        match (seq, value) {
            (Some(seq), Some(value)) => self.inner.item(seq, value),
            _ => Ok(()),
        }
    }

    fn end_seq(&mut self, seq: Self::Seq) -> Result<Self::Out, S::Error> {
        seq.map(|seq| self.inner.end_seq(seq)).transpose()
    }

    fn map(&mut self, len: usize) -> Result<Self::Map, S::Error> {
        let Place { node, build } = self.place;
        Ok((node, build.then(|| self.inner.map(len)).transpose()?))
    }

    fn key(
        &mut self,
        (node, map): &mut Self::Map,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<Self::Key, S::Error> {
        match key {
            Scalar::Str(text) => drop(text.check()?),
            Scalar::Bin(_) => self.ambiguous = true,
            Scalar::Bool(_) | Scalar::Float(_) => self.ambiguous |= node.is_some(),
            _ => {}
        }
        let child = node.and_then(|node| self.enter(node, key));
        let wanted = child.is_some_and(|child| !self.paths.nodes[child].wanted.is_empty());
        self.place = Place {
            node: child,
            build: map.is_some() || wanted,
        };
        let key = match map {
            Some(map) => Some(self.inner.key(map, key, at)?),
            None => None,
        };
        Ok((child, key))
    }

    fn entry(
        &mut self,
        (_, map): &mut Self::Map,
        (node, key): Self::Key,
        value: Self::Out,
    ) -> Result<(), S::Error> {
        if let Some(node) = node {
            for &path in &self.paths.nodes[node].wanted {
                self.found[path].clone_from(&value);
            }
        }
        match (map, key, value) {
            (Some(map), Some(key), Some(value)) => self.inner.entry(map, key, value),
            _ => Ok(()),
        }
    }

    fn end_map(&mut self, (_, map): Self::Map) -> Result<Self::Out, S::Error> {
        map.map(|map| self.inner.end_map(map)).transpose()
    }
}
