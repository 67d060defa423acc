//! Looks into decoded trees.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// Return whether a text in nested dicts and lists contains a word.
#[pyfunction]
#[pyo3(signature = (tree, word, /))]
pub(super) fn mentions(tree: Bound<'_, PyAny>, word: &Bound<'_, PyString>) -> PyResult<bool> {
    let mut left = vec![tree];
    while let Some(value) = left.pop() {
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            left.extend(dict.iter().map(|(_, value)| value));
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            left.extend(list.iter());
        } else if value.is_exact_instance_of::<PyString>() && value.contains(word)? {
            return Ok(true);
        }
    }
    Ok(false)
}
