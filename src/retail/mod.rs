//! The shop's own files: what they must look like, and how they are read. Pure.
//!
//! A file is a set of new versions of rows of one table ([`Dataset`]), or declares to be all of them. Its [`Contract`] says what it must look like;
//! [`read`] takes it apart line by line, so that one bad line costs one line. What is wrong with a file as a whole, a
//! line or the content has a name from a closed list ([`reason`]).

pub mod contract;
pub mod csv;
pub mod name;
pub mod profile;
pub mod read;
pub mod reason;
pub mod value;

pub use contract::{Contract, Dataset};
