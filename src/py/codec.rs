//! Decoding: take the argument, call, map the error.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::errors::Failure;
use super::input::Input;
use super::object::{named, Keys, Objects};
use crate::error::Reason;
use crate::msgpack::pick::{Paths, Pick};
use crate::msgpack::{read, starts_map, Options, DEFAULT_DEPTH};
use crate::{base64, decrypt as upstream};

/// Return what the pure-Python `decrypt` of existing bots returns.
#[pyfunction]
#[pyo3(signature = (payload, /))]
pub(crate) fn decrypt<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let py = payload.py();
    let input = Input::payload(payload)?;
    decrypted(py, input.as_bytes()?).map_err(Failure::into_decrypt_error)
}

fn decrypted<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyString>, Failure> {
    let data = base64::decode_forgiving(text)?;
    match upstream::to_json(&data, Options::PAYLOAD) {
        Ok(text) => Ok(PyString::new(py, &text)),
        Err(error) if error.reason == Reason::TopLevel => {
            let mut objects = Objects::new(py, Keys::Any);
            let (value, _) = read(&data, Options::PAYLOAD, &mut objects)?;
            value.str().map_err(|error| Failure::of_depth(py, error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Decode a payload into a dict with str keys.
#[pyfunction]
#[pyo3(signature = (payload, /, *, max_depth = 512))]
pub(crate) fn decode<'py>(
    payload: &Bound<'py, PyAny>,
    max_depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let data = base64::decode_forgiving(Input::text(payload)?.as_bytes()?)?;
    Ok(named(payload.py(), &data, max_depth)?)
}

/// Return the values at some paths of a payload.
#[pyfunction]
#[pyo3(signature = (payload, paths, /))]
pub(crate) fn pick<'py>(
    payload: &Bound<'py, PyAny>,
    paths: Vec<PyBackedStr>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = payload.py();
    let data = base64::decode_forgiving(Input::text(payload)?.as_bytes()?)?;
    let places = Paths::new(paths.iter().map(|path| &**path));
    let mut pick = Pick::new(&places, Objects::new(py, Keys::Names));
    if starts_map(&data) {
        read(&data, Options::PAYLOAD, &mut pick)?;
        if !pick.ambiguous && !pick.inner.ambiguous {
            return PyTuple::new(py, pick.found);
        }
    }
    let tree = named(py, &data, DEFAULT_DEPTH)?;
    let found: PyResult<Vec<_>> = paths.iter().map(|path| follow(&tree, path)).collect();
    PyTuple::new(py, found?)
}

/// Returns the value at a path of a tree that is built.
fn follow<'py>(tree: &Bound<'py, PyAny>, path: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut value = tree.clone();
    for name in path.split('.') {
        let Ok(map) = value.cast::<PyDict>() else {
            return Ok(None);
        };
        match map.get_item(name)? {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}
