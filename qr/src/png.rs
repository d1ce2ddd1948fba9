//! A PNG writer for images that are runs of one colour: no pixel is ever stored.
//!
//! A row is packed once from its runs; the rows that repeat it are deflate matches, and both
//! checksums of the pixels follow in closed form. The cost is that of the modules, not of the area.
#![expect(clippy::indexing_slicing, reason = "byte values index tables of 256")]

use crate::deflate::Deflate;

/// What a run of pixels shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    White,
    Black,
    Frame,
}

/// How tones become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// One bit, greyscale; the frame is black.
    BlackAndWhite,
    /// Two bits into a palette of white, black and this colour (red, green, blue).
    Palette([u8; 3]),
}

/// An image under way, from the top.
pub(crate) struct Png {
    width: u32,
    height: u32,
    colours: Colours,
    row_len: u32,
    stream: Deflate,
    adler: Adler,
}

impl Colours {
    pub(crate) fn bits_per_pixel(self) -> u32 {
        match self {
            Self::BlackAndWhite => 1,
            Self::Palette(_) => 2,
        }
    }

    /// A byte full of this tone.
    fn fill(self, tone: Tone) -> u8 {
        match (self, tone) {
            (Self::BlackAndWhite, Tone::White) => 0xFF,
            (Self::BlackAndWhite, _) | (Self::Palette(_), Tone::White) => 0x00,
            (Self::Palette(_), Tone::Black) => 0x55,
            (Self::Palette(_), Tone::Frame) => 0xAA,
        }
    }
}

impl Png {
    pub(crate) fn new(width: u32, height: u32, colours: Colours) -> Self {
        let row_len = 1 + (width * colours.bits_per_pixel()).div_ceil(8);
        let stream = Deflate::new(row_len);
        Self {
            width,
            height,
            colours,
            row_len,
            stream,
            adler: Adler { a: 1, b: 0 },
        }
    }

    /// `count` equal pixel rows made of these runs, each given by its tone and where it ends.
    /// The last one ends at the width.
    pub(crate) fn rows(&mut self, count: u32, runs: impl Iterator<Item = (Tone, u32)>) {
        if count == 0 {
            return;
        }
        let mut sums = RowSums {
            row_len: u64::from(self.row_len),
            at: 0,
            sum: 0,
            weighted: 0,
        };
        let mut write = |byte, count| {
            self.stream.bytes(byte, count);
            sums.add(byte, count);
        };
        write(0, 1); // filter type 0: the bytes as they are
        let (mut at, mut partial, mut used) = (0, 0, 0);
        runs.for_each(|(tone, end)| {
            let fill = self.colours.fill(tone);
            let mut bits = (end - at) * self.colours.bits_per_pixel();
            at = end;
            if used > 0 {
                // The whole free end of the partial byte takes this colour: the next run
                // overwrites it, and as padding the last colour compresses best.
                let free = 0xFF_u8 >> used;
                partial = partial & !free | fill & free;
                let taken = bits.min(8 - used);
                bits -= taken;
                used += taken;
                if used < 8 {
                    return;
                }
                write(partial, 1);
            }
            write(fill, bits / 8);
            (partial, used) = (fill, bits % 8);
        });
        if used > 0 {
            write(partial, 1);
        }
        if count > 1 {
            self.stream.rows((count - 1) * self.row_len);
        }
        self.adler.rows(&sums, u64::from(count));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        out.extend_from_slice(b"\x89PNG\r\n\x1a\n");
        let colour_type = if self.colours == Colours::BlackAndWhite {
            0
        } else {
            3
        };
        chunk(&mut out, b"IHDR", |out| {
            out.extend_from_slice(&self.width.to_be_bytes());
            out.extend_from_slice(&self.height.to_be_bytes());
            out.extend_from_slice(&[self.colours.bits_per_pixel() as u8, colour_type, 0, 0, 0]);
        });
        if let Colours::Palette([red, green, blue]) = self.colours {
            chunk(&mut out, b"PLTE", |out| {
                out.extend_from_slice(&[255, 255, 255, 0, 0, 0, red, green, blue]);
            });
        }
        chunk(&mut out, b"IDAT", |out| {
            out.extend_from_slice(&[0x78, 0x01]); // RFC 1950: deflate, 32 KiB window
            self.stream.finish(out);
            out.extend_from_slice(&self.adler.value().to_be_bytes());
        });
        chunk(&mut out, b"IEND", |_| {});
        out
    }
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(name);
    write(out);
    let len = (out.len() - start - 8) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    let crc = crc32(&out[start + 4..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Sum of a row's bytes, and the sum weighted by how many bytes of the row are left.
struct RowSums {
    row_len: u64,
    at: u64,
    sum: u64,
    weighted: u64,
}

impl RowSums {
    #[inline]
    fn add(&mut self, byte: u8, count: u32) {
        let (byte, count) = (u64::from(byte), u64::from(count));
        self.sum += byte * count;
        // row_len − at, one less for each further byte: an arithmetic series.
        let weights = count * (2 * (self.row_len - self.at) + 1 - count) / 2;
        self.weighted += byte * weights;
        self.at += count;
    }
}

/// The checksum of the uncompressed rows (RFC 1950 §8.2).
struct Adler {
    a: u64,
    b: u64,
}

impl Adler {
    /// `a` sums the bytes and `b` sums all values of `a`, so n equal rows are two series.
    fn rows(&mut self, row: &RowSums, n: u64) {
        self.b += row.row_len * (n * self.a + row.sum * (n * (n - 1) / 2)) + n * row.weighted;
        self.a += n * row.sum;
        self.a %= 65521;
        self.b %= 65521;
    }

    fn value(&self) -> u32 {
        (self.b << 16 | self.a) as u32
    }
}

/// CRC-32 of PNG (annex D), four bytes at a time: tables for eight would be 4 KiB more of wasm.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word) ^ crc;
        crc = (0..4).fold(0, |crc, i| {
            crc ^ CRC[3 - i][(mixed >> (8 * i)) as usize & 0xFF]
        });
    }
    for &byte in rest {
        crc = crc >> 8 ^ CRC[0][(crc as u8 ^ byte) as usize];
    }
    !crc
}

/// `CRC[n][b]`: the register after byte `b` and `n` zero bytes.
const CRC: [[u32; 256]; 4] = {
    let mut table = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut step = 0;
        while step < 32 {
            crc = (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320);
            step += 1;
            if step % 8 == 0 {
                table[step / 8 - 1][byte] = crc;
            }
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
    }

    #[test]
    fn adler_of_repeated_rows_equals_byte_by_byte() {
        let row = [0_u8, 255, 255, 255, 7, 90, 90, 90, 90];
        let mut sums = RowSums {
            row_len: 9,
            at: 0,
            sum: 0,
            weighted: 0,
        };
        for run in row.chunk_by(|a, b| a == b) {
            sums.add(run[0], run.len() as u32);
        }
        let mut adler = Adler { a: 1, b: 0 };
        adler.rows(&sums, 3);
        adler.rows(&sums, 2046);
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in row.iter().cycle().take(9 * 2049) {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!(adler.value(), b << 16 | a);
    }

    /// The image as crate `png` reads it: one RGB triple per pixel.
    fn read(bytes: &[u8]) -> (u32, u32, Vec<[u8; 3]>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let pixels = match info.color_type {
            png::ColorType::Grayscale => pixels.iter().map(|&grey| [grey; 3]).collect(),
            _ => pixels.as_chunks::<3>().0.to_vec(),
        };
        (info.width, info.height, pixels)
    }

    fn tone() -> impl Strategy<Value = Tone> {
        prop::sample::select(vec![Tone::White, Tone::Black, Tone::Frame])
    }

    proptest! {
        #[test]
        fn any_runs_come_back_pixel_by_pixel(
            rows in prop::collection::vec(
                (1_u32..600, prop::collection::vec((tone(), 1_u32..40), 1..40)), 1..12),
            width in 8_u32..2049,
            palette: Option<[u8; 3]>,
        ) {
            let colours = palette.map_or(Colours::BlackAndWhite, Colours::Palette);
            let colour = |tone| match (tone, palette) {
                (Tone::White, _) => [255; 3],
                (Tone::Frame, Some(colour)) => colour,
                _ => [0; 3],
            };
            let height = rows.iter().map(|(count, _)| count).sum();
            let mut png = Png::new(width, height, colours);
            let mut expected = Vec::new();
            for (count, runs) in &rows {
                // Cut or fill the runs to the width.
                let mut left = width;
                let mut fitted = Vec::new();
                for &(tone, len) in runs {
                    fitted.push((tone, len.min(left)));
                    left -= len.min(left);
                }
                fitted.push((Tone::White, left));
                let ends = fitted.iter().scan(0, |at, &(tone, len)| {
                    *at += len;
                    Some((tone, *at))
                });
                png.rows(*count, ends);
                let line: Vec<_> =
                    fitted.iter().flat_map(|&(tone, len)| vec![colour(tone); len as usize]).collect();
                (0..*count).for_each(|_| expected.extend_from_slice(&line));
            }
            let (read_width, read_height, pixels) = read(&png.finish());
            prop_assert_eq!((read_width, read_height), (width, height));
            prop_assert!(pixels == expected);
        }
    }
}
