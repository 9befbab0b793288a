// Numbers of the formats, inline: a leaf holds tens of thousands, and base::Reader pays a call a byte.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"

namespace objstore {

[[nodiscard]] inline std::uint64_t zigzag(std::uint64_t value, std::uint64_t before) {
    const auto difference = static_cast<std::int64_t>(value - before);  // modulo 2^64: any pair has a difference
    return (static_cast<std::uint64_t>(difference) << 1U) ^ static_cast<std::uint64_t>(difference >> 63);
}
[[nodiscard]] inline std::uint64_t unzigzag(std::uint64_t coded, std::uint64_t before) {
    return before + ((coded >> 1U) ^ (~(coded & 1U) + 1));
}

inline void put_varint(base::Bytes& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out.push_back(static_cast<std::uint8_t>(value | 0x80U));
    out.push_back(static_cast<std::uint8_t>(value));
}

/// Reads a run of bytes; after the first short or malformed field everything reads as zero or empty and ok() is false.
class Column {
  public:
    Column() = default;
    explicit Column(base::ByteView bytes) : at_{bytes.data()}, end_{bytes.data() + bytes.size()} {}

    [[nodiscard]] std::uint8_t u8() {
        if (at_ == end_) return failed();
        return *at_++;
    }
    /// Only the shortest encoding is accepted.
    [[nodiscard]] std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at_ == end_) return failed();
            const std::uint64_t byte = *at_++;
            if (shift == 63 && byte > 1) return failed();
            value |= (byte & 0x7FU) << shift;
            if (byte < 0x80) return byte == 0 && shift != 0 ? failed() : value;
        }
        return failed();
    }
    [[nodiscard]] base::ByteView raw(std::size_t length) {
        if (length > remaining()) {
            failed();
            return {};
        }
        const base::ByteView view{at_, length};
        at_ += length;
        return view;
    }
    template <class Array>
    void fill(Array& out) {
        const auto view = raw(out.size());
        if (ok_) std::memcpy(out.data(), view.data(), out.size());
    }
    [[nodiscard]] std::uint64_t u64() {
        const auto view = raw(8);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < view.size(); ++i) value |= std::uint64_t{view[i]} << (8 * i);
        return value;
    }
    [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] bool ok() const { return ok_; }
    /// Everything was read and nothing failed.
    [[nodiscard]] bool complete() const { return ok_ && at_ == end_; }
    std::uint8_t failed() {
        ok_ = false;
        at_ = end_;
        return 0;
    }

  private:
    const std::uint8_t* at_ = nullptr;
    const std::uint8_t* end_ = nullptr;
    bool ok_ = true;
};

}  // namespace objstore
