//! The set of known ids, with a clock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::clock;
use super::input::{count, real};
use crate::dedup::{Dedup, Key};

/// A bounded set of ids that forgets by age.
#[pyclass(frozen, immutable_type, module = "xyfast._core")]
pub(crate) struct DedupCache {
    ids: Mutex<Dedup>,
    key: Key,
    clock: Clock,
}

enum Clock {
    Monotonic,
    Python(Py<PyAny>),
}

#[pymethods]
impl DedupCache {
    #[new]
    #[pyo3(signature = (maxsize = 10_000, ttl = 3600.0, *, clock = None))]
    fn new(
        #[pyo3(from_py_with = count)] maxsize: usize,
        #[pyo3(from_py_with = real)] ttl: f64,
        clock: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if !(1..=Dedup::MAX_LEN).contains(&maxsize) {
            return Err(PyValueError::new_err("maxsize must be 1 to 2**31"));
        }
        if ttl.is_nan() || ttl <= 0.0 {
            return Err(PyValueError::new_err("ttl must be more than 0 seconds"));
        }
        Ok(Self {
            ids: Mutex::new(Dedup::new(maxsize, ttl)),
            key: Key::random(),
            clock: clock.map_or(Clock::Monotonic, Clock::Python),
        })
    }

    /// Return True if the id is known; otherwise remember it and return False.
    #[pyo3(signature = (key, /))]
    fn seen(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = key.cast::<PyString>().map_err(|_| {
            let kind = key.get_type().name();
            let kind = kind.map_or_else(|_| "another".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("an id must be a str, not {kind}"))
        })?;
        let now = self.now(key.py())?;
        let id = with_bytes(key, |id| self.key.digest(id))?;
        let seen = self.ids().seen(id, now);
        seen.map_err(|_| PyMemoryError::new_err(()))
    }

    /// Remember the id, unless it is known.
    #[pyo3(signature = (key, /))]
    fn add(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.seen(key).map(drop)
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(key) = key.cast::<PyString>() else {
            return Ok(false);
        };
        let now = self.now(key.py())?;
        with_bytes(key, |id| self.ids().contains(self.key.digest(id), now))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.clock {
            Clock::Monotonic => Ok(()),
            Clock::Python(clock) => visit.call(clock),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let now = self.now(py)?;
        let mut ids = self.ids();
        let (size, max_len, ttl) = (ids.len(now), ids.max_len(), ids.ttl());
        Ok(format!(
            "DedupCache(maxsize={max_len}, ttl={ttl:?}, len={size})"
        ))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let now = self.now(py)?;
        Ok(self.ids().len(now))
    }
}

impl DedupCache {
    /// Asks the clock. It may be Python code that uses this very cache, so no lock is held.
    #[inline]
    fn now(&self, py: Python<'_>) -> PyResult<f64> {
        match &self.clock {
            Clock::Monotonic => Ok(clock::monotonic()),
            Clock::Python(clock) => clock.call0(py)?.extract(py),
        }
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned lock is as good as new.
    fn ids(&self) -> MutexGuard<'_, Dedup> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `f` with what stands for the text.
///
/// Lone surrogates become bytes that are no UTF-8, so no other text is taken for them.
#[inline]
fn with_bytes<R>(key: &Bound<'_, PyString>, f: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    if let Ok(text) = key.to_str() {
        return Ok(f(text.as_bytes()));
    }
    let bytes = key.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(f(bytes.cast::<PyBytes>()?.as_bytes()))
}
