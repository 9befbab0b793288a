// Fixed little-endian layouts for what is signed, hashed or kept on disk (docs/formats). Messages between peers are
// Protocol Buffers instead.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/guid.hpp"

namespace base {

/// Appends to a buffer of its own.
class Writer {
  public:
    Writer& u8(std::uint8_t value);
    Writer& u16(std::uint16_t value);
    Writer& u32(std::uint32_t value);
    Writer& u64(std::uint64_t value);
    Writer& i64(std::int64_t value) { return u64(static_cast<std::uint64_t>(value)); }
    Writer& varint(std::uint64_t value);  ///< LEB128, 1 to 10 bytes
    Writer& raw(ByteView bytes);          ///< no length
    Writer& guid(const Guid& guid) { return raw(guid.view()); }
    Writer& bytes(ByteView bytes);  ///< varint length, then the bytes
    Writer& text(std::string_view text) { return bytes(as_bytes(text)); }

    [[nodiscard]] const Bytes& view() const { return out_; }
    [[nodiscard]] std::size_t size() const { return out_.size(); }
    [[nodiscard]] Bytes take() { return std::move(out_); }

  private:
    Bytes out_;
};

/// Reads foreign bytes: after the first short or malformed field everything reads as zero or empty and ok() is false,
/// so a parser checks once, at the end (and before it allocates by a count that it read: see fits()).
class Reader {
  public:
    explicit Reader(ByteView bytes) : rest_{bytes} {}

    [[nodiscard]] std::uint8_t u8();
    [[nodiscard]] std::uint16_t u16();
    [[nodiscard]] std::uint32_t u32();
    [[nodiscard]] std::uint64_t u64();
    [[nodiscard]] std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
    [[nodiscard]] std::uint64_t varint();            ///< only the shortest encoding is accepted
    [[nodiscard]] ByteView raw(std::size_t length);  ///< a view into the input
    [[nodiscard]] Guid guid();
    template <std::size_t N>
    [[nodiscard]] std::array<std::uint8_t, N> array() {
        std::array<std::uint8_t, N> out{};
        const auto view = raw(N);
        if (ok_) std::copy(view.begin(), view.end(), out.begin());
        return out;
    }
    [[nodiscard]] ByteView bytes(std::size_t limit);  ///< varint length (fails above `limit`), then a view
    [[nodiscard]] std::string text(std::size_t limit) { return std::string{as_text(bytes(limit))}; }

    /// False, and failed from now on, unless `count` items of at least `bytes_each` can still be in the input.
    [[nodiscard]] bool fits(std::uint64_t count, std::size_t bytes_each);
    void fail() {
        ok_ = false;
        rest_ = {};
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t remaining() const { return rest_.size(); }
    /// Everything was read and nothing failed: trailing bytes are an error.
    [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

  private:
    ByteView rest_;
    bool ok_ = true;
};

}  // namespace base
