//! The sink that builds Python objects as users choose, with their hooks.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::crowded::{Crowd, MANY};
use super::errors::Failure;
use super::object::{ext_type, timestamp_type};
use super::unpack::{Choices, Moment};
use crate::error::{Container, DecodeError, Reason};
use crate::msgpack::{Scalar, Sink, Text};

const NANO: i128 = 1_000_000_000;

/// Builds Python objects and calls hooks.
pub(crate) struct Hooked<'c, 'py> {
    py: Python<'py>,
    choices: &'c Choices,
}

/// A map that is being filled.
pub(crate) enum Map<'py> {
    /// A dict, the number of entries it was opened for, and those of its keys that may have
    /// been chosen to collide.
    Dict(Bound<'py, PyDict>, usize, Option<Box<Crowd>>),
    Pairs(Vec<Bound<'py, PyTuple>>),
}

impl<'c, 'py> Hooked<'c, 'py> {
    pub(crate) fn new(py: Python<'py>, choices: &'c Choices) -> Self {
        Self { py, choices }
    }

    fn text(&self, text: Text<'_>) -> Result<Bound<'py, PyAny>, Failure> {
        if self.choices.raw {
            return Ok(PyBytes::new(self.py, text.as_bytes()).into_any());
        }
        match (&self.choices.unicode_errors, text.check()) {
            (_, Ok(text)) => Ok(PyString::new(self.py, text).into_any()),
            (None, Err(error)) => Err(error.into()),
            (Some(handler), Err(_)) => {
                let bytes = PyBytes::new(self.py, text.as_bytes());
                Ok(bytes.call_method1("decode", ("utf-8", handler))?)
            }
        }
    }

    fn ext(&self, code: i8, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let data = PyBytes::new(self.py, data);
        match &self.choices.ext_hook {
            Some(hook) => hook.bind(self.py).call1((code, data)),
            None => ext_type(self.py)?.call1((code, data)),
        }
    }

    fn moment(&self, seconds: i64, nanoseconds: u32) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match self.choices.timestamp {
            Moment::Float => {
                let fraction = f64::from(nanoseconds) / NANO as f64;
                PyFloat::new(py, seconds as f64 + fraction).into_any()
            }
            Moment::Nanoseconds => {
                let all = i128::from(seconds) * NANO + i128::from(nanoseconds);
                all.into_pyobject(py)?.into_any()
            }
            Moment::Timestamp => timestamp_type(py)?.call1((seconds, nanoseconds))?,
            Moment::Datetime => timestamp_type(py)?
                .call1((seconds, nanoseconds))?
                .call_method0("to_datetime")?,
        })
    }

    /// Refuses what is no `str` and no `bytes`, if users choose so.
    fn check(&self, key: &Bound<'py, PyAny>, name: &'static str, at: usize) -> Result<(), Failure> {
        let taken = key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyBytes>();
        if self.choices.strict_map_key && !taken {
            return Err(DecodeError::new(Reason::KeyType(name), at).into());
        }
        Ok(())
    }

    fn call(
        &self,
        hook: &Option<Py<PyAny>>,
        value: Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, Failure> {
        match hook {
            Some(hook) => Ok(hook.bind(self.py).call1((value,))?),
            None => Ok(value),
        }
    }
}

impl<'a, 'py> Sink<'a> for Hooked<'_, 'py> {
    type Out = Bound<'py, PyAny>;
    type Seq = Vec<Bound<'py, PyAny>>;
    type Map = Map<'py>;
    type Key = Bound<'py, PyAny>;
    type Error = Failure;

    const CONTAINER_KEYS: bool = true;

    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<Self::Out, Failure> {
        let py = self.py;
        Ok(match scalar {
            Scalar::Nil => py.None().into_bound(py),
            Scalar::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Scalar::Int(value) => PyInt::new(py, value).into_any(),
            Scalar::Uint(value) => PyInt::new(py, value).into_any(),
            Scalar::Float(value) => PyFloat::new(py, value).into_any(),
            Scalar::Str(text) => self.text(text)?,
            Scalar::Bin(data) => PyBytes::new(py, data).into_any(),
            Scalar::Ext(code, data) => self.ext(code, data)?,
            Scalar::Timestamp(seconds, nanoseconds) => self.moment(seconds, nanoseconds)?,
        })
    }

    fn seq(&mut self, len: usize) -> Result<Self::Seq, Failure> {
        Ok(Vec::with_capacity(len))
    }

    fn item(&mut self, seq: &mut Self::Seq, value: Self::Out) -> Result<(), Failure> {
        seq.push(value);
        Ok(())
    }

    fn end_seq(&mut self, seq: Self::Seq) -> Result<Self::Out, Failure> {
        let value = if self.choices.use_list {
            PyList::new(self.py, seq)?.into_any()
        } else {
            PyTuple::new(self.py, seq)?.into_any()
        };
        self.call(&self.choices.list_hook, value)
    }

    fn map(&mut self, len: usize) -> Result<Self::Map, Failure> {
        Ok(match self.choices.object_pairs_hook {
            Some(_) => Map::Pairs(Vec::with_capacity(len)),
            None => Map::Dict(PyDict::new(self.py), len, None),
        })
    }

    fn key(
        &mut self,
        map: &mut Self::Map,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<Self::Key, Failure> {
        let object = self.scalar(key, at)?;
        self.check(&object, key.type_name(), at)?;
        match map {
            Map::Dict(dict, MANY.., crowd) if !matches!(key, Scalar::Str(_) | Scalar::Bin(_)) => {
                admit(dict, crowd, &object, object.hash()?, at)?;
            }
            _ => {}
        }
        Ok(object)
    }

    fn container_key(
        &mut self,
        map: &mut Self::Map,
        key: Self::Out,
        at: usize,
    ) -> Result<Self::Key, Failure> {
        let name = if key.is_instance_of::<PyDict>() {
            "dict"
        } else if self.choices.use_list {
            "list"
        } else {
            "tuple"
        };
        self.check(&key, name, at)?;
        if let Map::Dict(dict, _, crowd) = map {
            let hash = key.hash().map_err(|error| unhashable(&key, error, at))?;
            admit(dict, crowd, &key, hash, at)?;
        }
        Ok(key)
    }

    fn entry(
        &mut self,
        map: &mut Self::Map,
        key: Self::Key,
        value: Self::Out,
    ) -> Result<(), Failure> {
        match map {
            Map::Dict(dict, ..) => dict.set_item(key, value)?,
            Map::Pairs(pairs) => pairs.push(PyTuple::new(self.py, [key, value])?),
        }
        Ok(())
    }

    fn end_map(&mut self, map: Self::Map) -> Result<Self::Out, Failure> {
        match map {
            Map::Dict(dict, ..) => self.call(&self.choices.object_hook, dict.into_any()),
            Map::Pairs(pairs) => {
                let pairs = PyList::new(self.py, pairs)?.into_any();
                self.call(&self.choices.object_pairs_hook, pairs)
            }
        }
    }
}

/// Refuses a key that collides with too many of a dict that grows.
fn admit(
    dict: &Bound<'_, PyDict>,
    crowd: &mut Option<Box<Crowd>>,
    key: &Bound<'_, PyAny>,
    hash: isize,
    at: usize,
) -> Result<(), Failure> {
    let crowd = crowd.get_or_insert_with(|| Box::new(Crowd::new(0)));
    if crowd.admits(dict, key, hash)? {
        return Ok(());
    }
    Err(DecodeError::new(Reason::Crowded, at).into())
}

/// Returns why a container has no hash; objects that hooks made speak for themselves.
fn unhashable(key: &Bound<'_, PyAny>, error: PyErr, at: usize) -> Failure {
    let kind = if key.is_exact_instance_of::<PyDict>() {
        Container::Map
    } else if key.is_exact_instance_of::<PyList>() || key.is_exact_instance_of::<PyTuple>() {
        Container::List
    } else {
        return error.into();
    };
    if error.is_instance_of::<PyTypeError>(key.py()) {
        return DecodeError::new(Reason::Unhashable(kind), at).into();
    }
    error.into()
}
