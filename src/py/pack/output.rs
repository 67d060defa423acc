//! The bytes that are being written.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{ptr, slice};

use pyo3::ffi::compat::{
    PyBytesWriter, PyBytesWriter_Create, PyBytesWriter_Discard, PyBytesWriter_FinishWithSize,
    PyBytesWriter_GetData,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::walk::Raised;
use crate::msgpack::HeadBytes;
use crate::simd::SLACK;

/// The size of the last result that was larger, and some more.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Writes to the stack first, then into a `bytes` object.
pub(super) struct Output<'s, 'py> {
    py: Python<'py>,
    /// `len` of the `cap` bytes from here on are written.
    start: *mut u8,
    len: usize,
    cap: usize,
    /// The owner of these bytes; null while they are the scratch.
    object: *mut PyBytesWriter,
    scratch: PhantomData<&'s mut [MaybeUninit<u8>]>,
}

impl<'s, 'py> Output<'s, 'py> {
    pub(super) fn new(py: Python<'py>, scratch: &'s mut [MaybeUninit<u8>]) -> Self {
        Self {
            py,
            start: scratch.as_mut_ptr().cast(),
            len: 0,
            cap: scratch.len(),
            object: ptr::null_mut(),
            scratch: PhantomData,
        }
    }

    /// Writes a head alone.
    #[inline(always)]
    pub(super) fn head(&mut self, head: HeadBytes) -> Result<(), Raised> {
        self.sized(head, b"")
    }

    /// Writes a head and the body that belongs to it.
    #[inline(always)]
    pub(super) fn sized(&mut self, head: HeadBytes, body: &[u8]) -> Result<(), Raised> {
        let bytes = head.bytes();
        let room = self.room(bytes.len() + body.len())?;
        // What is written beyond the head is overwritten, or does not count.
        if let Some(first) = room.first_chunk_mut() {
            *first = bytes.map(MaybeUninit::new);
        }
        copy(body, &mut room[head.len()..]);
        self.len += head.len() + body.len();
        Ok(())
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Raised> {
        copy(bytes, self.room(bytes.len())?);
        self.len += bytes.len();
        Ok(())
    }

    /// Writes a head whose size depends on the body, which `fill` writes first and measures;
    /// returns whether it could.
    ///
    /// # Safety
    ///
    /// `fill` has written as many bytes as it says.
    pub(super) unsafe fn measured(
        &mut self,
        most: usize,
        head: impl Fn(usize) -> Result<HeadBytes, Raised>,
        fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Option<usize>,
    ) -> Result<bool, Raised> {
        let expected = head(most).map_or(5, HeadBytes::len);
        let room = self.room(most.saturating_add(9 + SLACK))?;
        let Some(len) = fill(&mut room[expected..]) else {
            return Ok(false);
        };
        let head = head(len)?;
        if head.len() != expected {
            room.copy_within(expected..expected + len, head.len());
        }
        copy(&head.bytes()[..head.len()], room);
        self.len += head.len() + len;
        Ok(true)
    }

    /// Returns the unwritten bytes, at least as many as asked for.
    #[inline(always)]
    fn room(&mut self, more: usize) -> Result<&mut [MaybeUninit<u8>], Raised> {
        if self.cap - self.len < more {
            self.grow(more)?;
        }
        // SAFETY: `cap` bytes from `start` on belong to `self`, and `len <= cap`.
        Ok(unsafe {
            slice::from_raw_parts_mut(self.start.add(self.len).cast(), self.cap - self.len)
        })
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) -> Result<(), Raised> {
        let need = self.len.saturating_add(more).saturating_add(self.cap);
        // The next result is often as large as the last one, which is believed step by step.
        let like_last = LAST
            .load(Ordering::Relaxed)
            .min(self.cap.saturating_mul(64));
        let cap = need.max(like_last).min(isize::MAX as usize);
        // SAFETY: the thread is attached. What was written is copied to a place that has
        // room for it, before its owner goes away.
        unsafe {
            let object = PyBytesWriter_Create(cap as isize);
            if object.is_null() {
                return Err(PyErr::fetch(self.py).into());
            }
            let start = PyBytesWriter_GetData(object).cast();
            ptr::copy_nonoverlapping(self.start, start, self.len);
            PyBytesWriter_Discard(self.object);
            (self.object, self.start, self.cap) = (object, start, cap);
        }
        Ok(())
    }

    /// Returns what was written.
    pub(super) fn finish(&mut self) -> PyResult<Bound<'py, PyBytes>> {
        if self.object.is_null() {
            // SAFETY: the first `len` bytes are written.
            let bytes = unsafe { slice::from_raw_parts(self.start, self.len) };
            return Ok(PyBytes::new(self.py, bytes));
        }
        LAST.store(self.len + self.len / 8, Ordering::Relaxed);
        let object = std::mem::replace(&mut self.object, ptr::null_mut());
        // SAFETY: the first `len` bytes are written; the writer is used up and forgotten,
        // and what it returns is a new `bytes` object or null with an exception.
        unsafe {
            let bytes = PyBytesWriter_FinishWithSize(object, self.len as isize);
            Ok(Bound::from_owned_ptr_or_err(self.py, bytes)?.cast_into_unchecked())
        }
    }
}

impl Drop for Output<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: the writer is ours, or null.
        unsafe { PyBytesWriter_Discard(self.object) }
    }
}

/// Copies short bytes as two overlapping words, without a loop or a call.
#[inline(always)]
fn copy(from: &[u8], to: &mut [MaybeUninit<u8>]) {
    let (len, to) = (from.len(), &mut to[..from.len()]);
    let (from, to) = (from.as_ptr(), to.as_mut_ptr().cast::<u8>());
    // SAFETY: both are `len` bytes long, and no word reaches beyond them.
    unsafe {
        if len > 32 {
            ptr::copy_nonoverlapping(from, to, len);
        } else if len >= 16 {
            two::<[u8; 16]>(from, to, len);
        } else if len >= 8 {
            two::<[u8; 8]>(from, to, len);
        } else if len >= 4 {
            two::<[u8; 4]>(from, to, len);
        } else if len > 0 {
            *to = *from;
            *to.add(len / 2) = *from.add(len / 2);
            *to.add(len - 1) = *from.add(len - 1);
        }
    }
}

/// Copies the first and the last word of `len` bytes.
///
/// # Safety
///
/// Both places are `len` bytes long, and a word is not longer.
#[inline(always)]
unsafe fn two<Word>(from: *const u8, to: *mut u8, len: usize) {
    let last = len - size_of::<Word>();
    // SAFETY: as above.
    unsafe {
        let (a, b) = (
            from.cast::<Word>().read(),
            from.add(last).cast::<Word>().read(),
        );
        to.cast::<Word>().write(a);
        to.add(last).cast::<Word>().write(b);
    }
}
