//! Bytes on their way to values.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

use super::errors::{raised, Failure};
use super::unpack::{Choices, MAX_DEPTH};
use crate::error::{Container, DecodeError};
use crate::msgpack::scan::{Extent, Limits, Scan};

/// The largest buffer where no other is wanted.
const UNLIMITED: usize = i32::MAX as usize;
/// The most bytes that are asked of a file at once where no other number is wanted.
const READ_SIZE: usize = 1024 * 1024;

/// What a method reads. One that found too little data must be called again first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Unpack,
    Skip,
    Header(Container),
}

/// What an Unpacker holds.
pub(crate) struct Stream {
    pub(crate) choices: Choices,
    limits: Limits,
    /// The method that gives more bytes; nothing once it has no more.
    pub(crate) read: Option<Py<PyAny>>,
    read_size: usize,
    max_buffer_size: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next value starts.
    head: usize,
    /// The bytes before that one in the whole stream.
    pub(crate) offset: u64,
    scan: Scan,
    unfinished: Option<Task>,
    /// What was wrong. Where the next value starts is not known then, or not to be trusted.
    failed: Option<DecodeError>,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            choices: Choices::default(),
            limits: Limits::NONE,
            read: None,
            read_size: READ_SIZE,
            max_buffer_size: UNLIMITED,
            buffer: Vec::new(),
            head: 0,
            offset: 0,
            scan: Scan::new(MAX_DEPTH),
            unfinished: None,
            failed: None,
        }
    }
}

impl Stream {
    pub(crate) fn new(
        file: Option<&Bound<'_, PyAny>>,
        read_size: usize,
        max_buffer_size: usize,
        choices: Choices,
    ) -> PyResult<Self> {
        let read = file.map(|file| file.getattr("read")).transpose()?;
        if read.as_ref().is_some_and(|read| !read.is_callable()) {
            return Err(PyTypeError::new_err("file_like.read must be a callable"));
        }
        let max_buffer_size = match max_buffer_size {
            0 => UNLIMITED,
            size => size,
        };
        if read_size > max_buffer_size {
            return Err(PyValueError::new_err(
                "read_size must be at most max_buffer_size",
            ));
        }
        Ok(Self {
            limits: choices.lengths.limits(max_buffer_size),
            choices,
            read: read.map(Bound::unbind),
            read_size: match read_size {
                0 => READ_SIZE.min(max_buffer_size),
                size => size,
            },
            max_buffer_size,
            ..Self::default()
        })
    }

    /// Returns what was wrong before, if anything was.
    pub(crate) fn sound(&self) -> PyResult<()> {
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Returns whether no other method waits for more data.
    fn free(&self, task: Option<Task>) -> PyResult<()> {
        self.sound()?;
        if self.unfinished.is_some() && self.unfinished != task {
            return Err(PyValueError::new_err(
                "another method has begun with a value that is not complete yet",
            ));
        }
        Ok(())
    }

    pub(crate) fn next<'py>(
        &mut self,
        py: Python<'py>,
        task: Task,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.free(Some(task))?;
        loop {
            if self.head < self.buffer.len() {
                self.unfinished = Some(task);
                let done = match task {
                    Task::Unpack => self.value(py),
                    Task::Skip => self.skip(py),
                    Task::Header(kind) => self.header(py, kind),
                };
                let done = done.map_err(|failure| self.fail(failure))?;
                if done.is_some() {
                    return Ok(done);
                }
            }
            if !self.refill(py)? {
                return Ok(None);
            }
        }
    }

    fn value<'py>(&mut self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>, Failure> {
        let data = &self.buffer[self.head..];
        if self.scan.is_new() && self.choices.is_default() {
            // Mostly the value is whole, and if not, nobody sees that it was tried. Whatever
            // fits into the buffer is within its limits.
            match self.choices.read(py, data) {
                Ok((value, end)) => {
                    self.finish(end);
                    return Ok(Some(value));
                }
                Err(Failure::Decode(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(end) = self.scan.advance(data, &self.limits)? else {
            return Ok(None);
        };
        let value = self.choices.read(py, &data[..end]);
        // What a hook raises does not concern the stream, which goes on behind the value.
        if !matches!(value, Err(Failure::Decode(_))) {
            self.finish(end);
        }
        Ok(Some(value?.0))
    }

    fn skip<'py>(&mut self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>, Failure> {
        let data = &self.buffer[self.head..];
        match self.scan.advance(data, &Limits::NONE)? {
            Some(end) => {
                self.finish(end);
                Ok(Some(py.None().into_bound(py)))
            }
            None => {
                let seen = self.scan.forget(data.len());
                self.consume(seen);
                Ok(None)
            }
        }
    }

    fn header<'py>(
        &mut self,
        py: Python<'py>,
        kind: Container,
    ) -> Result<Option<Bound<'py, PyAny>>, Failure> {
        match Extent::of(kind, &self.buffer[self.head..]) {
            Ok(None) => Ok(None),
            Ok(Some(extent)) => {
                self.finish(extent.head);
                Ok(Some(PyInt::new(py, extent.len).into_any()))
            }
            Err(reason) => {
                // The value stays for other methods.
                self.unfinished = None;
                let error = DecodeError::new(reason, self.offset as usize);
                Err(Failure::Python(error.into()))
            }
        }
    }

    /// Remembers an error of the data, whose offset counts from the start of the value.
    fn fail(&mut self, failure: Failure) -> PyErr {
        if let Failure::Decode(error) = failure {
            let offset = error.offset + self.offset as usize;
            let error = DecodeError::new(error.reason, offset);
            self.failed = Some(error);
            self.buffer = Vec::new();
            self.head = 0;
            return error.into();
        }
        failure.into()
    }

    /// Passes over the end of a value.
    fn finish(&mut self, len: usize) {
        self.consume(len);
        self.scan.restart();
        self.unfinished = None;
    }

    fn consume(&mut self, len: usize) {
        self.head += len;
        self.offset += len as u64;
        if self.head == self.buffer.len() {
            self.buffer.clear();
            self.head = 0;
        }
    }

    pub(crate) fn read_bytes<'py>(
        &mut self,
        py: Python<'py>,
        len: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.free(None)?;
        let held = &self.buffer[self.head..];
        let mut bytes = held[..len.min(held.len())].to_vec();
        self.consume(bytes.len());
        if bytes.len() < len {
            if let Some(read) = &self.read {
                let more = read.call1(py, (len - bytes.len(),))?;
                let more = more.cast_bound::<PyBytes>(py)?;
                self.offset += more.as_bytes().len() as u64;
                bytes.extend_from_slice(more.as_bytes());
            }
        }
        Ok(PyBytes::new(py, &bytes))
    }

    /// Reads from the file. Returns whether there was anything.
    fn refill(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(read) = &self.read else {
            return Ok(false);
        };
        let room = self.max_buffer_size - (self.buffer.len() - self.head);
        if room == 0 {
            return Err(buffer_full());
        }
        let bytes = read.call1(py, (self.read_size.min(room),))?;
        let bytes = bytes.cast_bound::<PyBytes>(py)?.as_bytes();
        if bytes.is_empty() {
            self.read = None;
            return Ok(false);
        }
        self.append(bytes)?;
        Ok(true)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> PyResult<()> {
        let held = self.buffer.len() - self.head;
        if bytes.len() > self.max_buffer_size - held {
            return Err(buffer_full());
        }
        // Moving no more than was consumed keeps the cost of all moves linear.
        if self.head >= held {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

fn buffer_full() -> PyErr {
    raised::BufferFull::new_err("more than max_buffer_size bytes would have to be held")
}
