// Foreign bytes into every parser of the block store's files (docs/formats/store.md). The first byte chooses which, and
// whether checksums and counted sizes are made right first: else nothing would ever get behind them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "../../past/src/store/format.hpp"
#include "../../past/src/store/lost_blocks.hpp"
#include "base/codec.hpp"
#include "base/hash.hpp"

namespace {

using namespace past::store;  // NOLINT: a test of that namespace

constexpr StoreId kStore{'f', 'u', 'z', 'z'};

void require(bool holds) {
    if (!holds) std::abort();
}

void set_u32(base::Bytes& bytes, std::size_t at, std::uint32_t value) {
    const auto word = base::Writer{}.u32(value).take();
    if (at + 4 <= bytes.size()) std::copy(word.begin(), word.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

void sum_record(base::Bytes& bytes, const base::Result<RecordExtent>& extent) {
    if (!extent || extent->head_bytes > bytes.size()) return;
    const auto covered = base::ByteView{bytes}.subspan(8, extent->head_bytes - 8);
    set_u32(bytes, 4, base::crc32c(covered, base::crc32c(kStore)));
}

void sum_file(base::Bytes& bytes) {
    if (bytes.size() < kFileHeaderBytes) return;
    const auto body = base::ByteView{bytes}.subspan(kFileHeaderBytes);
    std::copy(kStore.begin(), kStore.end(), bytes.begin() + 16);
    set_u32(bytes, 40, static_cast<std::uint32_t>(body.size()));
    set_u32(bytes, 44, 0);
    set_u32(bytes, 48, base::crc32c(body));
    set_u32(bytes, 60, base::crc32c(base::ByteView{bytes}.first(60)));
}

void put_record(const base::Bytes& bytes) {
    const auto record = decode_put(bytes, kStore, 1, 8);
    if (!record) return;
    const auto again = record->encode(kStore);
    require(again.size() == record->head_bytes() && again.size() <= bytes.size());
    require(std::equal(again.begin(), again.end(), bytes.begin()));
}

void ops_record(const base::Bytes& bytes) {
    const auto record = decode_ops(bytes, kStore, 1, 8);
    if (!record) return;
    const auto again = record->encode(kStore);
    require(again.size() == record->encoded_bytes());
    const auto body = peek_ops(again)->head_bytes;
    require(body <= bytes.size());
    require(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(body), bytes.begin()));
}

void file_header(const base::Bytes& bytes) {
    const auto header = FileHeader::decode(bytes);
    if (!header) return;
    const auto again = header->encode();
    require(std::equal(again.begin(), again.end(), bytes.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    base::Bytes bytes(data + 1, data + size);
    const bool sums = (data[0] & 0x80U) != 0;
    switch (data[0] % 7) {
        case 0:
            if (sums) sum_file(bytes);
            file_header(bytes);
            break;
        case 1:
            if (sums && bytes.size() == kFormatBytes) set_u32(bytes, 32, base::crc32c(base::ByteView{bytes}.first(32)));
            if (const auto store = decode_format(bytes)) require(encode_format(*store) == bytes);
            break;
        case 2:
            if (sums) sum_record(bytes, peek_put(bytes));
            put_record(bytes);
            break;
        case 3:
            if (sums) sum_record(bytes, peek_ops(bytes));
            ops_record(bytes);
            break;
        case 4:
            if (sums) sum_file(bytes);
            if (const auto checkpoint = Checkpoint::decode(bytes, kStore, 1)) {
                // A varint has one encoding and everything is in order: what was read is what is written.
                require(checkpoint->encode(kStore, 1) == bytes);
            }
            break;
        case 5:
            require(find_magic(bytes, FileKind::log, 0) <= bytes.size());
            require(find_magic(bytes, FileKind::segment, 0) <= bytes.size());
            break;
        case 6:
            if (const auto lost = LostBlocks::decode(bytes); !lost.empty()) require(lost.encode() == bytes);
            break;
    }
    return 0;
}
