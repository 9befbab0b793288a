// What a copy needs of the blocks of the old volume: stretches of their content, and what each is called in the new
// one.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/guid.hpp"
#include "objstore/records.hpp"
#include "packer.hpp"

namespace objstore::archive {

/// A stretch of a block.
struct CopyPiece {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    bool wanted = false;  ///< by the snapshot that is being copied
    bool named = false;   ///< `hash` is set
    ChunkHash hash{};     ///< under the keys of the new volume
};

struct CopyBlock {
    BlockRefPtr ref;
    std::vector<CopyPiece> pieces;
    std::size_t tidied = 0;  ///< of them are sorted and each there once
    bool wanted = false;

    void add(std::uint32_t offset, std::uint32_t length);
    /// Sorts, and keeps one of each.
    void tidy();
};

/// About 30 bytes a piece and 200 a block. A plain value.
class CopyPieces {
  public:
    /// Nothing is wanted any more. Forgets what it knows if that is much: it is found out again.
    void begin();
    /// What `extent` names is wanted. Requires: it names a block.
    void want(const Extent& extent);
    /// Numbers of the blocks of which something is wanted, in the order in which they were met. Tidies them.
    const std::vector<std::uint32_t>& wanted();
    [[nodiscard]] CopyBlock& block(std::uint32_t number) { return blocks_[number]; }
    /// Of what was wanted; nullptr if it was not.
    [[nodiscard]] const CopyPiece* find(const Extent& extent) const;

  private:
    std::unordered_map<base::Guid, std::uint32_t> number_of_;
    std::vector<CopyBlock> blocks_;
    std::vector<std::uint32_t> order_;
};

/// Pieces that were read, ready to be placed.
struct ReadPieces {
    Buffer buffer;
    std::vector<ReadChunk> chunks;
};

/// Takes the pieces that are wanted and that `skip` is not true for out of what their block opened to, and names them.
/// Nothing if one of them reaches beyond it. On the pool.
[[nodiscard]] std::optional<ReadPieces> take_pieces(CopyBlock& block, const OpenedBlock& opened, const EpochKeys& keys,
                                                    const std::vector<bool>& skip);

}  // namespace objstore::archive
