// Byte strings: owned, viewed, and shared without copying.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace base {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

/// The characters of `text` as bytes; valid as long as `text`.
[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
/// The bytes as characters; valid as long as the bytes.
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }
[[nodiscard]] inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

/// Lower-case hexadecimal, two digits a byte.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// Nullopt unless `text` is an even number of hexadecimal digits of either case.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

/// Equal contents, compared in time that depends on the sizes only. For tags and secrets.
[[nodiscard]] bool equal_in_constant_time(ByteView a, ByteView b);

/// An immutable slice of a shared buffer. Copying it copies a pointer, never the bytes; any thread may hold one.
class SharedBytes {
  public:
    SharedBytes() = default;
    SharedBytes(Bytes bytes)  // NOLINT(google-explicit-constructor): adopting a buffer is the normal way in
        : owner_{std::make_shared<const Bytes>(std::move(bytes))}, view_{*owner_} {}

    [[nodiscard]] ByteView view() const { return view_; }
    operator ByteView() const { return view_; }  // NOLINT(google-explicit-constructor)
    [[nodiscard]] std::size_t size() const { return view_.size(); }
    [[nodiscard]] bool empty() const { return view_.empty(); }

    /// Requires: offset + length <= size().
    [[nodiscard]] SharedBytes slice(std::size_t offset, std::size_t length) const {
        SharedBytes part{*this};
        part.view_ = view_.subspan(offset, length);
        return part;
    }

  private:
    std::shared_ptr<const Bytes> owner_;
    ByteView view_;
};

}  // namespace base
