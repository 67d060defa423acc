//! Many payloads in one call.
//!
//! Payloads are taken in portions. What needs no Python is done for a whole portion while
//! other threads run; then its objects are made. A payload about which something is unusual
//! goes the way of a single one, which finds the exact answer or error.

use std::ops::Range;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList};

use super::codec::{checked, decoded, decrypted};
use super::errors::in_place;
use super::input::Input;
use super::object::named;
use crate::msgpack::DEFAULT_DEPTH;
use crate::{base64, decrypt as upstream};

/// A portion ends with the payload that makes it longer than this.
const PORTION: usize = 1 << 18;
/// A portion has no more payloads than this.
const MOST: usize = 4096;

/// Return what `decrypt` returns for each of many payloads.
#[pyfunction]
#[pyo3(signature = (payloads, /, *, return_exceptions = false))]
pub(crate) fn decrypt_many<'py>(
    payloads: &Bound<'py, PyAny>,
    return_exceptions: bool,
) -> PyResult<Bound<'py, PyList>> {
    let steps = Steps {
        take: Input::payload,
        prepare: upstream::quick,
        make: checked,
        single: decrypted,
    };
    steps.run(payloads, return_exceptions)
}

/// Return what `decode` returns for each of many payloads.
#[pyfunction]
#[pyo3(signature = (payloads, /, *, return_exceptions = false))]
pub(crate) fn decode_many<'py>(
    payloads: &Bound<'py, PyAny>,
    return_exceptions: bool,
) -> PyResult<Bound<'py, PyList>> {
    let steps = Steps {
        take: Input::text,
        prepare: |text, data| base64::append_forgiving(text, data).is_ok(),
        make: |py, data| named(py, data, DEFAULT_DEPTH).ok(),
        single: |py, text| decoded(py, text, DEFAULT_DEPTH),
    };
    steps.run(payloads, return_exceptions)
}

/// What is done for each payload.
struct Steps<'py> {
    /// Takes the text of a payload.
    take: fn(&Bound<'py, PyAny>) -> PyResult<Input<'py>>,
    /// Appends what can be made of the text without Python, unless something is unusual.
    prepare: fn(&[u8], &mut Vec<u8>) -> bool,
    /// Makes an object of that, unless something is unusual.
    make: fn(Python<'py>, &[u8]) -> Option<Bound<'py, PyAny>>,
    /// Makes an object of the text.
    single: fn(Python<'py>, &[u8]) -> PyResult<Bound<'py, PyAny>>,
}

impl<'py> Steps<'py> {
    fn run(
        &self,
        payloads: &Bound<'py, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = payloads.py();
        if Input::is_text(payloads) {
            return Err(PyTypeError::new_err("expected many payloads, not one"));
        }
        let mut payloads = payloads.try_iter()?;
        let answers = PyList::empty(py);
        loop {
            let inputs = self.portion(&mut payloads)?;
            if inputs.is_empty() {
                return Ok(answers);
            }
            let texts: Vec<_> = inputs.iter().map(text).collect();
            let (prepared, places) = py.detach(|| self.prepare_all(&texts));
            for (input, place) in inputs.into_iter().zip(places) {
                let made = place.and_then(|place| (self.make)(py, &prepared[place]));
                let answer = made.map_or_else(|| (self.single)(py, input?.as_bytes()?), Ok);
                answers.append(match answer {
                    Ok(answer) => answer,
                    Err(error) => in_place(py, answers.len(), error, return_exceptions)?,
                })?;
            }
            py.check_signals()?;
        }
    }

    /// Takes the texts of the next payloads; none if there are no more.
    fn portion(
        &self,
        payloads: &mut Bound<'py, PyIterator>,
    ) -> PyResult<Vec<PyResult<Input<'py>>>> {
        let (mut inputs, mut len) = (Vec::new(), 0);
        while inputs.len() < MOST && len < PORTION {
            let Some(payload) = payloads.next() else {
                break;
            };
            let input = (self.take)(&payload?);
            len += text(&input).map_or(0, <[u8]>::len);
            inputs.push(input);
        }
        Ok(inputs)
    }

    /// Prepares texts one behind the other, and says where each is.
    fn prepare_all(&self, texts: &[Option<&[u8]>]) -> (Vec<u8>, Vec<Option<Range<usize>>>) {
        let mut prepared = Vec::new();
        let places = texts.iter().map(|text| {
            let start = prepared.len();
            (self.prepare)((*text)?, &mut prepared).then_some(start..prepared.len())
        });
        let places = places.collect();
        (prepared, places)
    }
}

/// Returns the text of a payload that could be taken.
fn text<'a>(input: &'a PyResult<Input<'_>>) -> Option<&'a [u8]> {
    input.as_ref().ok()?.as_bytes().ok()
}
