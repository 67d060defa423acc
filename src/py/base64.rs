//! Base64, straight into the object that is returned.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::mem::MaybeUninit;
use std::{ptr, slice};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use super::input::Input;
use crate::base64;
use crate::error::DecodeError;
use crate::simd::is_ascii;

/// Decode base64 text.
#[pyfunction]
#[pyo3(signature = (data, /, *, strict = true))]
pub(crate) fn b64decode<'py>(
    data: &Bound<'py, PyAny>,
    strict: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let input = Input::text(data)?;
    let text = input.as_bytes()?;
    match strictly(data.py(), text)? {
        Err(_) if !strict => Ok(PyBytes::new(data.py(), &base64::decode_forgiving(text)?)),
        decoded => Ok(decoded?),
    }
}

/// Encode bytes as base64 text.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn b64encode<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let data = Input::buffer(data)?;
    let (py, data) = (data.py(), data.as_bytes());
    let len = base64::encoded_len(data.len());
    // SAFETY: the new string has room for `len` ASCII characters, all of which are written
    // before anyone else sees it. An empty one is shared, and nothing is written then.
    unsafe {
        let text = ffi::PyUnicode_New(len as ffi::Py_ssize_t, 0x7f);
        let text = Bound::from_owned_ptr_or_err(py, text)?;
        let place = ffi::PyUnicode_DATA(text.as_ptr()).cast::<MaybeUninit<u8>>();
        base64::encode_into(data, slice::from_raw_parts_mut(place, len));
        Ok(text.cast_into_unchecked())
    }
}

/// Decode base64 text as `binascii` does; None where that has to be asked.
#[pyfunction]
#[pyo3(signature = (data, validate, /))]
pub(crate) fn a2b_base64<'py>(
    data: &Bound<'py, PyAny>,
    validate: bool,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let py = data.py();
    let buffer;
    let (text, is_str) = if let Ok(text) = data.cast::<PyString>() {
        match text.to_str() {
            Ok(text) => (text.as_bytes(), true),
            Err(_) => return Ok(None),
        }
    } else if let Some(bytes) = contiguous(data) {
        buffer = bytes;
        (buffer.as_bytes(), false)
    } else {
        return Ok(None);
    };
    match strictly(py, text)? {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) if validate || (is_str && !is_ascii(text)) => Ok(None),
        Err(_) => {
            let decoded = base64::decode_discarding(text);
            Ok(decoded.ok().map(|decoded| PyBytes::new(py, &decoded)))
        }
    }
}

/// Encode bytes as base64 text in bytes; None where `binascii` has to be asked.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn b2a_base64<'py>(data: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let Some(data) = contiguous(data) else {
        return Ok(None);
    };
    let len = base64::encoded_len(data.as_bytes().len());
    let encode = |out: &mut [_]| {
        base64::encode_into(data.as_bytes(), out);
        Ok::<_, Infallible>(())
    };
    Ok(bytes(data.py(), len, encode)?.ok())
}

/// Returns the bytes of an object with a buffer in one piece.
fn contiguous<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Some(bytes.clone());
    }
    let view = PyMemoryView::from(object).ok()?;
    let is_contiguous = view.getattr("c_contiguous").ok()?.is_truthy().ok()?;
    is_contiguous.then(|| Input::buffer(object).ok()).flatten()
}

/// Decodes text strictly.
fn strictly<'py>(
    py: Python<'py>,
    text: &[u8],
) -> PyResult<Result<Bound<'py, PyBytes>, DecodeError>> {
    let len = base64::decoded_len(text);
    bytes(py, len, |out| base64::decode_into(text, out).map(drop))
}

/// Creates a bytes object that `fill` fills.
fn bytes<'py, E>(
    py: Python<'py>,
    len: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<(), E>,
) -> PyResult<Result<Bound<'py, PyBytes>, E>> {
    // SAFETY: the object is new, has room for `len` bytes, and is seen by nobody else before
    // `fill` has written them. An empty one is shared, and nothing is written then.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(ptr::null(), len as ffi::Py_ssize_t);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        let place = ffi::PyBytes_AsString(object.as_ptr()).cast::<MaybeUninit<u8>>();
        let filled = fill(slice::from_raw_parts_mut(place, len));
        Ok(filled.map(|()| object.cast_into_unchecked()))
    }
}
