//! The fast half of the `xyfast` Python package.
