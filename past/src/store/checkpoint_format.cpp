#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "store/format.hpp"

namespace past::store {
namespace {

using base::Reader;
using base::Writer;

base::Error corrupt() { return {base::Errc::corrupt, "checkpoint"}; }

std::vector<Checkpoint::Live> read_live(Reader& in, std::size_t tag_sets) {
    const auto count = in.u32();
    if (!in.fits(count, 2)) return {};
    std::vector<Checkpoint::Live> blocks(count);
    std::uint64_t unit = 0;
    for (auto& block : blocks) {
        const auto step = in.varint();
        const auto tags = in.varint();
        if (step == 0 || step > UINT32_MAX || tags >= tag_sets || unit + step > UINT32_MAX) in.fail();
        if (!in.ok()) return {};
        unit += step;
        block.unit = static_cast<std::uint32_t>(unit);
        block.tags = static_cast<std::uint32_t>(tags);
    }
    return blocks;
}

void read_body(Reader& in, Checkpoint& checkpoint) {
    const auto sets = in.u32();
    if (!in.fits(sets, 42)) return;
    checkpoint.tag_sets.reserve(sets);
    for (std::uint32_t i = 0; i < sets && in.ok(); ++i) checkpoint.tag_sets.push_back(read_tag_set(in));
    const auto segments = in.u32();
    if (!in.fits(segments, 8)) return;
    for (std::uint32_t i = 0; i < segments && in.ok(); ++i) {
        const auto number = in.u32();
        if (!checkpoint.segments.empty() && number <= checkpoint.segments.rbegin()->first) in.fail();
        checkpoint.segments[number] = read_live(in, sets);
    }
    const auto records = in.u32();
    if (!in.fits(records, 36)) return;
    for (std::uint32_t i = 0; i < records && in.ok(); ++i) {
        const auto key = in.guid();
        const auto length = in.u32();
        if (length > kMaxRecordBytes) in.fail();
        if (!checkpoint.records.empty() && key <= checkpoint.records.rbegin()->first) in.fail();
        checkpoint.records[key] = base::to_bytes(in.raw(in.ok() ? length : 0));
    }
}

}  // namespace

base::Bytes Checkpoint::encode(const StoreId& store, std::uint32_t number) const {
    Writer body;
    body.u32(static_cast<std::uint32_t>(tag_sets.size()));
    for (const auto& set : tag_sets) write_tag_set(body, set);
    body.u32(static_cast<std::uint32_t>(segments.size()));
    for (const auto& [segment, blocks] : segments) {
        body.u32(segment).u32(static_cast<std::uint32_t>(blocks.size()));
        std::uint32_t before = 0;
        for (const auto& block : blocks) {
            body.varint(block.unit - before).varint(block.tags);
            before = block.unit;
        }
    }
    body.u32(static_cast<std::uint32_t>(records.size()));
    for (const auto& [key, value] : records) {
        body.guid(key).u32(static_cast<std::uint32_t>(value.size())).raw(value);
    }

    FileHeader header;
    header.kind = FileKind::checkpoint;
    header.number = number;
    header.store = store;
    header.a = sequence;
    header.b = body.size();
    header.c = base::crc32c(body.view());
    auto file = header.encode();
    file.insert(file.end(), body.view().begin(), body.view().end());
    return file;
}

base::Result<Checkpoint> Checkpoint::decode(base::ByteView file, const StoreId& store, std::uint32_t number) {
    BASE_TRY(const auto header, FileHeader::decode(file));
    const auto body = file.subspan(kFileHeaderBytes);
    if (header.kind != FileKind::checkpoint || header.number != number || header.store != store ||
        header.b != body.size() || header.c != base::crc32c(body))
        return corrupt();
    Checkpoint checkpoint;
    checkpoint.sequence = header.a;
    Reader in{body};
    read_body(in, checkpoint);
    if (!in.complete()) return corrupt();
    return checkpoint;
}

}  // namespace past::store
