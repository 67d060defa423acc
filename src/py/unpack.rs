//! `unpackb` and its options.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyString, PyTuple};

use super::errors::{extra_data, Failure};
use super::hooks::Hooked;
use super::input::Input;
use super::object::{ext_type, Keys, Objects};
use crate::msgpack::scan::{Limit, Limits, Scan};
use crate::msgpack::{read, Options};

/// How deeply lists and maps may be nested, as in msgpack.
pub(crate) const MAX_DEPTH: usize = 1024;

/// Decode one MessagePack value.
#[pyfunction]
#[pyo3(
    signature = (packed, **options),
    text_signature = "(packed, *, object_hook=None, list_hook=None, use_list=True, raw=False, \
timestamp=0, strict_map_key=True, unicode_errors=None, object_pairs_hook=None, ext_hook=None, \
max_str_len=-1, max_bin_len=-1, max_array_len=-1, max_map_len=-1, max_ext_len=-1)"
)]
pub(crate) fn unpackb<'py>(
    packed: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = packed.py();
    let buffer = Input::buffer(packed)?;
    let data = buffer.as_bytes();
    let choices = Choices::new(py, options, "unpackb")?;
    if choices.lengths != Lengths::default() {
        Scan::new(MAX_DEPTH).advance(data, &choices.lengths.limits(usize::MAX))?;
    }
    let (value, end) = choices.read(py, data)?;
    whole(value, data, end)
}

/// What `unpackb` does without options, but for what keys may be.
#[inline(always)]
fn plain<'py>(data: &Bound<'py, PyAny>, keys: Keys) -> PyResult<Bound<'py, PyAny>> {
    const OPTIONS: Options = Options {
        max_depth: MAX_DEPTH,
        ..Options::STANDARD
    };
    let copy;
    let bytes = match data.cast_exact::<PyBytes>() {
        Ok(bytes) => bytes,
        Err(_) => {
            copy = Input::buffer(data)?;
            &copy
        }
    };
    let bytes = bytes.as_bytes();
    let (value, end) = read(bytes, OPTIONS, &mut Objects::new(data.py(), keys))?;
    whole(value, bytes, end)
}

pub(crate) fn unpackb_plain<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    plain(data, Keys::Strict)
}

/// Knows the options that programs write most: `strict_map_key` and `raw=False`.
pub(crate) fn unpackb_optional<'py>(
    data: &Bound<'py, PyAny>,
    names: &Bound<'py, PyTuple>,
    values: &[Borrowed<'_, 'py, PyAny>],
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let py = data.py();
    let mut keys = Keys::Strict;
    for (i, value) in values.iter().enumerate() {
        let name = names.get_borrowed_item(i).ok()?;
        let value = value.cast::<PyBool>().ok()?.is_true();
        if name.is(intern!(py, "strict_map_key")) {
            keys = if value { Keys::Strict } else { Keys::Any };
        } else if value || !name.is(intern!(py, "raw")) {
            return None;
        }
    }
    Some(plain(data, keys))
}

/// Returns the value, if it ends where the data ends.
#[inline(always)]
fn whole<'py>(value: Bound<'py, PyAny>, data: &[u8], end: usize) -> PyResult<Bound<'py, PyAny>> {
    match data.get(end..) {
        Some(extra) if !extra.is_empty() => Err(with_extra(value, extra, end)),
        _ => Ok(value),
    }
}

#[cold]
fn with_extra(value: Bound<'_, PyAny>, extra: &[u8], end: usize) -> PyErr {
    let extra = PyBytes::new(value.py(), extra).unbind();
    extra_data(value.unbind(), extra, end)
}

/// What users choose about the objects that are built.
pub(crate) struct Choices {
    pub(crate) use_list: bool,
    pub(crate) raw: bool,
    pub(crate) strict_map_key: bool,
    pub(crate) timestamp: Moment,
    pub(crate) unicode_errors: Option<Py<PyString>>,
    pub(crate) object_hook: Option<Py<PyAny>>,
    pub(crate) object_pairs_hook: Option<Py<PyAny>>,
    pub(crate) list_hook: Option<Py<PyAny>>,
    pub(crate) ext_hook: Option<Py<PyAny>>,
    pub(crate) lengths: Lengths,
}

/// What a timestamp becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Timestamp,
    Float,
    Nanoseconds,
    Datetime,
}

/// The longest values that are taken; what is not chosen follows from the size of the data.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    str: Option<usize>,
    bin: Option<usize>,
    array: Option<usize>,
    map: Option<usize>,
    ext: Option<usize>,
}

impl Lengths {
    /// Returns the limits for a buffer of so many bytes.
    pub(crate) fn limits(&self, max_buffer_size: usize) -> Limits {
        // A value inside takes at least a byte, so that an entry of a map takes two.
        let limit = |chosen: Option<usize>, option, least| match chosen {
            Some(len) => Limit { len, option },
            None => Limit {
                len: max_buffer_size / least,
                option: "max_buffer_size",
            },
        };
        Limits {
            str: limit(self.str, "max_str_len", 1),
            bin: limit(self.bin, "max_bin_len", 1),
            array: limit(self.array, "max_array_len", 1),
            map: limit(self.map, "max_map_len", 2),
            ext: limit(self.ext, "max_ext_len", 1),
        }
    }
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            use_list: true,
            raw: false,
            strict_map_key: true,
            timestamp: Moment::Timestamp,
            unicode_errors: None,
            object_hook: None,
            object_pairs_hook: None,
            list_hook: None,
            ext_hook: None,
            lengths: Lengths::default(),
        }
    }
}

impl Choices {
    /// Takes the options of a function of this name.
    pub(crate) fn new(
        py: Python<'_>,
        options: Option<&Bound<'_, PyDict>>,
        function: &str,
    ) -> PyResult<Self> {
        let mut choices = Self::default();
        for (name, value) in options.into_iter().flatten() {
            let name = name.cast_into::<PyString>()?;
            choices.set(name.to_str()?, &value, function)?;
        }
        if choices.object_hook.is_some() && choices.object_pairs_hook.is_some() {
            return Err(PyTypeError::new_err(
                "object_pairs_hook and object_hook are mutually exclusive",
            ));
        }
        let ext_hook = choices.ext_hook.as_ref();
        if ext_hook.is_some_and(|hook| ext_type(py).is_ok_and(|ext_type| hook.is(ext_type))) {
            choices.ext_hook = None;
        }
        Ok(choices)
    }

    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>, function: &str) -> PyResult<()> {
        match name {
            "use_list" => self.use_list = value.is_truthy()?,
            "raw" => self.raw = value.is_truthy()?,
            "strict_map_key" => self.strict_map_key = value.is_truthy()?,
            "timestamp" => {
                self.timestamp = match value.extract()? {
                    0_i64 => Moment::Timestamp,
                    1 => Moment::Float,
                    2 => Moment::Nanoseconds,
                    3 => Moment::Datetime,
                    _ => return Err(PyValueError::new_err("timestamp must be 0..3")),
                }
            }
            "unicode_errors" => {
                let handler: Option<Bound<'_, PyString>> = value.extract()?;
                let handler = handler.filter(|handler| handler != "strict");
                self.unicode_errors = handler.map(Bound::unbind);
            }
            "object_hook" => self.object_hook = hook(name, value)?,
            "object_pairs_hook" => self.object_pairs_hook = hook(name, value)?,
            "list_hook" => self.list_hook = hook(name, value)?,
            "ext_hook" => self.ext_hook = hook(name, value)?,
            "max_str_len" => self.lengths.str = length(name, value)?,
            "max_bin_len" => self.lengths.bin = length(name, value)?,
            "max_array_len" => self.lengths.array = length(name, value)?,
            "max_map_len" => self.lengths.map = length(name, value)?,
            "max_ext_len" => self.lengths.ext = length(name, value)?,
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "{function}() got an unexpected keyword argument '{name}'"
                )))
            }
        }
        Ok(())
    }

    /// Reads the first value of data; also returns where it ends.
    pub(crate) fn read<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
    ) -> Result<(Bound<'py, PyAny>, usize), Failure> {
        let options = Options {
            max_depth: MAX_DEPTH,
            reserved: self.ext_hook.is_some(),
            utf8: !self.raw && self.unicode_errors.is_none(),
            ..Options::STANDARD
        };
        if self.is_plain() {
            let keys = if self.strict_map_key {
                Keys::Strict
            } else {
                Keys::Any
            };
            return read(data, options, &mut Objects::new(py, keys)).map_err(|failure| *failure);
        }
        read(data, options, &mut Hooked::new(py, self))
    }

    /// Returns whether nothing is chosen but what keys may be.
    pub(crate) fn is_default(&self) -> bool {
        self.is_plain() && self.lengths == Lengths::default()
    }

    /// Returns whether objects are built as by default, but for what keys may be.
    fn is_plain(&self) -> bool {
        self.use_list
            && !self.raw
            && self.timestamp == Moment::Timestamp
            && self.unicode_errors.is_none()
            && self.hooks().next().is_none()
    }

    /// Returns the hooks, for the garbage collector too.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = &Py<PyAny>> {
        let hooks = [
            &self.object_hook,
            &self.object_pairs_hook,
            &self.list_hook,
            &self.ext_hook,
        ];
        hooks.into_iter().flatten()
    }
}

fn hook(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if value.is_none() {
        return Ok(None);
    }
    if !value.is_callable() {
        return Err(PyTypeError::new_err(format!("{name} must be a callable")));
    }
    Ok(Some(value.clone().unbind()))
}

fn length(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    match value.extract()? {
        -1_isize => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(PyValueError::new_err(format!("{name} must be -1 or more"))),
        },
    }
}
