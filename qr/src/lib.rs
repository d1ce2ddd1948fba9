//! QR images without a dependency: ISO/IEC 18004 symbols, PNG and SVG writers, and the request
//! grammar of the public image endpoint.
//!
//! Everything here is a pure function of its arguments and runs natively and in WebAssembly.
//! [`request::ImageRequest`] is what the edge uses; [`Plan`] and [`Matrix`] are the encoder.

mod bits;
mod board;
mod code;
mod codewords;
mod deflate;
pub mod emv;
mod frame;
mod huffman;
mod matrix;
mod penalty;
mod png;
mod query;
pub mod request;
mod segment;
mod settings;
mod svg;
mod terminal;
mod version;

pub use code::Code;
pub use matrix::{Mask, Matrix, Plan, TooLong};
pub use segment::{Mode, Segment};
pub use version::{Ecc, Level, Version};
