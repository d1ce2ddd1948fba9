// npm qrcode writes PNG through Node's zlib, which a worker has not; its matrix is put into the smallest plain PNG
// (one bit a pixel) with the runtime's own CompressionStream, which is native code: a yardstick that is hard to beat.

const MARGIN = 4;

export async function toPng(code, size) {
  const { size: modules, data } = code.modules;
  const scale = Math.max(1, Math.floor(size / (modules + 2 * MARGIN)));
  const offset = Math.floor((size - scale * modules) / 2);
  const stride = 1 + Math.ceil(size / 8);
  const rows = new Uint8Array(stride * size).fill(0xff);
  for (let y = 0; y < size; y++) rows[y * stride] = 0;
  for (let y = 0; y < modules; y++) {
    const first = (offset + y * scale) * stride;
    for (let x = 0; x < modules; x++) {
      if (!data[y * modules + x]) continue;
      for (let px = offset + x * scale; px < offset + (x + 1) * scale; px++) rows[first + 1 + (px >> 3)] &= ~(0x80 >> (px & 7));
    }
    for (let copy = 1; copy < scale; copy++) rows.copyWithin(first + copy * stride, first, first + stride);
  }
  const packed = await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, size);
  head.setUint32(4, size);
  head.setUint8(8, 1);
  return new Blob([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(head.buffer)),
    chunk("IDAT", new Uint8Array(packed)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(type, bytes) {
  const out = new Uint8Array(12 + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, bytes.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(bytes, 8);
  view.setUint32(8 + bytes.length, crc(out.subarray(4, 8 + bytes.length)));
  return out;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
