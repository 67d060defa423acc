//! Encoding of Python objects.

use std::mem;

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};

use super::errors::raised;
use super::input::Input;
use super::object::{ext_type, timestamp_type};
use crate::msgpack::{TooLong, Writer};

/// Encode an object as MessagePack.
#[pyfunction]
#[pyo3(signature = (value, /, *, max_depth = 512))]
pub(crate) fn packb<'py>(
    value: &Bound<'py, PyAny>,
    max_depth: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut writer = Writer::new();
    // Containers inside others wait here, so that nesting costs heap and not stack.
    let mut outer = Vec::new();
    let mut open = Open::Top;
    let mut next = Some(value.clone());
    loop {
        match next {
            Some(value) => {
                if let Some(inner) = write(&mut writer, &value)? {
                    if outer.len() >= max_depth {
                        return Err(refused("lists and dicts are nested too deeply"));
                    }
                    outer.push(mem::replace(&mut open, inner));
                }
            }
            None => match outer.pop() {
                Some(container) => open = container,
                None => return Ok(PyBytes::new(value.py(), &writer.into_bytes())),
            },
        }
        next = open.next()?;
    }
}

/// A container whose values are being written: a copy, since writing may run code of users
/// (a property of a subclass), which may change the container.
enum Open<'py> {
    Top,
    Items(Bound<'py, PyTuple>, usize),
    /// The value of the key that was written last comes first.
    Entries(Option<Bound<'py, PyAny>>, Bound<'py, PyList>, usize),
}

impl<'py> Open<'py> {
    /// Returns the value to write next.
    fn next(&mut self) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Top => Ok(None),
            Self::Items(items, index) => {
                *index += 1;
                Ok(items.get_item(*index - 1).ok())
            }
            Self::Entries(value, entries, index) => {
                if let Some(value) = value.take() {
                    return Ok(Some(value));
                }
                if *index == entries.len() {
                    return Ok(None);
                }
                *index += 1;
                let (key, next) = entries.get_item(*index - 1)?.extract()?;
                *value = Some(next);
                Ok(Some(key))
            }
        }
    }
}

/// Writes a value, or the head of a container and returns that.
fn write<'py>(writer: &mut Writer, object: &Bound<'py, PyAny>) -> PyResult<Option<Open<'py>>> {
    if object.is_none() {
        writer.nil();
    } else if let Ok(value) = object.cast::<PyBool>() {
        writer.bool(value.is_true());
    } else if let Ok(value) = object.cast::<PyInt>() {
        if let Ok(value) = value.extract() {
            writer.int(value);
        } else if let Ok(value) = value.extract() {
            writer.uint(value);
        } else {
            return Err(refused("an int is not within -2**63 and 2**64 - 1"));
        }
    } else if let Ok(value) = object.cast::<PyFloat>() {
        writer.float(value.value());
    } else if let Ok(text) = object.cast::<PyString>() {
        let text = text.to_str();
        let text = text.map_err(|_| refused("a str has a lone surrogate"))?;
        writer.str(text)?;
    } else if object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
        || object.is_instance_of::<PyMemoryView>()
    {
        writer.bin(Input::buffer(object)?.as_bytes())?;
    } else if let Ok(list) = object.cast::<PyList>() {
        let items = list.to_tuple();
        writer.array(items.len())?;
        return Ok(Some(Open::Items(items, 0)));
    } else if let Ok(dict) = object.cast::<PyDict>() {
        let entries = dict.items();
        writer.map(entries.len())?;
        return Ok(Some(Open::Entries(None, entries, 0)));
    } else if object.get_type().is_subclass(ext_type(object.py())?)? {
        let (code, data): (i8, Bound<'py, PyBytes>) = object.extract()?;
        writer.ext(code, data.as_bytes())?;
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        writer.array(tuple.len())?;
        return Ok(Some(Open::Items(tuple.clone(), 0)));
    } else if object
        .get_type()
        .is_subclass(timestamp_type(object.py())?)?
    {
        let seconds = object.getattr("seconds")?.extract();
        let seconds = seconds.map_err(|_| refused("a Timestamp is beyond 64 bits of seconds"))?;
        writer.timestamp(seconds, object.getattr("nanoseconds")?.extract()?);
    } else {
        let name = object.get_type().name()?;
        return Err(refused(&format!("no MessagePack form for type {name}")));
    }
    Ok(None)
}

fn refused(message: &str) -> PyErr {
    raised::EncodeError::new_err(message.to_owned())
}

impl From<TooLong> for PyErr {
    fn from(error: TooLong) -> Self {
        refused(&error.to_string())
    }
}
