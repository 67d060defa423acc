//! The sink that builds Python objects.

use std::array;

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString, PyType};

use super::crowded::{Crowd, MANY};
use super::errors::Failure;
use super::keys::{Memory, LONGEST};
use super::make::{self, KeptKey, Key, List};
use super::shapes::{Course, LENGTHS};
use crate::decrypt;
use crate::error::{DecodeError, Reason};
use crate::msgpack::json::valid_text;
use crate::msgpack::{read, starts_map, Options, Scalar, Sink, Text};

/// What becomes of map keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// They stay what they are; only `str` and `bytes` are taken.
    Strict,
    /// They stay what they are.
    Any,
    /// They become `str`, as in JSON text, and values of type `bytes` become text.
    Names,
}

/// Builds Python objects.
pub(crate) struct Objects<'py> {
    py: Python<'py>,
    keys: Keys,
    memory: Memory,
    small: &'static Small,
    /// Whether a map that was given names has keys that are equal, or may be, or have no
    /// name: what was built is then not what the JSON text says.
    pub(crate) ambiguous: bool,
    /// Made when first wanted: an empty one takes time to drop too.
    crowds: Option<Box<Crowds<'py>>>,
}

/// The open dicts of many keys, and those of their keys that may have been chosen to collide;
/// the innermost last.
#[derive(Default)]
struct Crowds<'py>(Vec<(Bound<'py, PyDict>, Crowd)>);

/// The numbers that fit into one byte of MessagePack, their digits, and the characters that
/// do.
struct Small {
    ints: [KeptKey; 128],
    digits: [KeptKey; 128],
    characters: [KeptKey; 128],
}

impl Small {
    fn get(py: Python<'_>) -> &'static Self {
        static SMALL: PyOnceLock<Small> = PyOnceLock::new();
        let string = |text: &str| KeptKey::new(PyString::new(py, text).into_any());
        SMALL.get_or_init(py, || Self {
            ints: array::from_fn(|n| KeptKey::new(PyInt::new(py, n).into_any())),
            digits: array::from_fn(|n| string(&n.to_string())),
            characters: array::from_fn(|n| string(&char::from(n as u8).to_string())),
        })
    }
}

impl<'py> Objects<'py> {
    pub(crate) fn new(py: Python<'py>, keys: Keys) -> Self {
        Self {
            py,
            keys,
            memory: Memory::default(),
            small: Small::get(py),
            ambiguous: false,
            crowds: None,
        }
    }

    #[inline(always)]
    fn object(&self, scalar: Scalar<'_>) -> Result<Bound<'py, PyAny>, Box<Failure>> {
        let py = self.py;
        let made = match scalar {
            Scalar::Int(value @ 0..=127) => {
                return Ok(self.small.ints[value as usize].get(py).object);
            }
            Scalar::Int(value) => make::int(py, value),
            Scalar::Uint(value) => make::uint(py, value),
            Scalar::Str(text) => return self.text(text),
            Scalar::Nil => return Ok(py.None().into_bound(py)),
            Scalar::Bool(value) => return Ok(PyBool::new(py, value).to_owned().into_any()),
            Scalar::Float(value) => make::float(py, value),
            Scalar::Bin(data) if self.keys == Keys::Names => {
                make::text(py, valid_text(data).as_bytes())
            }
            Scalar::Bin(data) => make::bytes(py, data),
            Scalar::Ext(code, data) => return Ok(ext(py, code, data)?),
            Scalar::Timestamp(seconds, nanoseconds) => {
                return Ok(timestamp(py, seconds, nanoseconds)?);
            }
        };
        made.ok_or_else(|| raised(py))
    }

    /// Makes the dict for a map whose keys are strings.
    #[inline(always)]
    fn start(&mut self, map: &mut Map<'py>, first: &Bound<'py, PyAny>) -> Result<(), Box<Failure>> {
        let len = map.len;
        if LENGTHS.contains(&len) {
            let shapes = &mut self.memory.recent().shapes;
            (map.dict, map.course) = shapes.start(first, len);
            if map.dict.is_some() {
                return Ok(());
            }
        }
        map.dict = Some(make::dict(self.py, 0).ok_or_else(|| raised(self.py))?);
        Ok(())
    }

    /// Refuses a key that collides with too many of its map.
    #[cold]
    fn admit(&mut self, map: &Map<'py>, key: &Key<'py>, at: usize) -> Result<(), Box<Failure>> {
        let Some(dict) = &map.dict else {
            return Ok(());
        };
        let Crowds(crowds) = &mut **self.crowds.get_or_insert_default();
        if !crowds.last().is_some_and(|(last, _)| last.is(dict)) {
            // A dict whose first key is a string was made to grow.
            let is_empty = dict.is_empty();
            let crowd = Crowd::new(if is_empty { map.len } else { 0 });
            crowds.push((dict.clone(), crowd));
        }
        if let Some((_, crowd)) = crowds.last_mut() {
            if !crowd.admits(dict, &key.object, key.hash)? {
                return Err(DecodeError::new(Reason::Crowded, at).into());
            }
        }
        Ok(())
    }

    /// Returns the name of a key that is no string and no small number.
    #[cold]
    fn name(&mut self, key: Scalar<'_>, at: usize) -> Option<Key<'py>> {
        let name = match key {
            Scalar::Int(key) => key.to_string(),
            Scalar::Uint(key) => key.to_string(),
            Scalar::Nil => "null".to_owned(),
            _ => {
                // What is built is thrown away then. Its place serves as a name, since the
                // hash of a number is no secret: chosen ones would collide in the dict.
                self.ambiguous = true;
                at.to_string()
            }
        };
        Key::new(PyString::new(self.py, &name).into_any())
    }

    #[inline(always)]
    fn text(&self, text: Text<'_>) -> Result<Bound<'py, PyAny>, Box<Failure>> {
        if let [character @ ..=0x7f] = *text.as_bytes() {
            return Ok(self.small.characters[usize::from(character)]
                .get(self.py)
                .object);
        }
        make::text(self.py, text.as_bytes()).ok_or_else(|| refused(self.py, text))
    }
}

/// A dict that is being filled.
pub(crate) struct Map<'py> {
    /// The dict; it is made when the first key is known.
    dict: Option<Bound<'py, PyDict>>,
    /// The number of entries it was opened for.
    len: usize,
    course: Course,
}

/// Returns the exception that Python has raised.
#[cold]
fn raised(py: Python<'_>) -> Box<Failure> {
    Box::new(Failure::Python(PyErr::fetch(py)))
}

/// Returns why a string could not be made.
#[cold]
fn refused(py: Python<'_>, text: Text<'_>) -> Box<Failure> {
    let error = PyErr::take(py);
    match (text.check(), error) {
        (Err(error), _) => Box::new(Failure::Decode(error)),
        (Ok(_), Some(error)) => Box::new(Failure::Python(error)),
        (Ok(_), None) => Box::new(Failure::Python(PyMemoryError::new_err(()))),
    }
}

#[cold]
fn ext<'py>(py: Python<'py>, code: i8, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    ext_type(py)?.call1((code, PyBytes::new(py, data)))
}

#[cold]
fn timestamp(py: Python<'_>, seconds: i64, nanoseconds: u32) -> PyResult<Bound<'_, PyAny>> {
    timestamp_type(py)?.call1((seconds, nanoseconds))
}

impl<'a, 'py> Sink<'a> for Objects<'py> {
    type Out = Bound<'py, PyAny>;
    type Seq = List<'py>;
    type Map = Map<'py>;
    type Key = Key<'py>;
    type Error = Box<Failure>;

    const EARLY: bool = true;

    #[inline(always)]
    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<Self::Out, Self::Error> {
        self.object(scalar)
    }

    #[inline(always)]
    fn seq(&mut self, len: usize) -> Result<Self::Seq, Self::Error> {
        List::new(self.py, len).ok_or_else(|| raised(self.py))
    }

    #[inline(always)]
    fn early(&mut self, seq: &Self::Seq) -> Option<Self::Out> {
        Some(seq.object())
    }

    #[inline(always)]
    fn item(&mut self, seq: &mut Self::Seq, value: Self::Out) -> Result<(), Self::Error> {
        seq.push(value);
        Ok(())
    }

    #[inline(always)]
    fn end_seq(&mut self, seq: Self::Seq) -> Result<Self::Out, Self::Error> {
        Ok(seq.finish())
    }

    #[inline(always)]
    fn map(&mut self, len: usize) -> Result<Self::Map, Self::Error> {
        Ok(Map {
            dict: None,
            len,
            course: Course::default(),
        })
    }

    #[inline(always)]
    fn key(
        &mut self,
        map: &mut Self::Map,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<Self::Key, Self::Error> {
        let py = self.py;
        // Whether equal keys will be this very object.
        let is_kept = match key {
            Scalar::Str(text) => text.as_bytes().len() <= LONGEST,
            Scalar::Int(key) => (0..=127).contains(&key),
            _ => false,
        };
        let key = match (self.keys, key) {
            (_, Scalar::Str(text)) if matches!(text.as_bytes(), [..=0x7f]) => {
                self.small.characters[usize::from(text.as_bytes()[0])].get(py)
            }
            (_, Scalar::Str(text)) => {
                let make = || make::text(py, text.as_bytes());
                let key = self.memory.recent().key(py, text.as_bytes(), make);
                key.ok_or_else(|| refused(py, text))?
            }
            (Keys::Names, Scalar::Int(key @ 0..=127)) => self.small.digits[key as usize].get(py),
            (Keys::Any, _) => {
                if map.dict.is_none() {
                    map.dict = Some(make::dict(py, map.len).ok_or_else(|| raised(py))?);
                }
                let key = match key {
                    Scalar::Int(key @ 0..=127) => self.small.ints[key as usize].get(py),
                    _ => Key::new(self.object(key)?).ok_or_else(|| raised(py))?,
                };
                if map.len >= MANY {
                    self.admit(map, &key, at)?;
                }
                key
            }
            (Keys::Strict, Scalar::Bin(_)) => {
                Key::new(self.object(key)?).ok_or_else(|| raised(py))?
            }
            (Keys::Strict, _) => {
                let reason = Reason::KeyType(key.type_name());
                return Err(DecodeError::new(reason, at).into());
            }
            (Keys::Names, _) => self.name(key, at).ok_or_else(|| raised(py))?,
        };
        if map.dict.is_none() {
            self.start(map, &key.object)?;
        }
        if !is_kept {
            map.course.is_of_no_use();
        }
        Ok(key)
    }

    #[inline(always)]
    fn entry(
        &mut self,
        map: &mut Self::Map,
        key: Self::Key,
        value: Self::Out,
    ) -> Result<(), Self::Error> {
        if map.course.has_shape() {
            let shapes = &mut self.memory.recent().shapes;
            if !shapes.follows(&mut map.course, &key.object) {
                let course = std::mem::take(&mut map.course);
                if let Some(dict) = map.dict.take() {
                    map.dict = Some(shapes.leave(course, dict)?);
                }
            }
        }
        match &map.dict {
            Some(dict) if make::insert(dict, key, value) => Ok(()),
            _ => Err(raised(self.py)),
        }
    }

    #[inline(always)]
    fn end_map(&mut self, map: Self::Map) -> Result<Self::Out, Self::Error> {
        let Some(dict) = map.dict else {
            let dict = make::dict(self.py, 0).ok_or_else(|| raised(self.py))?;
            return Ok(dict.into_any());
        };
        if self.keys == Keys::Names {
            self.ambiguous |= dict.len() < map.len;
        }
        if map.len >= MANY {
            if let Some(crowds) = &mut self.crowds {
                crowds.0.pop_if(|(last, _)| last.is(&dict));
            }
        }
        if map.course.is_new() {
            let shapes = &mut self.memory.recent().shapes;
            shapes.learn(map.course, &dict, map.len)?;
        }
        Ok(dict.into_any())
    }
}

/// Builds the dict with str keys that a payload stands for.
pub(crate) fn named<'py>(
    py: Python<'py>,
    data: &[u8],
    max_depth: usize,
) -> Result<Bound<'py, PyAny>, Box<Failure>> {
    if !data.is_empty() && !starts_map(data) {
        return Err(DecodeError::new(Reason::TopLevel, 0).into());
    }
    let mut objects = Objects::new(py, Keys::Names);
    let options = Options {
        max_depth,
        ..Options::PAYLOAD
    };
    let (tree, _) = read(data, options, &mut objects)?;
    if !objects.ambiguous {
        return Ok(tree);
    }
    // Which of several equal keys counts is defined by the JSON text.
    let text = decrypt::to_json(data, options)?;
    let json = py.import("json")?;
    let tree = json.call_method1("loads", (text,));
    tree.map_err(|error| Box::new(Failure::of_depth(py, error)))
}

/// Returns `xyfast.codec.ExtType`.
pub(crate) fn ext_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "xyfast.codec", "ExtType")
}

/// Returns `xyfast.codec.Timestamp`.
pub(crate) fn timestamp_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "xyfast.codec", "Timestamp")
}
