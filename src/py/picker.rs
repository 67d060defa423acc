//! A few fields of a payload as Python sees them.

use std::hash::{Hash, Hasher};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::entry::Call;
use super::input::Input;
use super::object::{named, Keys, Objects};
use crate::base64;
use crate::msgpack::pick::{pick as walk, Paths};
use crate::msgpack::DEFAULT_DEPTH;

/// `pick` with its paths, for many payloads.
#[pyclass(frozen, immutable_type, eq, hash, module = "xyfast._core")]
#[derive(Default)]
pub(super) struct Picker {
    paths: Vec<String>,
    places: Paths,
    pub(super) call: Call,
}

impl PartialEq for Picker {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths
    }
}

impl Hash for Picker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.paths.hash(state);
    }
}

#[pymethods]
impl Picker {
    #[new]
    #[pyo3(signature = (*paths))]
    fn new(paths: Vec<String>) -> Self {
        let places = Paths::new(paths.iter().map(String::as_str));
        let call = Call::default();
        Self {
            paths,
            places,
            call,
        }
    }

    /// The paths, in the order of the values.
    #[getter]
    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.paths)
    }

    #[pyo3(signature = (payload, /))]
    fn __call__<'py>(&self, payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        self.pick(payload)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let paths = self.paths(py)?.to_list().repr()?;
        let paths = paths
            .to_str()?
            .trim_start_matches('[')
            .trim_end_matches(']');
        Ok(format!("Picker({paths})"))
    }

    /// Return what makes an equal Picker.
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let class = slf.get_type().into_any();
        Ok((class, slf.get().paths(slf.py())?))
    }
}

impl Picker {
    pub(super) fn pick<'py>(&self, payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let input = Input::text(payload)?;
        let py = payload.py();
        base64::forgiving(input.as_bytes()?, |data| self.found(py, data))?
    }

    fn found<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
        let mut objects = Objects::new(py, Keys::Names);
        match walk(data, &self.places, &mut objects) {
            Some(found) if !objects.ambiguous => PyTuple::new(py, found),
            _ => self.follow(&named(py, data, DEFAULT_DEPTH)?),
        }
    }

    /// Follows the paths in a tree that is built.
    fn follow<'py>(&self, tree: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let found: PyResult<Vec<_>> = self.paths.iter().map(|path| follow(tree, path)).collect();
        PyTuple::new(tree.py(), found?)
    }
}

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

/// Return the values at some paths of a payload.
#[pyfunction]
#[pyo3(signature = (payload, paths, /))]
pub(super) fn pick<'py>(
    payload: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = several)] paths: Vec<String>,
) -> PyResult<Bound<'py, PyTuple>> {
    Picker::new(paths).pick(payload)
}

/// Takes several paths; a str would be one for each of its characters.
fn several(paths: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let refused = |object: &Bound<'_, PyAny>| {
        let name = object.get_type().name()?;
        let words = format!("paths must be an iterable of str, not {name}");
        Err(PyTypeError::new_err(words))
    };
    if paths.is_instance_of::<PyString>() {
        return refused(paths);
    }
    let Ok(paths) = paths.try_iter() else {
        return refused(paths);
    };
    paths.map(|path| path?.extract()).collect()
}
