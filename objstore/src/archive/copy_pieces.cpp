#include "copy_pieces.hpp"

#include <algorithm>
#include <tuple>

#include "objstore/archive/snapshot_reader.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kUntidied = 64;
constexpr std::size_t kMostRemembered = 1U << 20U;  // pieces, from one snapshot to the next

auto place_of_piece(const CopyPiece& piece) { return std::pair{piece.offset, piece.length}; }

}  // namespace

void CopyBlock::add(std::uint32_t offset, std::uint32_t length) {
    pieces.push_back({.offset = offset, .length = length, .wanted = true});
    wanted = true;
    if (pieces.size() >= 2 * tidied + kUntidied) tidy();
}

void CopyBlock::tidy() {
    // Of equal ones the one that has a name comes first, and stays.
    std::ranges::sort(pieces, {}, [](const CopyPiece& one) { return std::tuple{one.offset, one.length, !one.named}; });
    std::size_t kept = 0;
    for (const auto& piece : pieces) {
        if (kept > 0 && place_of_piece(pieces[kept - 1]) == place_of_piece(piece)) {
            pieces[kept - 1].wanted = pieces[kept - 1].wanted || piece.wanted;
        } else {
            pieces[kept++] = piece;
        }
    }
    pieces.resize(kept);
    tidied = kept;
}

void CopyPieces::begin() {
    std::size_t remembered = 0;
    for (auto& block : blocks_) {
        block.wanted = false;
        for (auto& piece : block.pieces) piece.wanted = false;
        remembered += block.pieces.size();
    }
    order_.clear();
    if (remembered <= kMostRemembered) return;
    blocks_.clear();
    number_of_.clear();
}

void CopyPieces::want(const Extent& extent) {
    const auto [found, fresh] = number_of_.try_emplace(extent.block->id, static_cast<std::uint32_t>(blocks_.size()));
    if (fresh) blocks_.push_back({.ref = extent.block});
    auto& block = blocks_[found->second];
    if (!block.wanted) order_.push_back(found->second);
    block.add(extent.offset, static_cast<std::uint32_t>(extent.length));
}

const std::vector<std::uint32_t>& CopyPieces::wanted() {
    for (const auto number : order_) blocks_[number].tidy();
    return order_;
}

const CopyPiece* CopyPieces::find(const Extent& extent) const {
    const auto found = number_of_.find(extent.block->id);
    if (found == number_of_.end()) return nullptr;
    const auto& pieces = blocks_[found->second].pieces;
    const std::pair wanted{extent.offset, static_cast<std::uint32_t>(extent.length)};
    const auto piece = std::ranges::lower_bound(pieces, wanted, {}, place_of_piece);
    return piece != pieces.end() && place_of_piece(*piece) == wanted ? &*piece : nullptr;
}

std::optional<ReadPieces> take_pieces(CopyBlock& block, const OpenedBlock& opened, const EpochKeys& keys,
                                      const std::vector<bool>& skip) {
    ReadPieces out{std::make_shared<base::Bytes>(), {}};
    for (std::size_t i = 0; i < block.pieces.size(); ++i) {
        auto& piece = block.pieces[i];
        if (!piece.wanted || skip[i]) continue;
        Extent extent;
        extent.offset = piece.offset;
        extent.length = piece.length;
        const auto bytes = bytes_of(extent, opened);
        if (!bytes) return std::nullopt;
        if (!piece.named) piece.hash = chunk_hash(keys, *bytes);
        piece.named = true;
        ReadChunk chunk;
        chunk.buffer_offset = out.buffer->size();
        chunk.length = piece.length;
        chunk.hash = piece.hash;
        out.buffer->insert(out.buffer->end(), bytes->begin(), bytes->end());
        out.chunks.push_back(chunk);
    }
    return out;
}

}  // namespace objstore::archive
