#include "base/codec.hpp"

namespace base {
namespace {

template <class T>
void append(Bytes& out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <class T>
T parse(ByteView view) {
    T value = 0;
    for (std::size_t i = 0; i < view.size(); ++i) value = static_cast<T>(value | static_cast<T>(T{view[i]} << (8 * i)));
    return value;
}

}  // namespace

Writer& Writer::u8(std::uint8_t value) {
    out_.push_back(value);
    return *this;
}
Writer& Writer::u16(std::uint16_t value) {
    append(out_, value);
    return *this;
}
Writer& Writer::u32(std::uint32_t value) {
    append(out_, value);
    return *this;
}
Writer& Writer::u64(std::uint64_t value) {
    append(out_, value);
    return *this;
}
Writer& Writer::varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out_.push_back(static_cast<std::uint8_t>(value | 0x80U));
    out_.push_back(static_cast<std::uint8_t>(value));
    return *this;
}
Writer& Writer::raw(ByteView bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
}
Writer& Writer::bytes(ByteView bytes) { return varint(bytes.size()).raw(bytes); }

ByteView Reader::raw(std::size_t length) {
    if (!ok_ || length > rest_.size()) {
        fail();
        return {};
    }
    const auto view = rest_.first(length);
    rest_ = rest_.subspan(length);
    return view;
}
std::uint8_t Reader::u8() { return parse<std::uint8_t>(raw(1)); }
std::uint16_t Reader::u16() { return parse<std::uint16_t>(raw(2)); }
std::uint32_t Reader::u32() { return parse<std::uint32_t>(raw(4)); }
std::uint64_t Reader::u64() { return parse<std::uint64_t>(raw(8)); }

std::uint64_t Reader::varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const auto byte = u8();
        if (!ok_) return 0;
        const std::uint64_t bits = byte & 0x7FU;
        if (shift == 63 && bits > 1) break;  // would not fit in 64 bits
        value |= bits << shift;
        if ((byte & 0x80U) == 0) {
            if (byte == 0 && shift != 0) break;  // a longer encoding than needed
            return value;
        }
    }
    fail();
    return 0;
}

Guid Reader::guid() { return Guid{array<Guid::kBytes>()}; }

ByteView Reader::bytes(std::size_t limit) {
    const auto length = varint();
    if (length > limit) fail();
    return raw(static_cast<std::size_t>(ok_ ? length : 0));
}

bool Reader::fits(std::uint64_t count, std::size_t bytes_each) {
    if (ok_ && bytes_each != 0 && count > rest_.size() / bytes_each) fail();
    return ok_;
}

}  // namespace base
