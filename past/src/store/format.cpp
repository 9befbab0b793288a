#include "store/format.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"

namespace past::store {
namespace {

using base::Bytes;
using base::ByteView;
using base::Errc;
using base::Error;
using base::Reader;
using base::Result;
using base::Writer;

constexpr std::uint32_t kPutMagic = 0x31545550;  // "PUT1"
constexpr std::uint32_t kOpsMagic = 0x3153504F;  // "OPS1"
constexpr std::string_view kFormatMagic = "PLGSTORE";

struct KindText {
    std::string_view magic, folder, suffix;
};
constexpr KindText text_of(FileKind kind) {
    switch (kind) {
        case FileKind::segment: return {"PLGSEGMT", "segments", ".seg"};
        case FileKind::index: return {"PLGINDEX", "segments", ".idx"};
        case FileKind::log: return {"PLGSTATE", "state", ".log"};
        case FileKind::checkpoint: return {"PLGCHECK", "state", ".ckp"};
    }
    return {};
}

std::uint32_t keyed_crc(const StoreId& store, ByteView bytes) { return base::crc32c(bytes, base::crc32c(store)); }

void patch_u32(Bytes& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

Bytes take_padded(Writer& out) {
    auto bytes = out.take();
    bytes.resize(padded(bytes.size()));
    return bytes;
}

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

Error corrupt(const char* what) { return {Errc::corrupt, what}; }

}  // namespace

void write_tag_set(Writer& out, const std::vector<Tag>& tags) {
    out.u16(static_cast<std::uint16_t>(tags.size()));
    for (const auto& tag : tags) out.guid(tag.volume).u64(tag.generation);
}

std::vector<Tag> read_tag_set(Reader& in) {
    const auto count = in.u16();
    if (count == 0) in.fail();
    if (!in.fits(count, kTagBytes)) return {};
    std::vector<Tag> tags(count);
    for (auto& tag : tags) tag = {in.guid(), in.u64()};
    if (!std::ranges::is_sorted(tags, std::less_equal{}, &Tag::volume)) in.fail();
    return tags;
}

// --- files ---------------------------------------------------------------------------------------------------------

Bytes FileHeader::encode() const {
    Writer out;
    out.raw(base::as_bytes(text_of(kind).magic)).u32(kVersion).u32(number).raw(store).u64(a).u64(b).u32(c);
    out.u32(0).u32(0);
    const auto crc = base::crc32c(out.view());
    return out.u32(crc).take();
}

Result<FileHeader> FileHeader::decode(ByteView bytes) {
    if (bytes.size() < kFileHeaderBytes) return corrupt("file header is cut off");
    Reader in{bytes.first(kFileHeaderBytes)};
    const auto magic = base::as_text(in.raw(8));
    const auto version = in.u32();
    FileHeader header;
    header.number = in.u32();
    header.store = in.array<16>();
    header.a = in.u64();
    header.b = in.u64();
    header.c = in.u32();
    const bool zeros = all_zero(in.raw(8));
    if (base::crc32c(bytes.first(kFileHeaderBytes - 4)) != in.u32()) return corrupt("file header");
    if (version > kVersion) return Error{Errc::unsupported, fmt::format("format version {}", version)};
    for (auto kind : {FileKind::segment, FileKind::index, FileKind::log, FileKind::checkpoint}) {
        if (text_of(kind).magic != magic) continue;
        header.kind = kind;
        if (version != kVersion || !zeros) break;
        return header;
    }
    return corrupt("file header");
}

Bytes encode_format(const StoreId& store) {
    Writer out;
    out.raw(base::as_bytes(kFormatMagic)).u32(kVersion).u32(0).raw(store);
    const auto crc = base::crc32c(out.view());
    return out.u32(crc).take();
}

Result<StoreId> decode_format(ByteView bytes) {
    // The version comes first: a later one may have more bytes or another checksum.
    Reader in{bytes};
    const auto magic = base::as_text(in.raw(8));
    const auto version = in.u32();
    if (!in.ok() || magic != kFormatMagic) return corrupt("FORMAT");
    const bool whole =
        bytes.size() == kFormatBytes && Reader{bytes.last(4)}.u32() == base::crc32c(bytes.first(kFormatBytes - 4));
    if (version > kVersion && (whole || bytes.size() != kFormatBytes))
        return Error{Errc::unsupported, fmt::format("format version {}", version)};
    if (!whole || version != kVersion || in.u32() != 0) return corrupt("FORMAT");
    return in.array<16>();
}

std::string file_name(const std::string& directory, FileKind kind, std::uint32_t number) {
    const auto text = text_of(kind);
    return fmt::format("{}/{}/{:08x}{}", directory, text.folder, number, text.suffix);
}

std::uint32_t number_in(std::string_view name, FileKind kind) {
    const auto suffix = text_of(kind).suffix;
    if (name.size() != 8 + suffix.size() || !name.ends_with(suffix)) return 0;
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + 8, number, 16);
    return error == std::errc{} && end == name.data() + 8 ? number : 0;
}

// --- put records ---------------------------------------------------------------------------------------------------

std::uint64_t PutRecord::head_bytes() const {
    std::uint64_t bytes = kPutHeadBytes;
    for (const auto& batch : batches)
        bytes += 32 + tag_set_bytes(batch.tags.size()) + 4 + batch.blocks.size() * kBlockBytes;
    return padded(bytes);
}

std::uint64_t PutRecord::payload_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& batch : batches)
        for (const auto& block : batch.blocks) bytes += payload_span(block.length);
    return bytes;
}

void PutRecord::place_payloads() {
    auto at = unit + head_bytes() / kUnit;
    for (auto& batch : batches) {
        for (auto& block : batch.blocks) {
            block.unit = static_cast<std::uint32_t>(at);
            at += payload_span(block.length) / kUnit;
        }
    }
}

Bytes PutRecord::encode(const StoreId& store) const {
    std::uint32_t count = 0;
    for (const auto& batch : batches) count += static_cast<std::uint32_t>(batch.blocks.size());
    Writer out;
    out.u32(kPutMagic).u32(0).u64(sequence).u32(segment).u32(unit);
    out.u32(static_cast<std::uint32_t>(head_bytes() - kPutHeadBytes)).u32(static_cast<std::uint32_t>(payload_bytes()));
    out.u32(static_cast<std::uint32_t>(batches.size())).u32(count);
    for (const auto& batch : batches) {
        out.guid(batch.group);
        write_tag_set(out, batch.tags);
        out.u32(static_cast<std::uint32_t>(batch.blocks.size()));
        for (const auto& block : batch.blocks) out.guid(block.id).u32(block.length);
    }
    auto bytes = take_padded(out);
    patch_u32(bytes, 4, keyed_crc(store, ByteView{bytes}.subspan(8)));
    return bytes;
}

Result<RecordExtent> peek_put(ByteView head) {
    Reader in{head};
    if (in.u32() != kPutMagic) return corrupt("put record");
    (void)in.raw(20);
    const std::uint64_t directory = in.u32();
    const std::uint64_t payloads = in.u32();
    if (!in.ok() || directory % kUnit != 0 || payloads % kUnit != 0 || directory > kMaxDirectoryBytes ||
        payloads > kMaxPayloadsBytes)
        return corrupt("put record");
    return RecordExtent{kPutHeadBytes + directory, kPutHeadBytes + directory + payloads};
}

Result<PutRecord> decode_put(ByteView bytes, const StoreId& store, std::uint32_t segment, std::uint32_t unit) {
    BASE_TRY(const auto extent, peek_put(bytes));
    if (bytes.size() < extent.head_bytes) return corrupt("put record is cut off");
    bytes = bytes.first(extent.head_bytes);
    Reader in{bytes};
    (void)in.u32();
    if (in.u32() != keyed_crc(store, bytes.subspan(8))) return corrupt("put record");

    PutRecord record;
    record.sequence = in.u64();
    record.segment = in.u32();
    record.unit = in.u32();
    (void)in.raw(8);
    const auto batches = in.u32();
    const auto blocks = in.u32();
    if (record.segment != segment || record.unit != unit) return corrupt("put record of another place");
    if (!in.fits(batches, kBatchBytes) || !in.fits(blocks, kBlockBytes)) return corrupt("put record");
    record.batches.reserve(batches);
    std::uint64_t seen = 0;
    for (std::uint32_t i = 0; i < batches; ++i) {
        PutBatch batch;
        batch.group = in.guid();
        batch.tags = read_tag_set(in);
        const auto count = in.u32();
        if (count == 0 || !in.fits(count, kBlockBytes)) return corrupt("put record");
        seen += count;
        batch.blocks.resize(count);
        for (auto& block : batch.blocks) {
            block.id = in.guid();
            block.length = in.u32();
            if (block.length > base::kMaxBlockBytes) return corrupt("put record");
        }
        record.batches.push_back(std::move(batch));
    }
    if (!in.ok() || seen != blocks || in.remaining() >= kUnit || !all_zero(in.raw(in.remaining())))
        return corrupt("put record");
    if (record.total_bytes() != extent.total_bytes) return corrupt("put record");
    record.place_payloads();
    return record;
}

std::size_t find_magic(ByteView bytes, FileKind kind, std::size_t from) {
    const auto magic = kind == FileKind::log ? kOpsMagic : kPutMagic;
    for (auto at = padded(from); at + 4 <= bytes.size(); at += kUnit) {
        if (Reader{bytes.subspan(at, 4)}.u32() == magic) return at;
    }
    return bytes.size();
}

// --- operations ----------------------------------------------------------------------------------------------------

namespace {

enum class OpCode : std::uint8_t { tag = 1, untag, drop, record };

void write_locations(Writer& out, const std::vector<Location>& blocks) {
    out.u32(static_cast<std::uint32_t>(blocks.size()));
    for (const auto& block : blocks) out.u32(block.segment).u32(block.unit);
}

std::vector<Location> read_locations(Reader& in) {
    const auto count = in.u32();
    if (!in.fits(count, 8)) return {};
    std::vector<Location> blocks(count);
    for (auto& block : blocks) {
        block.segment = in.u32();
        block.unit = in.u32();
    }
    return blocks;
}

void write_tag(Writer& out, OpCode code, const Tag& tag) {
    out.u8(static_cast<std::uint8_t>(code)).guid(tag.volume).u64(tag.generation);
}

struct OpWriter {
    Writer& out;
    void operator()(const TagOp& op) const {
        write_tag(out, OpCode::tag, op.tag);
        write_locations(out, op.blocks);
    }
    void operator()(const UntagOp& op) const {
        write_tag(out, OpCode::untag, op.tag);
        write_locations(out, op.blocks);
    }
    void operator()(const DropOp& op) const {
        out.u8(static_cast<std::uint8_t>(OpCode::drop));
        write_locations(out, op.blocks);
    }
    void operator()(const RecordOp& op) const {
        out.u8(static_cast<std::uint8_t>(OpCode::record)).guid(op.key);
        out.u32(static_cast<std::uint32_t>(op.value.size())).raw(op.value);
    }
};

struct OpSizer {
    std::uint64_t operator()(const TagOp& op) const { return 45 + op.blocks.size() * 8; }
    std::uint64_t operator()(const UntagOp& op) const { return 45 + op.blocks.size() * 8; }
    std::uint64_t operator()(const DropOp& op) const { return 5 + op.blocks.size() * 8; }
    std::uint64_t operator()(const RecordOp& op) const { return 37 + op.value.size(); }
};

Op read_op(Reader& in) {
    const auto code = in.u8();
    switch (static_cast<OpCode>(code)) {
        case OpCode::tag:
        case OpCode::untag: {
            Tag tag;
            tag.volume = in.guid();
            tag.generation = in.u64();
            auto blocks = read_locations(in);
            if (static_cast<OpCode>(code) == OpCode::tag) return TagOp{tag, std::move(blocks)};
            return UntagOp{tag, std::move(blocks)};
        }
        case OpCode::drop: return DropOp{read_locations(in)};
        case OpCode::record: {
            RecordOp op;
            op.key = in.guid();
            const auto length = in.u32();
            if (length > kMaxRecordBytes) in.fail();
            op.value = base::to_bytes(in.raw(in.ok() ? length : 0));
            return op;
        }
    }
    in.fail();
    return DropOp{};
}

}  // namespace

namespace {

std::uint64_t body_bytes(const std::vector<Op>& ops) {
    std::uint64_t bytes = 0;
    for (const auto& op : ops) bytes += std::visit(OpSizer{}, op);
    return bytes;
}

}  // namespace

std::uint64_t OpsRecord::encoded_bytes() const { return padded(kOpsHeadBytes + body_bytes(ops)); }

Bytes OpsRecord::encode(const StoreId& store) const {
    const auto body = body_bytes(ops);
    Writer out;
    out.u32(kOpsMagic).u32(0).u64(sequence).u32(log).u32(unit);
    out.u32(static_cast<std::uint32_t>(body)).u32(static_cast<std::uint32_t>(ops.size()));
    for (const auto& op : ops) std::visit(OpWriter{out}, op);
    const auto end = out.size();
    auto bytes = take_padded(out);
    patch_u32(bytes, 4, keyed_crc(store, ByteView{bytes}.subspan(8, end - 8)));
    return bytes;
}

Result<RecordExtent> peek_ops(ByteView head) {
    Reader in{head};
    if (in.u32() != kOpsMagic) return corrupt("operations record");
    (void)in.raw(20);
    const std::uint64_t body = in.u32();
    if (!in.ok() || body > kMaxOpsBytes) return corrupt("operations record");
    return RecordExtent{kOpsHeadBytes + body, padded(kOpsHeadBytes + body)};
}

Result<OpsRecord> decode_ops(ByteView bytes, const StoreId& store, std::uint32_t log, std::uint32_t unit) {
    BASE_TRY(const auto extent, peek_ops(bytes));
    if (bytes.size() < extent.head_bytes) return corrupt("operations record is cut off");
    bytes = bytes.first(extent.head_bytes);
    Reader in{bytes};
    (void)in.u32();
    if (in.u32() != keyed_crc(store, bytes.subspan(8))) return corrupt("operations record");
    OpsRecord record;
    record.sequence = in.u64();
    record.log = in.u32();
    record.unit = in.u32();
    (void)in.u32();
    const auto count = in.u32();
    if (record.log != log || record.unit != unit) return corrupt("operations record of another place");
    if (count == 0 || !in.fits(count, 5)) return corrupt("operations record");
    record.ops.reserve(count);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) record.ops.push_back(read_op(in));
    if (!in.complete()) return corrupt("operations record");
    return record;
}

}  // namespace past::store
