//! Image addresses and EMV payloads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_qr::{Ecc, Matrix, emv, request::ImageRequest};

fuzz_target!(|text: &str| {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let _ = ImageRequest::parse(path, query);
    let _ = emv::code_in(text);
    if let Ok(matrix) = Matrix::encode(text.as_bytes(), Ecc::Auto) {
        let _ = matrix.to_png(400, 4);
    }
});
