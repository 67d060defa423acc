//! The options of `packb` and `Packer`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// What `packb` and `Packer` are asked to do differently.
pub(super) struct Options {
    pub(super) default: Option<Py<PyAny>>,
    pub(super) single_float: bool,
    /// Whether a `Packer` gives what it packs at once; says nothing to `packb`.
    pub(super) autoreset: bool,
    pub(super) bin_type: bool,
    pub(super) strict_types: bool,
    pub(super) datetime: bool,
    pub(super) unicode_errors: Option<String>,
}

impl Options {
    pub(super) const PLAIN: Self = Self {
        default: None,
        single_float: false,
        autoreset: true,
        bin_type: true,
        strict_types: false,
        datetime: false,
        unicode_errors: None,
    };

    /// Takes the options of a function of this name.
    pub(super) fn new(options: Option<&Bound<'_, PyDict>>, function: &str) -> PyResult<Self> {
        let mut chosen = Self::PLAIN;
        for (name, value) in options.into_iter().flatten() {
            let name = name.cast_into::<PyString>()?;
            chosen.set(name.to_str()?, &value, function)?;
        }
        Ok(chosen)
    }

    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>, function: &str) -> PyResult<()> {
        match name {
            "default" => self.default = hook(value)?,
            "use_single_float" => self.single_float = value.is_truthy()?,
            "autoreset" => self.autoreset = value.is_truthy()?,
            "use_bin_type" => self.bin_type = value.is_truthy()?,
            "strict_types" => self.strict_types = value.is_truthy()?,
            "datetime" => self.datetime = value.is_truthy()?,
            "unicode_errors" => self.unicode_errors = value.extract()?,
            // The buffer grows by itself.
            "buf_size" => {
                value.extract::<usize>()?;
            }
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "{function}() got an unexpected keyword argument '{name}'"
                )))
            }
        }
        Ok(())
    }
}

fn hook(value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if value.is_none() {
        return Ok(None);
    }
    if !value.is_callable() {
        return Err(PyTypeError::new_err("default must be callable"));
    }
    Ok(Some(value.clone().unbind()))
}
