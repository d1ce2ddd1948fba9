//! The outbox: what merchants are to be told, as rows that are written with the change they tell of, and sent until
//! the receiver has it: at least once, each delivery with an id of its own.

pub mod signature;
pub mod store;
pub mod target;
pub mod worker;

pub use target::Target;
