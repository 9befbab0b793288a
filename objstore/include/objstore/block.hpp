// Sealed blocks: what a storage node keeps of us. Two sections, references and body, each under a key of its own that
// follows from its content.
//
// Format: docs/formats/blocks.md. Pure functions and plain values: any thread, made for Workers jobs.
// After Tahoe-LAFS and Douceur et al. 2002 (convergent encryption), with a secret so that guesses cannot be tested.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/guid.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "objstore/error.hpp"

namespace objstore {

enum class BlockType : std::uint8_t {
    data = 1,  ///< a chunk of one large file
    pack = 2,  ///< many small chunks
    tree_leaf = 3,
    tree_inner = 4,
};

constexpr std::uint8_t kMinGroupBits = 4;
constexpr std::uint8_t kMaxGroupBits = 32;
constexpr std::size_t kBlockHeaderBytes = 16;
/// Content that a pack (pieces of several files) is given at most; max_content_bytes() is what a reader accepts.
constexpr std::size_t kPackBytes = 1U << 20U;
/// Content (before compression) that a block of this type may declare; 0 for a type this version does not know.
[[nodiscard]] std::size_t max_content_bytes(BlockType type);

/// Everything it takes to find, verify and open one block: what a parent knows of a child.
struct BlockRef {
    base::Guid id;  ///< BGUID: SHA-256 of the sealed bytes
    std::uint32_t sealed_bytes = 0;
    BlockType type = BlockType::data;
    std::uint8_t group_bits = kMinGroupBits;  ///< k of group_of()
    base::Key ref_key{};                      ///< K_ref; zero if the block has no references
    base::Key body_key{};                     ///< K_body
    std::uint32_t key_epoch = 0;              ///< whose dedup key sealed it
    std::uint64_t birth = 0;  ///< sequence of the volume's state that the writing session began from, plus one

    [[nodiscard]] bool has_references() const { return ref_key != base::Key{}; }
    friend bool operator==(const BlockRef&, const BlockRef&) = default;
};
/// Thousands of extents name one pack: they share its reference.
using BlockRefPtr = std::shared_ptr<const BlockRef>;

/// The key that decides which nodes keep the block: SHA-256("pelago place", volume tag, k, first k bits of the BGUID).
[[nodiscard]] base::Guid group_of(const base::Guid& volume_tag, std::uint8_t group_bits, const base::Guid& id);
/// The smallest k that keeps a group of a volume of `volume_bytes` below 2 GiB.
[[nodiscard]] std::uint8_t group_bits_for(std::uint64_t volume_bytes);

/// What sealing takes from the volume and the session.
struct SealContext {
    base::Key dedup_key{};
    base::Guid volume_tag;
    std::uint32_t key_epoch = 0;
    std::uint64_t birth = 0;
    std::uint8_t group_bits = kMinGroupBits;
    int zstd_level = 3;  ///< 0: never compress
};

/// What is sealed. `raw` is stored as it is (hashes and keys do not compress and spoil what lies between them);
/// `packed` is compressed where that pays.
struct BlockContent {
    base::ByteView packed;
    base::ByteView raw;
};

struct SealedBlock {
    BlockRef ref;
    base::SharedBytes bytes;
};

/// Deterministic: same context, type, children and content, same bytes. Errors: past::Errc::too_large above
/// kMaxBlockBytes; base::Errc::bad_argument above max_content_bytes(type).
[[nodiscard]] base::Result<SealedBlock> seal_block(const SealContext& context, BlockType type,
                                                   std::span<const BlockRefPtr> children, const BlockContent& content);

struct OpenedBlock {
    BlockType type = BlockType::data;
    std::vector<BlockRefPtr> children;  ///< in the order they were sealed in
    base::SharedBytes packed;           ///< decompressed
    base::SharedBytes raw;

    /// Memory it holds, about.
    [[nodiscard]] std::size_t footprint() const;
};

/// Errc::damaged, naming the BGUID, unless `bytes` are exactly the block that `ref` describes (its id, length, type)
/// and both sections open; base::Errc::unsupported for a later format. `check_id` false leaves out the SHA-256 where
/// the caller has just done it.
[[nodiscard]] base::Result<OpenedBlock> open_block(const BlockRef& ref, const base::Guid& volume_tag,
                                                   base::ByteView bytes, bool check_id = true);

/// The children as the references section alone tells them (body_key zero, key_epoch and birth 0): the verify
/// capability, which walks a volume without seeing names or contents.
[[nodiscard]] base::Result<std::vector<BlockRef>> open_references(const BlockRef& ref, const base::Guid& volume_tag,
                                                                  base::ByteView bytes);

/// The clear part of a block. decode() checks magic, format, lengths against `bytes`; nothing else is trusted.
struct BlockHeader {
    BlockType type = BlockType::data;
    std::uint32_t references_bytes = 0;  ///< sealed
    std::uint32_t body_bytes = 0;        ///< sealed

    [[nodiscard]] static base::Result<BlockHeader> decode(base::ByteView bytes);
};

}  // namespace objstore
