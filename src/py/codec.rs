//! Decoding: take the argument, call, map the error.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyString, PyTuple};

use super::errors::{raised, Failure};
use super::input::Input;
use super::object::{named, Keys, Objects};
use crate::error::Reason;
use crate::msgpack::{read, Options, DEFAULT_DEPTH};
use crate::{base64, decrypt as upstream};

/// Return what the pure-Python `decrypt` of existing bots returns.
#[pyfunction]
#[pyo3(signature = (payload, /))]
pub(crate) fn decrypt<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decrypt_plain(payload)
}

pub(crate) fn decrypt_plain<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = payload.py();
    let input = Input::payload(payload)?;
    let text = base64::forgiving(input.as_bytes()?, |data| decrypted(py, data));
    text.map_err(Failure::from)
        .and_then(|text| text)
        .map_err(Failure::into_decrypt_error)
}

fn decrypted<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, Failure> {
    match upstream::to_json(data, Options::PAYLOAD) {
        Ok(text) => Ok(PyString::new(py, &text).into_any()),
        Err(error) if error.reason == Reason::TopLevel => {
            let mut objects = Objects::new(py, Keys::Any);
            let (value, _) = read(data, Options::PAYLOAD, &mut objects)?;
            let text = value.str().map_err(|error| Failure::of_depth(py, error))?;
            Ok(text.into_any())
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
    let input = Input::text(payload)?;
    let py = payload.py();
    Ok(base64::forgiving(input.as_bytes()?, |data| {
        named(py, data, max_depth)
    })??)
}

pub(crate) fn decode_plain<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decode(payload, DEFAULT_DEPTH)
}

/// Decode one MessagePack value.
#[pyfunction]
#[pyo3(signature = (data, /, *, strict_map_key = true, max_depth = 512))]
pub(crate) fn unpackb<'py>(
    data: &Bound<'py, PyAny>,
    strict_map_key: bool,
    max_depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let buffer = Input::buffer(data)?;
    let options = Options {
        max_depth,
        ..Options::STANDARD
    };
    unpacked(py, buffer.as_bytes(), options, strict_map_key)
}

#[inline(always)]
fn unpacked<'py>(
    py: Python<'py>,
    data: &[u8],
    options: Options,
    strict_map_key: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let keys = if strict_map_key {
        Keys::Strict
    } else {
        Keys::Any
    };
    let (value, end) = read(data, options, &mut Objects::new(py, keys))?;
    match data.get(end..) {
        Some(extra) if !extra.is_empty() => Err(extra_data(value, extra, end)),
        _ => Ok(value),
    }
}

#[cold]
fn extra_data(value: Bound<'_, PyAny>, extra: &[u8], end: usize) -> PyErr {
    let extra = PyBytes::new(value.py(), extra).unbind();
    raised::ExtraData::new_err((value.unbind(), extra, end))
}

#[inline(always)]
pub(crate) fn unpackb_plain<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match data.cast_exact::<PyBytes>() {
        Ok(bytes) => unpacked(data.py(), bytes.as_bytes(), Options::STANDARD, true),
        Err(_) => unpackb(data, true, DEFAULT_DEPTH),
    }
}

/// Knows the option that programs with whole numbers as keys must set.
pub(crate) fn unpackb_optional<'py>(
    data: &Bound<'py, PyAny>,
    names: &Bound<'py, PyTuple>,
    values: &[Borrowed<'_, 'py, PyAny>],
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let py = data.py();
    let [value] = values else { return None };
    let name = names.get_borrowed_item(0).ok()?;
    let strict = value.cast::<PyBool>().ok()?.is_true();
    name.is(intern!(py, "strict_map_key"))
        .then(|| unpackb(data, strict, DEFAULT_DEPTH))
}
