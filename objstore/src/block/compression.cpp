#include "block/compression.hpp"

#include <zstd.h>

#include <array>
#include <memory>
#include <new>

#include "base/error.hpp"

namespace objstore {
namespace {

struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// A context is megabytes of tables: one a worker thread, not one a block.
ZSTD_CCtx* compressor() {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context{ZSTD_createCCtx()};
    if (context == nullptr) throw std::bad_alloc{};
    return context.get();
}

ZSTD_DCtx* decompressor() {
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context{ZSTD_createDCtx()};
    if (context == nullptr) throw std::bad_alloc{};
    return context.get();
}

constexpr std::size_t kWorthTrying = 64;  // bytes: a frame alone costs about 10
constexpr std::size_t kSamples = 4096;
constexpr std::size_t kSlices = 16;

// Chi-square of the byte values of 4 KiB taken from 16 slices, against a uniform distribution: 255 degrees of freedom,
// standard deviation 22.6. Compressed and encrypted files stay within a few of them; text and programs are at
// thousands.
bool looks_random(base::ByteView content) {
    if (content.size() < 4 * kSamples) return false;
    constexpr auto kSliceBytes = kSamples / kSlices;
    std::array<std::uint32_t, 256> counts{};
    const auto stride = (content.size() - kSliceBytes) / (kSlices - 1);
    for (std::size_t slice = 0; slice < kSlices; ++slice) {
        for (const auto byte : content.subspan(slice * stride, kSliceBytes)) ++counts[byte];
    }
    std::uint64_t squares = 0;
    for (const std::uint64_t count : counts) squares += count * count;
    constexpr std::uint64_t kExpected = kSamples / 256;
    constexpr std::uint64_t kLimit = 255 + 5 * 23;
    return squares < (kSamples + kLimit) * kExpected;  // chi-square = squares / expected - samples
}

}  // namespace

bool compress_to(base::Bytes& out, base::ByteView content, int level) {
    if (level == 0 || content.size() < kWorthTrying || looks_random(content)) return false;
    const auto start = out.size();
    const auto room = content.size() - content.size() / 32;
    out.resize(start + room);
    const auto written =
        ZSTD_compressCCtx(compressor(), out.data() + start, room, content.data(), content.size(), level);
    if (ZSTD_isError(written) != 0) {  // it did not fit: not worth it
        out.resize(start);
        return false;
    }
    out.resize(start + written);
    return true;
}

base::Result<base::Bytes> decompress(base::ByteView frame, std::size_t limit) {
    const auto declared = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (declared == ZSTD_CONTENTSIZE_UNKNOWN || declared == ZSTD_CONTENTSIZE_ERROR) {
        return base::Error{base::Errc::bad_format, "compressed data without a declared size"};
    }
    if (declared > limit) {
        return base::Error{base::Errc::bad_format, "compressed data declares " + std::to_string(declared) +
                                                       " bytes, more than the limit of " + std::to_string(limit)};
    }
    if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
        return base::Error{base::Errc::bad_format, "compressed data is cut short or followed by other bytes"};
    }
    base::Bytes content(static_cast<std::size_t>(declared));
    const auto read = ZSTD_decompressDCtx(decompressor(), content.data(), content.size(), frame.data(), frame.size());
    if (ZSTD_isError(read) != 0 || read != content.size()) {
        return base::Error{base::Errc::bad_format, "compressed data does not decompress"};
    }
    return content;
}

}  // namespace objstore
