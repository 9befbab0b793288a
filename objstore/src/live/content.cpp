#include "live/content.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace objstore {
namespace {

constexpr std::size_t kSmallBuffer = 4096;

void copy(std::uint8_t* to, base::ByteView bytes) {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

}  // namespace

ContentPiece part_of(const ContentPiece& piece, std::uint64_t skip, std::uint64_t length) {
    ContentPiece part = piece;
    part.length = length;
    part.start = piece.start + static_cast<std::size_t>(skip);
    if (part.stored) {
        part.stored->offset += static_cast<std::uint32_t>(skip);
        part.stored->length = length;
        if (length != piece.length) part.stored->hash.reset();
    }
    return part;
}

void Content::insert(std::uint64_t offset, ContentPiece piece) {
    if (piece.length == 0) return;
    if (piece.in_memory()) memory_bytes_ += piece.length;
    pieces_.insert_or_assign(offset, std::move(piece));
}

// Leaves nothing in [from, to).
void Content::clear(std::uint64_t from, std::uint64_t to) {
    auto at = pieces_.lower_bound(from);
    if (at != pieces_.begin() && std::prev(at)->first + std::prev(at)->second.length > from) --at;
    while (at != pieces_.end() && at->first < to) {
        const auto offset = at->first;
        const auto piece = std::move(at->second);
        at = pieces_.erase(at);
        if (piece.in_memory()) memory_bytes_ -= piece.length;
        const auto end = offset + piece.length;
        if (offset < from) insert(offset, part_of(piece, 0, from - offset));
        if (end > to) {
            insert(to, part_of(piece, to - offset, end - to));
            break;
        }
    }
}

bool Content::write_in_place(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation) {
    auto at = pieces_.upper_bound(offset);
    if (at == pieces_.begin()) return false;
    --at;
    auto& piece = at->second;
    if (!piece.in_memory() || piece.buffer->frozen || piece.generation != generation) return false;
    if (offset + bytes.size() > at->first + piece.length) return false;
    copy(piece.buffer->bytes.get() + piece.start + (offset - at->first), bytes);
    return true;
}

bool Content::append_in_place(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation) {
    const auto next = pieces_.lower_bound(offset);
    if (next == pieces_.begin() || (next != pieces_.end() && next->first < offset + bytes.size())) return false;
    auto& [begin, piece] = *std::prev(next);
    if (begin + piece.length != offset || !piece.in_memory()) return false;
    auto& buffer = *piece.buffer;
    if (buffer.frozen || piece.generation != generation) return false;
    if (piece.start + piece.length != buffer.used || buffer.capacity - buffer.used < bytes.size()) return false;
    copy(buffer.bytes.get() + buffer.used, bytes);
    buffer.used += bytes.size();
    piece.length += bytes.size();
    memory_bytes_ += bytes.size();
    return true;
}

void Content::write(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation) {
    if (bytes.empty()) return;
    if (write_in_place(offset, bytes, generation) || append_in_place(offset, bytes, generation)) return;
    clear(offset, offset + bytes.size());
    // Who goes on where the last piece ended is likely to go on further: each buffer has room for as much again.
    auto room = std::max(kSmallBuffer, bytes.size());
    const auto next = pieces_.lower_bound(offset);
    if (next != pieces_.begin()) {
        const auto& [begin, before] = *std::prev(next);
        if (begin + before.length == offset && before.in_memory()) {
            room = std::max(room, std::min(kMaxBufferBytes, 2 * before.buffer->capacity));
        }
    }
    ContentPiece piece;
    piece.length = bytes.size();
    piece.buffer = std::make_shared<WriteBuffer>(room);
    piece.generation = generation;
    copy(piece.buffer->bytes.get(), bytes);
    piece.buffer->used = bytes.size();
    insert(offset, std::move(piece));
}

void Content::put_stored(std::uint64_t offset, Extent extent, std::uint64_t since, std::uint64_t generation) {
    clear(offset, offset + extent.length);
    ContentPiece piece;
    piece.length = extent.length;
    piece.generation = generation;
    piece.stored = std::move(extent);
    piece.since = since;
    insert(offset, std::move(piece));
}

void Content::punch(std::uint64_t from, std::uint64_t to, std::uint64_t generation) {
    if (from >= to) return;
    clear(from, to);
    ContentPiece hole;
    hole.length = to - from;
    hole.generation = generation;
    insert(from, std::move(hole));
}

void Content::truncate(std::uint64_t size, std::uint64_t generation) {
    clear(size, UINT64_MAX);
    const auto [at, first] = limits_.try_emplace(generation, size);
    if (!first) at->second = std::min(at->second, size);
}

std::uint64_t Content::base_limit() const {
    std::uint64_t limit = UINT64_MAX;
    for (const auto& [generation, size] : limits_) limit = std::min(limit, size);
    return limit;
}

std::vector<Content::Segment> Content::collect(std::uint64_t from, std::uint64_t to, std::size_t most) const {
    std::vector<Segment> out;
    const auto limit = base_limit();
    const auto add_base = [&](std::uint64_t until) {
        const auto shown = std::clamp(limit, from, until);
        for (const bool of_base : {true, false}) {
            const auto begin = of_base ? from : shown;
            const auto end = of_base ? shown : until;
            if (begin == end) continue;
            Segment segment;
            segment.offset = begin;
            segment.piece.length = end - begin;
            segment.of_base = of_base;
            out.push_back(std::move(segment));
        }
        from = until;
    };
    auto at = pieces_.lower_bound(from);
    if (at != pieces_.begin() && std::prev(at)->first + std::prev(at)->second.length > from) --at;
    for (; at != pieces_.end() && at->first < to; ++at) {
        if (out.size() >= most) return out;
        const auto& [offset, piece] = *at;
        if (offset > from) add_base(offset);
        const auto end = std::min(to, offset + piece.length);
        Segment segment;
        segment.offset = from;
        segment.piece = part_of(piece, from - offset, end - from);
        out.push_back(std::move(segment));
        from = end;
    }
    if (from < to) add_base(to);
    return out;
}

std::vector<FileRange> Content::dropped() const {
    std::vector<FileRange> out;
    const auto limit = base_limit();
    const auto add = [&out](std::uint64_t from, std::uint64_t to) {
        if (!out.empty() && from <= out.back().to) {
            out.back().to = std::max(out.back().to, to);
        } else {
            out.push_back({from, to});
        }
    };
    for (const auto& [offset, piece] : pieces_) {
        if (offset >= limit) break;
        add(offset, offset + piece.length);
    }
    if (limit != UINT64_MAX) add(limit, UINT64_MAX);
    return out;
}

void Content::freeze() {
    for (auto& [offset, piece] : pieces_) {
        if (piece.in_memory()) piece.buffer->frozen = true;
    }
}

void Content::forget(std::uint64_t generation) {
    std::erase_if(pieces_, [&](const auto& entry) {
        const auto& piece = entry.second;
        if (piece.generation > generation) return false;
        if (piece.in_memory()) memory_bytes_ -= piece.length;
        return true;
    });
    std::erase_if(limits_, [&](const auto& limit) { return limit.first <= generation; });
}

void Content::stored(const std::shared_ptr<WriteBuffer>& buffer, std::size_t start, const Extent& extent,
                     std::uint64_t since) {
    for (auto& [offset, piece] : pieces_) {
        if (piece.buffer != buffer || piece.start < start || piece.start + piece.length > start + extent.length)
            continue;
        Extent part = extent;
        part.offset += static_cast<std::uint32_t>(piece.start - start);
        if (piece.length != extent.length) part.hash.reset();
        part.length = piece.length;
        memory_bytes_ -= piece.length;
        piece.buffer.reset();
        piece.start = 0;
        piece.stored = std::move(part);
        piece.since = since;
    }
}

}  // namespace objstore
