//! Decoding: take the argument, call, map the error.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::errors::Failure;
use super::input::{within, Input};
use super::make;
use super::object::{named, Keys, Objects};
use crate::msgpack::{json, read, Options, DEFAULT_DEPTH};
use crate::{base64, decrypt as upstream};

/// Return what the pure-Python `decrypt` of existing bots returns.
#[pyfunction]
#[pyo3(signature = (payload, /))]
pub(crate) fn decrypt<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decrypt_plain(payload)
}

pub(crate) fn decrypt_plain<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decrypted(payload.py(), Input::payload(payload)?.as_bytes()?)
}

/// Does what [`decrypt`] does for a text.
pub(crate) fn decrypted<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let made = base64::forgiving(text, |data| to_text(py, data));
    made.map_err(Failure::from)
        .and_then(|made| made)
        .map_err(Failure::into_decrypt_error)
}

fn to_text<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, Failure> {
    if upstream::check_map(data).is_err() {
        let mut objects = Objects::new(py, Keys::Any);
        let (value, _) = read(data, Options::PAYLOAD, &mut objects)?;
        let text = value.str().map_err(|error| Failure::of_depth(py, error))?;
        return Ok(text.into_any());
    }
    let mut text = Vec::new();
    if json::quick(data, Options::PAYLOAD, &mut text) {
        if let Some(text) = checked(py, &text) {
            return Ok(text);
        }
    }
    let text = json::careful::to_json(data, Options::PAYLOAD)?;
    Ok(PyString::new(py, &text).into_any())
}

/// Makes a str of text that has yet to be checked, if it is UTF-8.
pub(crate) fn checked<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let made = make::text(py, text);
    if made.is_none() {
        drop(PyErr::take(py));
    }
    made
}

/// Decode a payload into a dict with str keys.
#[pyfunction]
#[pyo3(
    signature = (payload, /, *, max_depth = Some(DEFAULT_DEPTH)),
    text_signature = "(payload, /, *, max_depth=512)"
)]
pub(crate) fn decode<'py>(
    payload: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = within)] max_depth: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let max_depth = max_depth.ok_or_else(|| {
        let words = format!("max_depth must be within 0 and {}", usize::MAX);
        PyValueError::new_err(words)
    })?;
    let (py, text) = (payload.py(), Input::text(payload)?);
    let text = text.as_bytes()?;
    decoded(py, text, max_depth).inspect_err(|error| {
        if text.trim_ascii_start().starts_with(b"{") {
            // CPython 3.10 has no notes. Whatever goes wrong with this one, the error counts.
            let note = "this looks like a frame: use decode_frame";
            drop(
                error
                    .value(py)
                    .call_method1(intern!(py, "add_note"), (note,)),
            );
        }
    })
}

/// Does what [`decode`] does for a text.
pub(crate) fn decoded<'py>(
    py: Python<'py>,
    text: &[u8],
    max_depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(base64::forgiving(text, |data| named(py, data, max_depth))??)
}

pub(crate) fn decode_plain<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decode(payload, Some(DEFAULT_DEPTH))
}
