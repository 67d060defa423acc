//! Which of several errors is reported.

use super::head::{values, Head, Reader, Take};
use super::reader::Options;
use super::sink::Scalar;
use crate::error::{Container, DecodeError, Reason};

/// Finds the first error of data that is known to have one.
///
/// A decoder that builds values one by one meets the errors inside a key or behind a false
/// length before it can notice that the key has no hash or the data ends. This walk keeps
/// that order and allocates nothing but its list of open containers.
#[cold]
#[inline(never)]
pub(super) fn first_error(
    data: &[u8],
    options: Options,
    container_keys: bool,
    known: Reason,
    known_at: usize,
) -> DecodeError {
    struct Open {
        kind: Container,
        at: usize,
        /// Values still to come; in a map those are keys and values by turns.
        left: usize,
        bad_key: Option<DecodeError>,
    }
    let mut reader = Reader::new(data, options);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let at = reader.at;
        let container = match reader.head(Look) {
            Ok(Head::Scalar(Scalar::Str(text))) if options.utf8 => match text.check() {
                Ok(_) => None,
                Err(error) => return error,
            },
            Ok(Head::Scalar(_)) => None,
            Ok(Head::Container(kind, len)) => Some((kind, values(kind, len))),
            Err(error) => return error,
        };
        if let Some((kind, left)) = container {
            if open.len() >= options.max_depth {
                return DecodeError::new(Reason::Depth, at);
            }
            if left > 0 {
                open.push(Open {
                    kind,
                    at,
                    left,
                    bad_key: None,
                });
                continue;
            }
        }
        let mut done = (container.map(|(kind, _)| kind), at);
        loop {
            let Some(parent) = open.last_mut() else {
                return DecodeError::new(known, known_at);
            };
            let is_key = parent.kind == Container::Map && parent.left % 2 == 0;
            if let (true, (Some(kind), at)) = (is_key && !container_keys, done) {
                parent.bad_key = Some(DecodeError::new(Reason::Unhashable(kind), at));
            } else if let Some(error) = parent.bad_key {
                return error;
            }
            parent.left -= 1;
            if parent.left > 0 {
                break;
            }
            done = (Some(parent.kind), parent.at);
            open.pop();
        }
    }
}

/// It is looked at.
struct Look;

impl<'a> Take<'a> for Look {
    type Out = Scalar<'a>;
    type Error = DecodeError;

    fn take(self, scalar: Scalar<'a>, _at: usize) -> Result<Scalar<'a>, DecodeError> {
        Ok(scalar)
    }
}
