//! The walk over a tree of Python objects.
//!
//! Exact objects of the common types are borrowed and written by [`Walk::quick`], which
//! runs no Python code, so nothing can change under it. Everything else goes through
//! [`Walk::other`], which may run code of users: what is needed afterwards is owned, and
//! containers are looked at again.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::{iter, ptr, slice};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::output::Output;
use super::scalar::int_head;
use super::{flat, refused, Options};
use crate::msgpack::HeadBytes;

/// How many containers may stand around a value: msgpack's limit.
const MAX_DEPTH: usize = 1024;

/// How many of them are walked by recursion, which is fast; [`Walk::deep`] walks the rest.
const SHALLOW: usize = if cfg!(debug_assertions) { 6 } else { 24 };

/// An exception, small enough to be returned from everywhere.
pub(super) type Raised = Box<PyErr>;

/// Results up to this size are copied once, from the stack into a `bytes` object that fits.
const SCRATCH: usize = 4096;

/// The same where `default` may pack in turn, so that many such calls fit on the stack.
const SCRATCH_IN_HOOKS: usize = 256;

/// Packs a value.
#[inline(always)]
pub(super) fn pack<'py>(
    value: &Bound<'py, PyAny>,
    options: &Options,
) -> PyResult<Bound<'py, PyBytes>> {
    packed(value.py(), options, |walk| walk.write(value))
}

/// Packs a map from keys and values that follow each other.
pub(super) fn pack_pairs<'py>(
    flat: &Bound<'py, PyTuple>,
    options: &Options,
) -> PyResult<Bound<'py, PyBytes>> {
    packed(flat.py(), options, |walk| {
        walk.map_head(flat.len() / 2)?;
        flat.iter().try_for_each(|value| walk.write(&value))
    })
}

#[inline(always)]
fn packed<'py>(
    py: Python<'py>,
    options: &Options,
    write: impl FnOnce(&mut Walk<'_, 'py>) -> Result<(), Raised>,
) -> PyResult<Bound<'py, PyBytes>> {
    if options.default.is_some() {
        through::<SCRATCH_IN_HOOKS>(py, options, write)
    } else {
        through::<SCRATCH>(py, options, write)
    }
}

/// Has a function of its own for each size: the room on the stack is what it is called for.
#[inline(never)]
fn through<'py, const SIZE: usize>(
    py: Python<'py>,
    options: &Options,
    write: impl FnOnce(&mut Walk<'_, 'py>) -> Result<(), Raised>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut scratch = [MaybeUninit::uninit(); SIZE];
    let mut walk = Walk {
        py,
        options,
        out: Output::new(py, &mut scratch),
        depth: 0,
    };
    write(&mut walk).map_err(|error| *error)?;
    walk.out.finish()
}

/// What [`Walk::quick`] did, or what has to be done instead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quick {
    Written,
    List,
    Tuple,
    Dict,
    Other,
}

pub(super) struct Walk<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) options: &'a Options,
    pub(super) out: Output<'a, 'py>,
    /// How many containers are around the next value.
    depth: usize,
}

impl<'py> Walk<'_, 'py> {
    /// Writes a value and all that is in it.
    fn write(&mut self, object: &Bound<'py, PyAny>) -> Result<(), Raised> {
        // SAFETY: the caller owns the object.
        unsafe {
            match self.quick(object.as_ptr())? {
                Quick::Written => Ok(()),
                quick => self.enter(quick, object.as_ptr()),
            }
        }
    }

    /// Does what [`Walk::quick`] said.
    ///
    /// # Safety
    ///
    /// `object` is alive, and `quick` what was said of it.
    #[inline]
    unsafe fn enter(&mut self, quick: Quick, object: *mut ffi::PyObject) -> Result<(), Raised> {
        // SAFETY: as above. From here on the object is owned.
        unsafe {
            let object = Bound::from_borrowed_ptr(self.py, object);
            match quick {
                Quick::Written => Ok(()),
                Quick::List => self.list(object.cast_unchecked()),
                Quick::Tuple => {
                    let items = self.open_tuple(object.cast_into_unchecked())?;
                    self.items(items)
                }
                Quick::Dict => self.dict(object.cast_unchecked()),
                Quick::Other => match self.other(object)? {
                    Some(items) => self.items(items),
                    None => Ok(()),
                },
            }
        }
    }

    fn list(&mut self, list: &Bound<'py, PyList>) -> Result<(), Raised> {
        if cfg!(Py_GIL_DISABLED) {
            // Other threads may change the list.
            let items = self.open_tuple(list.to_tuple())?;
            return self.items(items);
        }
        self.array_head(list.len())?;
        if self.depth >= SHALLOW {
            return self.deep(Open::List(list.clone(), list.len()));
        }
        let (list, len) = (list.as_ptr(), list.len());
        self.depth += 1;
        for index in 0..len {
            // SAFETY: `list` is a list, owned by the caller. It has the item, and keeps it
            // while no Python code runs.
            unsafe {
                if ffi::PyList_GET_SIZE(list) as usize != len {
                    return Err(changed("list"));
                }
                let item = ffi::PyList_GET_ITEM(list, index as isize);
                let quick = self.quick(item)?;
                if quick != Quick::Written {
                    self.enter(quick, item)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes the items of a tuple, or the keys and values of a map that follow each other
    /// in it; the head is written.
    fn items(&mut self, items: Bound<'py, PyTuple>) -> Result<(), Raised> {
        if self.depth >= SHALLOW {
            return self.deep(Open::Tuple(items));
        }
        self.depth += 1;
        for index in 0..items.len() {
            // SAFETY: the tuple is owned, has the item and never changes.
            unsafe {
                let item = ffi::PyTuple_GET_ITEM(items.as_ptr(), index as isize);
                let quick = self.quick(item)?;
                if quick != Quick::Written {
                    self.enter(quick, item)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Result<(), Raised> {
        if cfg!(Py_GIL_DISABLED) || self.depth >= SHALLOW {
            // Other threads may change the dict.
            let items = self.open_pairs(dict.items().into_any())?;
            return self.items(items);
        }
        let len = dict.len();
        self.map_head(len)?;
        self.depth += 1;
        let mut place = 0;
        for _ in 0..len {
            let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: `dict` is a dict. It keeps key and value while no Python code runs; a
            // value that has to wait longer for its key is owned.
            unsafe {
                if ffi::PyDict_Next(dict.as_ptr(), &mut place, &mut key, &mut value) == 0 {
                    return Err(changed("dict"));
                }
                let quick = self.quick(key)?;
                if quick == Quick::Written {
                    let quick = self.quick(value)?;
                    if quick == Quick::Written {
                        continue;
                    }
                    self.enter(quick, value)?;
                } else {
                    let value = Bound::from_borrowed_ptr(self.py, value);
                    self.enter(quick, key)?;
                    self.write(&value)?;
                }
            }
            if dict.len() != len {
                return Err(changed("dict"));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Does what [`Walk::list`] and [`Walk::items`] do for any depth, on the heap instead of
    /// the stack.
    #[inline(never)]
    fn deep(&mut self, outermost: Open<'py>) -> Result<(), Raised> {
        let depth = self.depth;
        let mut open = Vec::with_capacity(256);
        open.push((outermost, 0));
        while let Some((container, index)) = open.last_mut() {
            let Some(item) = container.item(*index)? else {
                open.pop();
                continue;
            };
            *index += 1;
            self.depth = depth + open.len();
            // SAFETY: `item` is owned, and of the type that `quick` says.
            unsafe {
                match self.quick(item.as_ptr())? {
                    Quick::Written => {}
                    Quick::List if cfg!(not(Py_GIL_DISABLED)) => {
                        let list = item.cast_into_unchecked::<PyList>();
                        let len = list.len();
                        self.array_head(len)?;
                        // Made where it is kept: it would be copied word by word.
                        open.extend(iter::once_with(|| (Open::List(list, len), 0)));
                    }
                    Quick::List => {
                        let items = item.cast_unchecked::<PyList>().to_tuple();
                        open.push((Open::Tuple(self.open_tuple(items)?), 0));
                    }
                    Quick::Tuple => {
                        let items = self.open_tuple(item.cast_into_unchecked())?;
                        open.push((Open::Tuple(items), 0));
                    }
                    Quick::Dict => {
                        let pairs = item.cast_unchecked::<PyDict>().items();
                        open.push((Open::Tuple(self.open_pairs(pairs.into_any())?), 0));
                    }
                    Quick::Other => {
                        let inner = self.other(item)?;
                        open.extend(inner.map(|items| (Open::Tuple(items), 0)));
                    }
                }
            }
        }
        self.depth = depth;
        Ok(())
    }

    /// Writes the head of a list and returns its items.
    pub(super) fn open_tuple(
        &mut self,
        items: Bound<'py, PyTuple>,
    ) -> Result<Bound<'py, PyTuple>, Raised> {
        self.array_head(items.len())?;
        Ok(items)
    }

    /// Writes the head of a map and returns its keys and values, which follow each other.
    pub(super) fn open_pairs(
        &mut self,
        pairs: Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyTuple>, Raised> {
        let flat = flat(&pairs)?;
        self.map_head(flat.len() / 2)?;
        Ok(flat)
    }

    #[inline(always)]
    fn array_head(&mut self, len: usize) -> Result<(), Raised> {
        self.check_depth(len)?;
        self.out.head(HeadBytes::array(len).map_err(PyErr::from)?)
    }

    #[inline(always)]
    fn map_head(&mut self, len: usize) -> Result<(), Raised> {
        self.check_depth(len)?;
        self.out.head(HeadBytes::map(len).map_err(PyErr::from)?)
    }

    #[inline(always)]
    fn check_depth(&self, len: usize) -> Result<(), Raised> {
        if self.depth >= MAX_DEPTH && len > 0 {
            return Err(refused("lists and dicts are nested too deeply").into());
        }
        Ok(())
    }

    /// Writes an exact object of a common type, unless it is a container or special. Runs no
    /// Python code.
    ///
    /// # Safety
    ///
    /// `object` is an object.
    #[inline(always)]
    unsafe fn quick(&mut self, object: *mut ffi::PyObject) -> Result<Quick, Raised> {
        // SAFETY: each object is read as what its type says.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if kind == &raw mut ffi::PyUnicode_Type {
                return self.text(object);
            }
            let head = if kind == &raw mut ffi::PyLong_Type {
                match int_head(object) {
                    Some(head) => head,
                    None => return Ok(Quick::Other),
                }
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.float_head(ffi::PyFloat_AS_DOUBLE(object))?
            } else if kind == &raw mut ffi::PyDict_Type {
                return Ok(Quick::Dict);
            } else if kind == &raw mut ffi::PyList_Type {
                return Ok(Quick::List);
            } else if object == ffi::Py_None() {
                HeadBytes::NIL
            } else if object == ffi::Py_True() {
                HeadBytes::TRUE
            } else if object == ffi::Py_False() {
                HeadBytes::FALSE
            } else if kind == &raw mut ffi::PyBytes_Type {
                let data = ffi::PyBytes_AS_STRING(object).cast();
                let data = slice::from_raw_parts(data, ffi::Py_SIZE(object) as usize);
                self.bin(data)?;
                return Ok(Quick::Written);
            } else if kind == &raw mut ffi::PyTuple_Type && !self.options.strict_types {
                return Ok(Quick::Tuple);
            } else {
                return Ok(Quick::Other);
            };
            self.out.head(head)?;
        }
        Ok(Quick::Written)
    }
}

/// A container whose items are being written.
enum Open<'py> {
    /// A list, and the length that its head says.
    List(Bound<'py, PyList>, usize),
    /// The items of a tuple, or the keys and values of a map.
    Tuple(Bound<'py, PyTuple>),
}

impl<'py> Open<'py> {
    /// Returns the item at a place, or nothing behind the last one.
    #[inline(always)]
    fn item(&self, index: usize) -> Result<Option<Bound<'py, PyAny>>, Raised> {
        // SAFETY: the list and the tuple are as long as is checked before.
        let (py, item) = unsafe {
            match self {
                Self::List(list, len) if list.len() != *len => return Err(changed("list")),
                Self::List(list, len) if index < *len => (
                    list.py(),
                    ffi::PyList_GET_ITEM(list.as_ptr(), index as isize),
                ),
                Self::Tuple(items) if index < items.len() => (
                    items.py(),
                    ffi::PyTuple_GET_ITEM(items.as_ptr(), index as isize),
                ),
                _ => return Ok(None),
            }
        };
        // SAFETY: an item of a container that is owned.
        Ok(Some(unsafe { Bound::from_borrowed_ptr(py, item) }))
    }
}

#[cold]
fn changed(kind: &str) -> Raised {
    PyRuntimeError::new_err(format!("{kind} changed size while it was packed")).into()
}
