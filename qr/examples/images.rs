//! Writes images and what they carry, from a seed, for decoders that are not Rust (`tests/qr/decoders.mjs`).
//!
//! `images DIR COUNT SEED`: PNG files, and a line for each of them in `DIR/manifest`: file, version, payload in hex.
//! Half of them are answers of the endpoint, with and without a frame; half are symbols of every version and level.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "an oracle that goes wrong ends here")]

#[path = "../tests/common/random.rs"]
mod random;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use random::Random;
use scanvault_qr::emv::{self, Merchant};
use scanvault_qr::request::{Code, ImageRequest, Settings};
use scanvault_qr::{Ecc, Level, Matrix, Version};

const LARGEST_VERSION: usize = 25;

/// What the symbol carries, its version, and the image.
struct Sample {
    payload: Vec<u8>,
    version: u8,
    png: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(&arguments[0]);
    let (count, seed): (usize, u64) = (arguments[1].parse().unwrap(), arguments[2].parse().unwrap());
    let mut random = Random::new(seed);
    let mut manifest = String::new();
    for at in 0..count {
        let sample = if at % 2 == 0 { answer(&mut random) } else { symbol(at / 2, &mut random) };
        let file = format!("{at:06}.png");
        fs::write(folder.join(&file), &sample.png).unwrap();
        write!(manifest, "{file} {} ", sample.version).unwrap();
        sample.payload.iter().for_each(|byte| write!(manifest, "{byte:02x}").unwrap());
        manifest.push('\n');
    }
    fs::write(folder.join("manifest"), manifest).unwrap();
}

/// What the endpoint answers to a request within its bounds.
fn answer(random: &mut Random) -> Sample {
    let merchant = || Merchant::new("ZA", "710", "Corner Shop", "Cape Town").unwrap();
    let settings = Settings::new("https://pay.example", merchant()).unwrap();
    loop {
        let digits = format!("{:010}", random.next() % 10_000_000_000);
        let code = Code::parse(&digits).unwrap();
        let kind = ["qr", "stpqr", "zimswitch"][random.below(3)];
        let carried = random.below(3);
        let query = format!(
            "payload={}&ecc={}&margin={}&size={}&colorCode={}{}",
            ["url", "code", "emv"][carried],
            ["auto", "L", "M", "Q", "H"][random.below(5)],
            4 + random.below(6),
            120 + random.below(700),
            random.below(4),
            ["", "&plain"][random.below(2)],
        );
        let request = ImageRequest::parse(&format!("{kind}/{digits}"), &query).unwrap();
        // Too small for its margin and version: refused, so another is drawn.
        let Ok(image) = request.render(&settings) else { continue };
        let payload = match carried {
            0 => settings.code_url(code),
            1 => digits,
            _ => emv::payload(code, &merchant()),
        };
        return Sample { payload: payload.into_bytes(), version: 0, png: image.bytes };
    }
}

/// A symbol of a version and level, both in turn, of two to six pixels a module.
fn symbol(at: usize, random: &mut Random) -> Sample {
    let version = Version::new((at % LARGEST_VERSION + 1) as u8).unwrap();
    let level = Level::ALL[at / LARGEST_VERSION % 4];
    loop {
        let most = 40 + 60 * usize::from(version.number());
        let payload = random.payload(most, |random| b' ' + random.below(95) as u8);
        let Ok(matrix) = Matrix::encode(&payload, Ecc::Fixed(level)) else { continue };
        if matrix.version() != version {
            continue;
        }
        let scale = 2 + random.below(5) as u32;
        let size = scale * (version.size() + 8) + random.below(16) as u32;
        return Sample { payload, version: version.number(), png: matrix.to_png(size, 4).unwrap() };
    }
}
