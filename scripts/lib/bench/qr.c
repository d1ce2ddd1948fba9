/* Part of `scripts/bench qr`: libqrencode's symbol written by libpng, the way that the qrencode tool does it: one bit a
 * pixel, zlib as libpng sets it up, rows packed once for each row of modules. Into memory instead of a file.
 *   qr TEXT; each line `SIZE COUNT` on standard input is answered with nanoseconds for one image, and its bytes. */
#include <png.h>
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARGIN 4

typedef struct {
    unsigned char bytes[1 << 18];
    size_t len;
} Out;

static void put(png_structp png, png_bytep data, png_size_t len) {
    Out *out = png_get_io_ptr(png);
    if (out->len + len > sizeof out->bytes) abort();
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

static void flush(png_structp png) { (void)png; }

static void draw(const char *text, int size, Out *out) {
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (!code) abort();
    int scale = size / (code->width + 2 * MARGIN), left = (size - scale * code->width) / 2;
    size_t stride = (size + 7) / 8;
    unsigned char *white = malloc(stride), *row = malloc(stride);
    memset(white, 0xff, stride);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png))) abort();
    out->len = 0;
    png_set_write_fn(png, out, put, flush);
    png_set_IHDR(png, info, size, size, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < left; y++) png_write_row(png, white);
    for (int y = 0; y < code->width; y++) {
        memset(row, 0xff, stride);
        for (int x = 0; x < code->width; x++) {
            if (!(code->data[y * code->width + x] & 1)) continue;
            for (int at = left + x * scale; at < left + (x + 1) * scale; at++) row[at >> 3] &= ~(0x80 >> (at & 7));
        }
        for (int copy = 0; copy < scale; copy++) png_write_row(png, row);
    }
    for (int y = left + scale * code->width; y < size; y++) png_write_row(png, white);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(white);
    free(row);
    QRcode_free(code);
}

int main(int argc, char **argv) {
    static Out out;
    int size, count;
    if (argc != 2) return 2;
    while (scanf("%d %d", &size, &count) == 2) {
        struct timespec began, ended;
        clock_gettime(CLOCK_MONOTONIC, &began);
        for (int at = 0; at < count; at++) draw(argv[1], size, &out);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        double nanos = (ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec);
        printf("%.1f %zu\n", nanos / count, out.len);
        fflush(stdout);
    }
    return 0;
}
