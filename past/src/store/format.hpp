// The bytes of the block store (docs/formats/store.md): encoders and parsers, pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "past/block_store.hpp"

namespace past::store {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kUnit = 8;  ///< records and payloads begin at multiples of this
constexpr std::size_t kFileHeaderBytes = 64;
constexpr std::size_t kFormatBytes = 36;
constexpr std::size_t kPutHeadBytes = 40;
constexpr std::size_t kOpsHeadBytes = 32;
constexpr std::size_t kMaxDirectoryBytes = 8U << 20U;
constexpr std::size_t kMaxPayloadsBytes = 128U << 20U;
constexpr std::size_t kMaxOpsBytes = 16U << 20U;
constexpr std::size_t kMaxRecordBytes = 64U << 10U;
constexpr std::size_t kTagBytes = 32 + 8;
constexpr std::size_t kBatchBytes = 32 + 2 + kTagBytes + 4;  ///< with one tag, without blocks
constexpr std::size_t kBlockBytes = 32 + 4;

[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t bytes) { return (bytes + kUnit - 1) / kUnit * kUnit; }
/// Room of a payload. An empty block takes a unit too, so that no two copies have one location.
[[nodiscard]] constexpr std::uint64_t payload_span(std::uint32_t length) {
    return length == 0 ? kUnit : padded(length);
}

using StoreId = std::array<std::uint8_t, 16>;

/// Count (2 bytes), then each tag.
void write_tag_set(base::Writer& out, const std::vector<Tag>& tags);
[[nodiscard]] constexpr std::size_t tag_set_bytes(std::size_t tags) { return 2 + tags * kTagBytes; }
/// At least one, ascending by volume; else `in` fails.
[[nodiscard]] std::vector<Tag> read_tag_set(base::Reader& in);

// --- files ---------------------------------------------------------------------------------------------------------

enum class FileKind { segment, index, log, checkpoint };

struct FileHeader {
    FileKind kind = FileKind::segment;
    std::uint32_t number = 0;
    StoreId store{};
    std::uint64_t a = 0;  ///< index: bytes of the segment; checkpoint: sequence
    std::uint64_t b = 0;  ///< index: records; checkpoint: bytes of the body
    std::uint32_t c = 0;  ///< checkpoint: CRC of the body

    [[nodiscard]] base::Bytes encode() const;
    /// Errc::unsupported for a later version, else Errc::corrupt.
    [[nodiscard]] static base::Result<FileHeader> decode(base::ByteView bytes);
};

[[nodiscard]] base::Bytes encode_format(const StoreId& store);
/// Errc::unsupported for a later version, else Errc::corrupt.
[[nodiscard]] base::Result<StoreId> decode_format(base::ByteView bytes);

/// "segments/0000002a.seg" and so on, below `directory`.
[[nodiscard]] std::string file_name(const std::string& directory, FileKind kind, std::uint32_t number);
/// The number in a name of this kind ("0000002a.seg"), 0 if it is not one.
[[nodiscard]] std::uint32_t number_in(std::string_view name, FileKind kind);

// --- put records ---------------------------------------------------------------------------------------------------

struct PutEntry {
    base::Guid id;
    std::uint32_t length = 0;
    std::uint32_t unit = 0;  ///< of its payload in the segment; follows from where the record lies, not stored
};

struct PutBatch {
    base::Guid group;
    std::vector<Tag> tags;  ///< of each of the blocks: at least one, ascending by volume
    std::vector<PutEntry> blocks;
};

struct PutRecord {
    std::uint64_t sequence = 0;
    std::uint32_t segment = 0;
    std::uint32_t unit = 0;
    std::vector<PutBatch> batches;

    [[nodiscard]] std::uint64_t head_bytes() const;  ///< with the directory
    [[nodiscard]] std::uint64_t payload_bytes() const;
    [[nodiscard]] std::uint64_t total_bytes() const { return head_bytes() + payload_bytes(); }
    /// Sets each entry's unit from the record's.
    void place_payloads();
    /// Head and directory; the payloads follow.
    [[nodiscard]] base::Bytes encode(const StoreId& store) const;
};

/// Sizes in a head, checked against the limits only: nothing else in it is to be believed before decode_put().
struct RecordExtent {
    std::uint64_t head_bytes = 0;   ///< head and directory, or head and padded body
    std::uint64_t total_bytes = 0;  ///< to the next record
};
[[nodiscard]] base::Result<RecordExtent> peek_put(base::ByteView head);
/// `bytes` begins with head and directory; what follows is not looked at. `segment` and `unit` say where it was read.
[[nodiscard]] base::Result<PutRecord> decode_put(base::ByteView bytes, const StoreId& store, std::uint32_t segment,
                                                 std::uint32_t unit);
/// Where the next word of "PUT1" or "OPS1" stands in `bytes` at a multiple of 8, from `from`; bytes.size() if nowhere.
[[nodiscard]] std::size_t find_magic(base::ByteView bytes, FileKind kind, std::size_t from);

// --- operations ----------------------------------------------------------------------------------------------------

/// One copy of a block.
struct Location {
    std::uint32_t segment = 0;
    std::uint32_t unit = 0;
    friend auto operator<=>(const Location&, const Location&) = default;
};

struct TagOp {
    Tag tag;
    std::vector<Location> blocks;
};
struct UntagOp {
    Tag tag;
    std::vector<Location> blocks;
};
struct DropOp {
    std::vector<Location> blocks;
};
struct RecordOp {
    base::Guid key;
    base::Bytes value;
};
using Op = std::variant<TagOp, UntagOp, DropOp, RecordOp>;

struct OpsRecord {
    std::uint64_t sequence = 0;
    std::uint32_t log = 0;
    std::uint32_t unit = 0;
    std::vector<Op> ops;

    [[nodiscard]] std::uint64_t encoded_bytes() const;  ///< padding included
    [[nodiscard]] base::Bytes encode(const StoreId& store) const;
};
[[nodiscard]] base::Result<RecordExtent> peek_ops(base::ByteView head);
[[nodiscard]] base::Result<OpsRecord> decode_ops(base::ByteView bytes, const StoreId& store, std::uint32_t log,
                                                 std::uint32_t unit);

// --- checkpoints ---------------------------------------------------------------------------------------------------

struct Checkpoint {
    struct Live {
        std::uint32_t unit = 0;
        std::uint32_t tags = 0;  ///< index in tag_sets
    };
    std::uint64_t sequence = 0;
    std::vector<std::vector<Tag>> tag_sets;
    std::map<std::uint32_t, std::vector<Live>> segments;  ///< ascending by unit
    std::map<base::Guid, base::Bytes> records;

    /// File header and body.
    [[nodiscard]] base::Bytes encode(const StoreId& store, std::uint32_t number) const;
    [[nodiscard]] static base::Result<Checkpoint> decode(base::ByteView file, const StoreId& store,
                                                         std::uint32_t number);
};

}  // namespace past::store
