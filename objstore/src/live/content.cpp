#include "live/content.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace objstore {
namespace {

constexpr std::size_t kSmallBuffer = 64;
// With what an allocator adds: a piece in its map and its buffer's control block, or the reference to its block.
constexpr std::size_t kPieceBytes = sizeof(Content::Pieces::value_type) + 128;
constexpr std::size_t kLimitBytes = 64;

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

std::size_t Content::cost() const {
    return buffer_bytes_ + pieces_.size() * kPieceBytes + limits_.size() * kLimitBytes;
}

void Content::insert(std::uint64_t offset, ContentPiece piece) {
    if (piece.length == 0) return;
    if (piece.in_memory()) {
        memory_bytes_ += piece.length;
        if (piece.buffer->pieces++ == 0) buffer_bytes_ += piece.buffer->capacity;
    }
    pieces_.insert_or_assign(offset, std::move(piece));
}

ContentPiece Content::take(Pieces::const_iterator at) {
    auto piece = std::move(pieces_.extract(at).mapped());
    if (piece.in_memory()) {
        memory_bytes_ -= piece.length;
        if (--piece.buffer->pieces == 0) buffer_bytes_ -= piece.buffer->capacity;
    }
    return piece;
}

Content::Pieces::const_iterator Content::reaching(std::uint64_t from) const {
    auto at = pieces_.lower_bound(from);
    if (at != pieces_.begin() && std::prev(at)->first + std::prev(at)->second.length > from) --at;
    return at;
}

// Leaves nothing in [from, to).
void Content::clear(std::uint64_t from, std::uint64_t to) {
    for (auto at = reaching(from); at != pieces_.end() && at->first < to;) {
        const auto offset = at->first;
        const auto piece = take(at++);
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
    for (auto at = reaching(from); at != pieces_.end() && at->first < to; ++at) {
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
    for (auto at = pieces_.cbegin(); at != pieces_.cend();) {
        const auto next = std::next(at);
        if (at->second.generation <= generation) take(at);
        at = next;
    }
    std::erase_if(limits_, [&](const auto& limit) { return limit.first <= generation; });
}

void Content::stored(std::uint64_t offset, const ContentPiece& what, const Extent& extent, std::uint64_t since) {
    const auto end = offset + what.length;
    for (auto at = reaching(offset); at != pieces_.end() && at->first < end;) {
        if (at->second.buffer != what.buffer) {  // written anew
            ++at;
            continue;
        }
        const auto begin = at->first;
        const auto piece = take(at++);
        const auto from = std::max(begin, offset);
        const auto to = std::min(begin + piece.length, end);
        insert(begin, part_of(piece, 0, from - begin));
        insert(to, part_of(piece, to - begin, begin + piece.length - to));
        ContentPiece done;
        done.length = what.length;
        done.generation = piece.generation;
        done.stored = extent;
        done.since = since;
        insert(from, part_of(done, from - offset, to - from));
        join_with_the_one_before(from);
    }
}

// Two that are one stretch of a block as of the file are one piece: many small writes cost as little as a big one.
void Content::join_with_the_one_before(std::uint64_t offset) {
    const auto at = pieces_.find(offset);
    if (at == pieces_.begin()) return;
    auto& [begin, before] = *std::prev(at);
    const auto& piece = at->second;
    const bool one = before.stored && before.stored->block == piece.stored->block && begin + before.length == offset &&
                     before.generation == piece.generation && before.since == piece.since &&
                     before.stored->offset + before.stored->length == piece.stored->offset;
    if (!one) return;
    before.length += piece.length;
    before.stored->length += piece.length;
    before.stored->hash.reset();
    pieces_.erase(at);
}

}  // namespace objstore
