// What a mount wrote to one file since the version it works on: pieces in memory, pieces already stored, and holes,
// over the base's content. Pure: no I/O, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "objstore/live/update.hpp"

namespace objstore {

constexpr std::size_t kMaxBufferBytes = 1U << 20U;

/// Written bytes. What pieces name of a frozen buffer never changes.
struct WriteBuffer {
    explicit WriteBuffer(std::size_t room) : bytes{new std::uint8_t[room]}, capacity{room} {}
    std::unique_ptr<std::uint8_t[]> bytes;  // NOLINT(modernize-avoid-c-arrays): not zeroed first
    std::size_t capacity = 0;
    std::size_t used = 0;
    std::size_t pieces = 0;  ///< of the Content that it belongs to: while there are any it keeps the memory
    bool frozen = false;
};

struct ContentPiece {
    std::uint64_t length = 0;
    std::shared_ptr<WriteBuffer> buffer;  ///< in memory, from `start`
    std::size_t start = 0;
    std::optional<Extent> stored;  ///< durable after the flush of its writer; of `length` bytes. Neither: a hole
    std::uint64_t since = 0;       ///< `stored`: the generation of the volume in which it was, at the earliest
    std::uint64_t generation = 0;  ///< in which it was written

    [[nodiscard]] bool in_memory() const { return buffer != nullptr; }
    [[nodiscard]] base::ByteView bytes() const { return {buffer->bytes.get() + start, length}; }
};

class Content {
  public:
    using Pieces = std::map<std::uint64_t, ContentPiece>;  // by offset in the file; apart from each other

    /// A stretch of what is asked for: a piece, or, `of_base`, what the base has there.
    struct Segment {
        std::uint64_t offset = 0;
        ContentPiece piece;
        bool of_base = false;
    };

    [[nodiscard]] bool empty() const { return pieces_.empty() && limits_.empty(); }
    /// Written, and not stored yet.
    [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes_; }
    /// Of the buffers, whatever of them is used: what storing them frees.
    [[nodiscard]] std::size_t buffer_bytes() const { return buffer_bytes_; }
    /// All that this takes in memory, about.
    [[nodiscard]] std::size_t cost() const;
    [[nodiscard]] const Pieces& pieces() const { return pieces_; }
    /// Of the base nothing shows from here on.
    [[nodiscard]] std::uint64_t base_limit() const;

    void write(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation);
    /// `since`: of the block, as in ContentPiece.
    void put_stored(std::uint64_t offset, Extent extent, std::uint64_t since, std::uint64_t generation);
    void punch(std::uint64_t from, std::uint64_t to, std::uint64_t generation);
    /// Everything from `size` on is gone; what is written there later begins with zeros.
    void truncate(std::uint64_t size, std::uint64_t generation);

    /// [from, to) in order, without gaps; only its beginning if that is more than about `most`.
    [[nodiscard]] std::vector<Segment> collect(std::uint64_t from, std::uint64_t to, std::size_t most = SIZE_MAX) const;
    /// What of the base is hidden.
    [[nodiscard]] std::vector<FileRange> dropped() const;

    /// What is there now stays as it is in the buffers that pieces name.
    void freeze();
    /// The base has everything up to this generation by now.
    void forget(std::uint64_t generation);
    /// What `piece`, once at `offset`, names of its buffer is stored: as far as it is still here it needs no memory any
    /// more.
    void stored(std::uint64_t offset, const ContentPiece& piece, const Extent& extent, std::uint64_t since);

  private:
    /// The first piece that reaches beyond `from`.
    [[nodiscard]] Pieces::const_iterator reaching(std::uint64_t from) const;
    void clear(std::uint64_t from, std::uint64_t to);
    void insert(std::uint64_t offset, ContentPiece piece);
    ContentPiece take(Pieces::const_iterator at);
    void join_with_the_one_before(std::uint64_t offset);
    bool write_in_place(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation);
    bool append_in_place(std::uint64_t offset, base::ByteView bytes, std::uint64_t generation);

    Pieces pieces_;
    std::map<std::uint64_t, std::uint64_t> limits_;  // by generation, the smallest size it was cut to
    std::size_t memory_bytes_ = 0;
    std::size_t buffer_bytes_ = 0;
};

/// A part of a piece: `skip` bytes in, `length` long.
[[nodiscard]] ContentPiece part_of(const ContentPiece& piece, std::uint64_t skip, std::uint64_t length);

}  // namespace objstore
