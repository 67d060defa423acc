//! The sink that builds Python objects.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyType};

use super::errors::Failure;
use crate::decrypt;
use crate::error::{DecodeError, Reason};
use crate::msgpack::{read, starts_map, Options, Scalar, Sink};

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
    /// Whether a map that was given names has keys that are equal, or may be, or have no
    /// name: what was built is then not what the JSON text says.
    pub(crate) ambiguous: bool,
}

impl<'py> Objects<'py> {
    pub(crate) fn new(py: Python<'py>, keys: Keys) -> Self {
        Self {
            py,
            keys,
            ambiguous: false,
        }
    }

    fn object(&self, scalar: Scalar<'_>) -> Result<Bound<'py, PyAny>, Failure> {
        let py = self.py;
        Ok(match scalar {
            Scalar::Nil => py.None().into_bound(py),
            Scalar::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Scalar::Int(value) => PyInt::new(py, value).into_any(),
            Scalar::Uint(value) => PyInt::new(py, value).into_any(),
            Scalar::Float(value) => PyFloat::new(py, value).into_any(),
            Scalar::Str(text) => PyString::new(py, text.check()?).into_any(),
            Scalar::Bin(data) if self.keys == Keys::Names => {
                let valid: String = data.utf8_chunks().map(|chunk| chunk.valid()).collect();
                PyString::new(py, &valid).into_any()
            }
            Scalar::Bin(data) => PyBytes::new(py, data).into_any(),
            Scalar::Ext(code, data) => ext_type(py)?.call1((code, PyBytes::new(py, data)))?,
            Scalar::Timestamp(seconds, nanoseconds) => {
                timestamp_type(py)?.call1((seconds, nanoseconds))?
            }
        })
    }
}

impl<'a, 'py> Sink<'a> for Objects<'py> {
    type Out = Bound<'py, PyAny>;
    type Seq = Vec<Bound<'py, PyAny>>;
    /// The dict and the number of entries it was opened for.
    type Map = (Bound<'py, PyDict>, usize);
    type Key = Bound<'py, PyAny>;
    type Error = Failure;

    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<Self::Out, Failure> {
        self.object(scalar)
    }

    fn seq(&mut self, len: usize) -> Result<Self::Seq, Failure> {
        Ok(Vec::with_capacity(len))
    }

    fn item(&mut self, seq: &mut Self::Seq, value: Self::Out) -> Result<(), Failure> {
        seq.push(value);
        Ok(())
    }

    fn end_seq(&mut self, seq: Self::Seq) -> Result<Self::Out, Failure> {
        Ok(PyList::new(self.py, seq)?.into_any())
    }

    fn map(&mut self, len: usize) -> Result<Self::Map, Failure> {
        Ok((PyDict::new(self.py), len))
    }

    fn key(
        &mut self,
        _map: &mut Self::Map,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<Self::Key, Failure> {
        match (self.keys, key) {
            (_, Scalar::Str(_)) | (Keys::Any, _) | (Keys::Strict, Scalar::Bin(_)) => {}
            (Keys::Strict, _) => {
                return Err(DecodeError::new(Reason::KeyType(key.type_name()), at).into());
            }
            (Keys::Names, Scalar::Int(key)) => {
                return Ok(PyString::new(self.py, &key.to_string()).into_any());
            }
            (Keys::Names, Scalar::Uint(key)) => {
                return Ok(PyString::new(self.py, &key.to_string()).into_any());
            }
            (Keys::Names, Scalar::Nil) => return Ok(PyString::new(self.py, "null").into_any()),
            (Keys::Names, _) => {
                // What is built is thrown away then. Its place serves as a name, since the
                // hash of a number is no secret: chosen ones would collide in the dict.
                self.ambiguous = true;
                return Ok(PyString::new(self.py, &at.to_string()).into_any());
            }
        }
        self.object(key)
    }

    fn entry(
        &mut self,
        (dict, _): &mut Self::Map,
        key: Self::Key,
        value: Self::Out,
    ) -> Result<(), Failure> {
        Ok(dict.set_item(key, value)?)
    }

    fn end_map(&mut self, (dict, len): Self::Map) -> Result<Self::Out, Failure> {
        self.ambiguous |= dict.len() < len;
        Ok(dict.into_any())
    }
}

/// Builds the dict with str keys that a payload stands for.
pub(crate) fn named<'py>(
    py: Python<'py>,
    data: &[u8],
    max_depth: usize,
) -> Result<Bound<'py, PyAny>, Failure> {
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
    tree.map_err(|error| Failure::of_depth(py, error))
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
